"""A W&B report and workspace for some runs, as code: published where there is an account, and always as JSON."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiobag.errors import UserError
from audiobag.files import write_text
from audiobag.report.collect import collect
from audiobag.report.compare import best
from audiobag.report.systems import System, choose, differing, flatten, group
from audiobag.report.tables import NONE, Table, markdown, score_tables
from audiobag.runs import decisive
from audiobag.values import check_path, paths

if TYPE_CHECKING:
    import wandb_workspaces.reports.v2.interface as wr

_STEP = "trainer/global_step"
_CLASSES = 10


@dataclass(frozen=True, slots=True)
class Dashboard:
    """What was made.

    Attributes:
        files: the report's and the workspace's specification.
        urls: where they stand on the server; none without one.
        notices: what is missing of them, or kept them from the server.
    """

    files: tuple[Path, ...]
    urls: tuple[str, ...]
    notices: tuple[str, ...]


def dashboard(
    runs: str | Path | Sequence[str | Path], out: str | Path | None = None, baseline: str | None = None
) -> Dashboard:
    """Build a report and a workspace over the runs at and below some folders that W&B tracked.

    Runs that differ in nothing but their seed are one line, with the range over the seeds. Without an account, or a
    server that answers, `wandb_report.json` and `wandb_workspace.json` are all there is.

    Args:
        runs: a folder of a run or of a sweep, or several.
        out: the folder to write to; by default `report` in the first of `runs`.
        baseline: the system that classes are compared to; by default average pooling.

    Raises:
        UserError: no run was tracked by W&B, or the extra is not installed.
    """
    if importlib.util.find_spec("wandb_workspaces") is None:
        raise UserError("dashboard=wandb needs wandb-workspaces: pip install 'audiobag[wandb-reports]'")
    runs = paths("runs", runs)
    check_path("out", out, optional=True)
    systems, _ = group(collect(runs)[0])
    every = [run for system in systems for run in system.runs]
    known = [found for run in every if (found := run.directory.tracked("wandb"))]
    if not known:
        raise UserError("W&B tracked none of these runs: train them with logger=wandb or logger=wandb_offline")
    notices = (
        [] if len(known) == len(every) else [f"W&B tracked {len(known)} of the {len(every)} runs, so it shows those."]
    )
    project, entity = known[0]["project"], known[0].get("entity")
    others = sorted({found["project"] for found in known} - {project})
    if others:
        notices.append(f"The dashboard is of the W&B project {project}; runs in {', '.join(others)} are not in it.")
    ids = [found["id"] for found in known if found["project"] == project]
    keys = grouping(systems)
    title = ", ".join(run.resolve().name for run in runs)[:120]
    against = choose(systems, baseline)
    text = [markdown(t) for t in (*score_tables(systems), *_class_tables(systems, against))]
    folder = Path(runs[0] if out is None else out) / ("report" if out is None else "")
    entity, refused = _account(entity)
    made = {
        "wandb_report": _report(entity or "", project, title, text, ids, keys),
        "wandb_workspace": _workspace(entity or "", project, title, ids, keys),
    }
    urls = []
    for name, each in made.items():
        write_text(folder / f"{name}.json", each._to_model().model_dump_json(by_alias=True, indent=2) + "\n")
        if not refused:
            try:
                urls.append(str(each.save().url))
            except Exception as error:  # the client may raise anything
                refused = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    if refused:
        notices.append(f"The dashboard is not on a server ({refused}).")
    return Dashboard(tuple(folder / f"{name}.json" for name in made), tuple(urls), tuple(notices))


def grouping(systems: Sequence[System]) -> list[str]:
    """Return the fewest keys of the tracked configuration that tell systems apart: seeds share all of them."""
    chosen = differing([dict(s.runs[0].choices) for s in systems])
    for key in ("experiment", "pooling", *chosen[0]):
        if len({own.get(key) for own in chosen}) == len(systems):
            return [f"choices.{key}"]
    keys = [f"choices.{key}" for key in chosen[0] if key != "experiment"]
    if len({tuple(own.values()) for own in chosen}) < len(systems):
        configs = differing([flatten(decisive(s.runs[0].config)) for s in systems])
        keys += [key for key in configs[0] if not key.endswith("_target_")]
    return keys or ["choices.pooling"]


def _account(entity: str | None) -> tuple[str | None, str]:
    """Return the entity to publish under, and why nothing can be published; "" if it can."""
    import wandb

    try:
        if not wandb.login(prompt=False):
            return entity, "no account: wandb login, or WANDB_API_KEY, and the same command publishes it"
        return entity or wandb.Api(timeout=10).default_entity, ""
    except Exception as error:  # the client may raise anything
        return entity, f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _report(entity: str, project: str, title: str, text: Sequence[str], ids: list[str], keys: list[str]) -> wr.Report:
    import wandb_workspaces.reports.v2.interface as wr
    from wandb_workspaces import expr

    def runs() -> wr.Runset:
        filters = expr.And(expr.Metric("ID").isin(ids))
        groupby = [f"config.{key}" for key in keys]
        return wr.Runset(entity=entity, project=project, name=title, filters=filters, groupby=groupby)

    blocks: list[Any] = [wr.MarkdownBlock(text=table) for table in text]
    for name, panels in _sections(keys).items():
        blocks += [wr.H2(name), wr.PanelGrid(runsets=[runs()], panels=panels)]
    about = f"{len(ids)} runs, seeds grouped by {', '.join(keys)}; written by audiobag-report."
    return wr.Report(entity=entity, project=project, title=title, description=about, blocks=blocks, width="fluid")


def _workspace(entity: str, project: str, title: str, ids: list[str], keys: list[str]) -> Any:
    import wandb_workspaces.workspaces as ws
    from wandb_workspaces import expr

    runs = ws.RunsetSettings(filters=expr.And(expr.Metric("ID").isin(ids)), groupby=[expr.Config(key) for key in keys])
    sections = [ws.Section(name=name, panels=panels, is_open=True) for name, panels in _sections(keys).items()]
    settings = ws.WorkspaceSettings(x_axis=_STEP)
    return ws.Workspace(
        entity=entity, project=project, name=title, sections=sections, settings=settings, runset_settings=runs
    )


def _sections(keys: Sequence[str]) -> dict[str, list[Any]]:
    """Return the panels by section: one line or bar a system, its seeds' range beside it."""
    import wandb_workspaces.reports.v2.interface as wr

    by = wr.Config(keys[0])

    def curve(metric: str, title: str) -> wr.LinePlot:
        return wr.LinePlot(
            title=title, x=_STEP, y=[metric], groupby=by, groupby_aggfunc="mean", groupby_rangefunc="minmax"
        )

    def bars(metric: str, title: str) -> wr.BarPlot:
        return wr.BarPlot(title=title, metrics=[metric], groupby=by, groupby_aggfunc="mean", groupby_rangefunc="stddev")

    pictures = [
        wr.MediaBrowser(title=title, media_keys=[key], num_columns=3, layout=wr.Layout(w=24, h=12))
        for title, key in (
            ("AP against frequency", "ap_against_frequency"),
            ("Precision and recall", "precision_recall"),
        )
    ]
    return {
        "Scores on the eval set": [bars("test/mAP", "mAP"), bars("test/AUC", "AUC"), bars("test/d_prime", "d'")],
        "Curves": [
            curve("val/mAP", "mAP on the hold-out"),
            curve("val/AUC", "AUC on the hold-out"),
            curve("val/d_prime", "d' on the hold-out"),
            curve("train/loss", "training loss"),
            curve("train/lr", "learning rate"),
        ],
        "Classes": [wr.WeavePanelSummaryTable(table_name="per_class", layout=wr.Layout(w=24, h=14)), *pictures],
        "Attention": [
            wr.MediaBrowser(
                title="Measure over training", media_keys=["measure"], num_columns=2, layout=wr.Layout(w=24, h=14)
            )
        ],
        "Speed and memory": [
            curve("train/clips_per_second", "clips per second"),
            curve("memory/peak_gib", "peak memory, GiB"),
        ],
    }


def _class_tables(systems: Sequence[System], baseline: System) -> list[Table]:
    """Return the classes that gain and lose most from the baseline to the system to hold against it."""
    rival = best(systems, baseline)
    if rival is None:
        return []
    ours, theirs = rival.average_precision, baseline.average_precision
    table = rival.runs[0].classes
    order = [int(k) for k in np.argsort(theirs - ours, kind="stable") if np.isfinite(ours[k] - theirs[k])]
    shown = order if len(order) <= 2 * _CLASSES else [*order[:_CLASSES], *order[-_CLASSES:]]
    rows = tuple(
        (table.names[k], str(table.positives[k]), f"{ours[k]:.4f}", f"{theirs[k]:.4f}", f"{ours[k] - theirs[k]:+.4f}")
        for k in shown
    )
    columns = ("Class", "Eval clips", f"AP, {rival.name}", f"AP, {baseline.name}", "Difference")
    note = f"The {_CLASSES} classes that gain most and the {_CLASSES} that lose most; means over seeds, final weights."
    return [Table("Classes", columns, rows or ((NONE,) * 5,), 5, note)]
