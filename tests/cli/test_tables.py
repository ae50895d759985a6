"""Tables of scores, and paths and names in which rich would find markup such as `[/x]`."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from audiobag.cli.tables import show_scores
from audiobag.prepare.summary import SplitSummary, Summary
from audiobag.runs import RunConfig
from audiobag.sweep.display import Display
from audiobag.sweep.handover import HandedOver
from audiobag.sweep.jobs import Job

NAMES = ["run[a]", "run [/x]", "[bold]run"]


@pytest.mark.parametrize("name", NAMES)
def test_a_path_is_shown_as_it_is(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    show_scores({"test": {"mAP": 0.1, "AUC": None, "d_prime": 0.3, "classes": 5}}, Path("out", name))
    assert f"Run directory: out/{name}\n" in capsys.readouterr().out


@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_a_job_is_shown_as_it_is(name: str, tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=100)
    display = Display([Job(name, tmp_path / "nowhere", HandedOver(RunConfig({}), {}))], console)
    display.plan({})
    console.print(display.table())
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().count(f" {name} ") == 2


@pytest.mark.parametrize("name", NAMES)
def test_the_names_of_stores_and_of_classes_are_shown_as_they_are(name: str) -> None:
    console = Console(file=io.StringIO(), width=100)
    console.print(Summary(Path(name), (SplitSummary(name, 3, 3, ((1, 1, 3),), (name,), 0),), 0, 1.0, unchanged=False))
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().count(name) == 3


def test_the_ontology_aware_score_is_shown_where_it_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    scores = {"mAP": 0.25, "AUC": 0.9, "d_prime": None, "classes": 4, "lwlrap": 0.3}
    show_scores({"test": scores}, Path("run"))
    assert "OmAP" not in capsys.readouterr().out
    show_scores({"val": scores, "test": {**scores, "OmAP": 0.375}}, Path("run"))
    head, _, held_out, scored = capsys.readouterr().out.splitlines()[1:5]
    assert [" ".join(text.split()) for text in (head, held_out, scored)] == [
        "┃ scored ┃ mAP ┃ AUC ┃ d-prime ┃ OmAP ┃ classes ┃",
        "│ hold-out │ 0.2500 │ 0.9000 │ - │ - │ 4 │",
        "│ eval, final weights │ 0.2500 │ 0.9000 │ - │ 0.3750 │ 4 │",
    ]
