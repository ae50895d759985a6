from __future__ import annotations

import json

import pytest

from audiobag.data.store import Store
from audiobag.report.collect import collect
from audiobag.report.figures import search_pictures
from audiobag.report.search import importances, is_search, objective
from audiobag.report.systems import System, group
from audiobag.report.verdict import headline, verdict
from tests.report.fabricate import make_run


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory, scored: Store) -> list[System]:
    """Twelve systems whose val/mAP depends on the width alone, best first."""
    folder = tmp_path_factory.mktemp("search")
    for n in range(12):
        width, lr = (500, 1024, 2048)[n % 3], 10 ** (-4 + n / 6)
        options = {"embedding": {"width": width, "norm": n % 2 == 0}, "optimizer": {"lr": lr}}
        run = make_run(folder / str(n), scored, 0, quality=1 + width / 1024, options=options)
        run.write_metrics({**(run.metrics() or {}), "val": {"mAP": width / 10_000}})
    return group(collect([folder])[0])[0][::-1]


def test_a_search_is_many_systems_that_differ_in_several_options(trials: list[System]) -> None:
    assert is_search(trials)
    assert not is_search(trials[:7])
    assert trials[0].options.keys() == {"width", "norm", "lr"}
    assert objective(trials)[0] == "val/mAP"


def test_the_option_that_the_score_depends_on_is_the_important_one(trials: list[System]) -> None:
    shares = importances(trials)
    assert shares is not None
    assert max(shares, key=lambda name: shares[name]) == "width"
    assert sum(shares.values()) == pytest.approx(1)


def test_a_search_has_lines_from_its_options_to_its_score(trials: list[System]) -> None:
    coordinates, *_ = search_pictures(trials)
    assert coordinates.plot is not None
    assert coordinates.png is None
    lines, layout = coordinates.plot["data"], coordinates.plot["layout"]
    assert len(lines) == 12
    assert layout["xaxis"]["ticktext"] == ["norm", "width", "lr", "val/mAP"]
    assert lines[-1]["y"][1::2] == [1, 1], "the widest is the best, and drawn last"
    assert json.dumps(coordinates.plot)


def test_the_best_of_a_search_is_named_with_its_options(trials: list[System]) -> None:
    assert headline(trials) == "Norm, width and lr: 12 systems on balanced"
    if trials[0].label == "#1":
        assert f"width {trials[0].options['width']}" in verdict(trials, trials[0], {})[1]
