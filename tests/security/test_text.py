"""Untrusted text: YAML stays data, and names stay text on a card, a page and a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from audiobag.export import write_export
from audiobag.report import report
from audiobag.runs.directory import RunDirectory
from tests.conftest import make_store
from tests.export import fabricate as exports
from tests.report.fabricate import make_run

EVIL = "<img src=x onerror=alert(1)>[a](javascript:b)|`$\\frac{$"


def write_hydra(folder: Path, **texts: str) -> RunDirectory:
    (folder / ".hydra").mkdir()
    for name, text in {"config": "seed: 1\n", "hydra": "hydra: {}\n", "overrides": "[]\n", **texts}.items():
        (folder / ".hydra" / f"{name}.yaml").write_text(text)
    return RunDirectory(folder)


@pytest.mark.parametrize("name", ["config", "hydra", "overrides"])
def test_yaml_that_names_python_objects(tmp_path: Path, name: str) -> None:
    run = write_hydra(tmp_path, **{name: f"a: !!python/object/apply:os.mkdir [{tmp_path / 'owned'}]\n"})
    with pytest.raises(ValueError, match="does not hold a run's configuration"):
        run.config()
    assert not (tmp_path / "owned").exists()


def laughs(reference: str) -> str:
    """A billion values in ten lines of YAML."""
    lines = (f"a{i}: &a{i} [{', '.join([reference.format(i - 1)] * 10)}]" for i in range(1, 10))
    return "\n".join(["a0: &a0 [x]", *lines])


@pytest.mark.parametrize("name", ["config", "hydra", "overrides"])
def test_yaml_that_repeats_itself_without_end(tmp_path: Path, name: str) -> None:
    run = write_hydra(tmp_path, **{name: laughs("*a{}")})
    with pytest.raises(ValueError, match="repeats parts of itself"):
        run.config()


def test_keys_that_refer_to_each_other_without_end(tmp_path: Path) -> None:
    run = write_hydra(tmp_path, config=laughs('"${{a{}}}"'))
    with pytest.raises(ValueError, match="repeats parts of itself"):
        run.config()


@pytest.mark.parametrize("name", ["config", "hydra", "overrides"])
@pytest.mark.parametrize("text", ["[" * 100_000 + "]" * 100_000, "a: " + "{a: " * 10_000 + "1" + "}" * 10_000])
def test_yaml_that_is_nested_without_end(tmp_path: Path, name: str, text: str) -> None:
    run = write_hydra(tmp_path, **{name: text})
    with pytest.raises(ValueError, match="does not hold a run's configuration"):
        run.config()


def test_names_in_a_model_card_stay_text(tmp_path: Path) -> None:
    checkpoint, _ = exports.make_run(tmp_path / "run")
    run = RunDirectory(tmp_path / "run")
    classes = run.read_per_class()
    run.write_per_class([EVIL] * 5, classes.positives.tolist(), {"AP": classes.average_precision.tolist()})
    record: dict[str, Any] = run.metrics() or {}
    run.write_metrics({**record, "stores": {EVIL: EVIL}, "git_revision": EVIL, "choices": {"experiment": EVIL}})
    write_export(checkpoint, tmp_path / "out", replicates=2)
    card = (tmp_path / "out" / "README.md").read_text()
    escaped = r"\<img src=x onerror=alert(1)\>\[a\](javascript:b)\|\`$\\frac{$"
    assert card.count(escaped) >= 4 + 5
    assert "<img" not in card.replace(r"\<", "")
    assert "](javascript" not in card.replace(r"\]", "")


def test_names_in_a_report_and_its_pictures_stay_text(tmp_path: Path) -> None:
    """TeX in a name must not be parsed when the picture is drawn."""
    store = make_store(tmp_path / "data" / "eval.h5", clips=60, classes=3)
    made = make_run(tmp_path / "s" / "a", store, experiment=EVIL)
    scores = made.read_per_class()
    made.write_per_class([EVIL] * 3, scores.positives.tolist(), {"AP": scores.average_precision.tolist()})
    written = report([tmp_path / "s"], replicates=0)
    page = written.page.read_text()
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "<img src=x" not in page
    assert "\\<img src=x" in written.page.with_name("report.md").read_text()
    assert written.page.with_name("per_class.png").stat().st_size > 0
