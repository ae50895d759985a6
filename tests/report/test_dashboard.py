from __future__ import annotations

import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import wandb

from audiobag.report.collect import collect, unsent
from audiobag.report.dashboard import build, grouping, publish
from audiobag.report.systems import group
from audiobag.runs import RunDirectory

with warnings.catch_warnings():  # wandb-workspaces against pydantic 2
    warnings.filterwarnings("ignore", "Pydantic V1 style")
    import wandb_workspaces.reports.v2.interface as wr
    import wandb_workspaces.workspaces as ws


@pytest.fixture
def _no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    wandb.teardown()  # the client remembers the account


@pytest.fixture
def tracked(sweep: Path) -> Path:
    for number, folder in enumerate(sorted(sweep.iterdir())):
        RunDirectory(folder).note_tracked("wandb", {"id": f"run{number}", "project": "sounds", "entity": None})
    return sweep


def shown(panels: list[Any]) -> set[str]:
    """Return the metrics, media and tables that panels show."""
    kinds = ("y", "metrics", "media_keys")
    keys = [key for panel in panels for kind in kinds for key in getattr(panel, kind, None) or ()]
    return {*keys, *(panel.table_name for panel in panels if hasattr(panel, "table_name"))}


def test_report_and_workspace_show_the_tracked_runs_by_system(tracked: Path) -> None:
    systems = group(collect([tracked])[0])[0]
    made = build(systems, systems[0], "a title")
    assert made.notices == ()
    text = "\n".join(block.text for block in made.report.blocks if isinstance(block, wr.MarkdownBlock))
    assert "attention\\_softmax" in text
    assert "### Classes" in text
    grids = [block for block in made.report.blocks if isinstance(block, wr.PanelGrid)]
    panels = [panel for grid in grids for panel in grid.panels]
    expected = {"val/mAP", "test/mAP", "train/loss", "measure", "ap_against_frequency", "per_class"}
    assert expected <= shown(panels)
    assert shown(panels) == shown([panel for section in made.workspace.sections for panel in section.panels])
    (curve,) = (panel for panel in panels if getattr(panel, "y", None) == ["val/mAP"])
    assert (curve.groupby.name, curve.groupby_aggfunc, curve.groupby_rangefunc) == ("choices.pooling", "mean", "minmax")
    runs = 'Metric("ID") in ' + str([f"run{number}" for number in (3, 4, 5, 0, 1, 2)])
    for grid in grids:
        assert [(r.project, r.groupby, r.filters) for r in grid.runsets] == [
            ("sounds", ["config.choices.pooling"], runs)
        ]
    settings = made.workspace.runset_settings
    assert ([key.name for key in settings.groupby], settings.filters) == (["choices.pooling"], runs)
    assert {made.report.project, made.workspace.project} == {"sounds"}


@pytest.mark.usefixtures("_no_account")
def test_without_an_account_nothing_is_published(tracked: Path) -> None:
    urls, (notice,) = publish([tracked])
    assert urls == []
    assert notice.startswith("The dashboard was not published: there is no W&B account; run wandb login or set")


def test_with_an_account_both_are_saved_for_its_default_entity(tracked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = []

    def save(part: Any) -> Any:
        runsets = [runset for block in getattr(part, "blocks", ()) for runset in getattr(block, "runsets", ())]
        saved.append({part.entity, *(runset.entity for runset in runsets)})
        return SimpleNamespace(url=f"https://server/{type(part).__name__}")

    monkeypatch.setattr(wandb, "login", lambda **_: True)
    monkeypatch.setattr(wandb, "Api", lambda **_: SimpleNamespace(default_entity="me"))
    for kind in (wr.Report, ws.Workspace):
        monkeypatch.setattr(kind, "save", save)
    assert publish([tracked]) == (["https://server/Report", "https://server/Workspace"], [])
    assert saved == [{"me"}, {"me"}]


def test_untracked_runs_are_missing_in_the_dashboard(tracked: Path) -> None:
    (tracked / "pooling=average,seed=0" / "tracking.json").unlink()
    systems = group(collect([tracked])[0])[0]
    assert build(systems, systems[0], "a title").notices == ("W&B tracked 5 of the 6 runs; the dashboard shows these.",)
    for left in tracked.glob("*/tracking.json"):
        left.unlink()
    with pytest.raises(ValueError, match="train them with logger=wandb"):
        publish([tracked])


def test_runs_are_grouped_by_the_key_that_tells_systems_apart(sweep: Path) -> None:
    assert grouping(group(collect([sweep])[0])[0]) == ["choices.pooling"]


def test_offline_starts_that_are_not_sent_are_found(sweep: Path) -> None:
    starts = [sweep / "pooling=average,seed=0" / "wandb" / f"offline-run-2026010{day}_000000-abc" for day in (2, 1)]
    for start in starts:
        start.mkdir(parents=True)
        (start / "run-abc.wandb").touch()
    assert unsent([sweep]) == starts[::-1]
    (starts[1] / "run-abc.wandb.synced").touch()
    assert unsent([sweep]) == starts[:1]
