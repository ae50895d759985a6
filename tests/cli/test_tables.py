"""What commands print of paths and names, in which rich finds markup such as `[/x]` if nobody tells it not to."""

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
