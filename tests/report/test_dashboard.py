from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import wandb

from audiobag.errors import UserError
from audiobag.report.collect import collect, unsent
from audiobag.report.dashboard import dashboard, grouping
from audiobag.report.systems import group
from audiobag.runs import RunDirectory

# wandb-workspaces against pydantic 2
pytestmark = pytest.mark.filterwarnings("ignore:Pydantic V1 style")


@pytest.fixture
def _no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    wandb.teardown()  # the client keeps the account of whoever logged in before


@pytest.fixture
def tracked(sweep: Path) -> Path:
    for number, folder in enumerate(sorted(sweep.iterdir())):
        RunDirectory(folder).note_tracked("wandb", {"id": f"run{number}", "project": "sounds", "entity": None})
    return sweep


def panels(sections: list[dict[str, Any]]) -> dict[str, Any]:
    """What each panel shows, by its metric or its key."""
    return {
        str(config.get("metrics") or config.get("mediaKeys") or panel["viewType"]): config
        for section in sections
        for panel in section["panels"]
        for config in [panel["config"]]
    }


@pytest.mark.usefixtures("_no_account")
def test_without_an_account_the_specifications_are_files(tracked: Path) -> None:
    made = dashboard([tracked])
    assert made.urls == ()
    (notice,) = made.notices
    assert "no account" in notice
    report, workspace = (json.loads(path.read_text()) for path in made.files)
    blocks = report["spec"]["blocks"]
    text = "\n".join(block["content"] for block in blocks if block["type"] == "markdown-block")
    assert "attention\\_softmax" in text
    assert "### Classes" in text
    grids = [block["metadata"] for block in blocks if block["type"] == "panel-grid"]
    shown = panels([grid["panelBankSectionConfig"] for grid in grids])
    sections = workspace["spec"]["section"]["panelBankConfig"]["sections"]
    assert shown.keys() == panels(sections).keys()
    curve = shown["['val/mAP']"]
    assert (curve["groupBy"], curve["groupAgg"], curve["groupArea"]) == ("choices.value.pooling", "mean", "minmax")
    assert {"['test/mAP']", "['train/loss']", "['measure']", "['ap_against_frequency']", "Weave"} <= shown.keys()
    for runs in (*(grid["runSets"][0] for grid in grids), workspace["spec"]["section"]["runSets"][0]):
        (only,) = runs["filters"]["filters"]
        assert sorted(only["value"]) == [f"run{number}" for number in range(6)]
        assert runs["grouping"] == [{"section": "config", "name": "choices.value.pooling"}]
    assert {report["project"]["name"], workspace["project"]} == {"sounds"}


@pytest.mark.usefixtures("_no_account")
def test_runs_that_were_not_tracked_are_missing_from_it(tracked: Path) -> None:
    (tracked / "pooling=average,seed=0" / "tracking.json").unlink()
    assert "5 of the 6" in dashboard([tracked]).notices[0]
    for left in tracked.glob("*/tracking.json"):
        left.unlink()
    with pytest.raises(UserError, match="train them with logger=wandb"):
        dashboard([tracked])


def test_seeds_are_one_line(sweep: Path) -> None:
    assert grouping(group(collect([sweep])[0])[0]) == ["choices.pooling"]


def test_what_is_not_sent_yet_is_found(sweep: Path) -> None:
    starts = [sweep / "pooling=average,seed=0" / "wandb" / f"offline-run-2026010{day}_000000-abc" for day in (2, 1)]
    for start in starts:
        start.mkdir(parents=True)
        (start / "run-abc.wandb").touch()
    assert unsent([sweep]) == starts[::-1]
    (starts[1] / "run-abc.wandb.synced").touch()
    assert unsent([sweep]) == starts[:1]
