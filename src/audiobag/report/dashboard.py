"""A W&B report and workspace over some runs, built in code and saved to the server."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from audiobag.report.collect import collect
from audiobag.report.compare import best
from audiobag.report.formats import NONE, Table, markdown
from audiobag.report.options import differing
from audiobag.report.systems import System, choose, config_texts, group
from audiobag.report.tables import score_tables
from audiobag.utils.errors import InputError

if TYPE_CHECKING:
    import wandb_workspaces.reports.v2.interface as wr
    import wandb_workspaces.workspaces as ws

_CLASSES = 10
_STEP: Final = "trainer/global_step"


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A report and a workspace, not yet saved.

    Attributes:
        report: the W&B report.
        workspace: the W&B workspace.
        notices: warnings about runs that are missing in them.
    """

    report: wr.Report
    workspace: ws.Workspace
    notices: tuple[str, ...]


def publish(runs: Sequence[Path], baseline: str | None = None) -> tuple[list[str], list[str]]:
    """Save a W&B report and workspace over the runs at and below some folders, as far as W&B tracked them.

    Args:
        runs: folders of runs or of sweeps.
        baseline: name of the system that classes are compared with; average pooling by default.

    Returns:
        The URLs of report and workspace, and warnings. Without an account, or without a server that answers, there are
        no URLs and a warning says why.

    Raises:
        ValueError: W&B tracked none of the runs, or wandb-workspaces is not installed.
    """
    if importlib.util.find_spec("wandb_workspaces") is None:
        raise InputError("dashboard=wandb needs wandb-workspaces: pip install 'audiobag[wandb-reports]'")
    systems, _ = group(collect(runs)[0])
    title = ", ".join(run.resolve().name for run in runs)[:120]
    made = build(systems, choose(systems, baseline), title)
    urls: list[str] = []
    try:
        if (mode := os.environ.get("WANDB_MODE")) in ("offline", "dryrun", "disabled"):
            raise InputError(f"WANDB_MODE is {mode}, so nothing is sent")
        _set_owner(made)
        parts: tuple[Any, ...] = (made.report, made.workspace)
        for part in parts:
            urls += [str(part.save().url)]
    except InputError as error:
        reason = str(error)
    except Exception as error:  # the client raises exceptions of many kinds
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    else:
        return urls, [*made.notices]
    return urls, [*made.notices, f"The dashboard was not published: {reason}."]


def build(systems: Sequence[System], baseline: System, title: str) -> Dashboard:
    """Return a report and a workspace over the runs that W&B tracked, without asking a server.

    Runs that differ only in their seed form one line, with the range over the seeds.

    Args:
        systems: of which at least one run was tracked.
        baseline: the system that classes are compared with.
        title: of both.

    Raises:
        ValueError: W&B tracked none of the runs.
    """
    import wandb_workspaces.reports.v2.interface as wr
    import wandb_workspaces.workspaces as ws
    from wandb_workspaces import expr

    every = [run for system in systems for run in system.runs]
    known = [found for run in every if (found := run.directory.tracked("wandb"))]
    if not known:
        raise InputError("W&B tracked none of these runs: train them with logger=wandb or logger=wandb_offline")
    project, entity = known[0]["project"], known[0].get("entity") or ""
    ids = [found["id"] for found in known if found["project"] == project]
    keys = grouping(systems)
    filters = expr.And(expr.Metric("ID").isin(ids))
    runset = {"entity": entity, "project": project, "name": title, "groupby": [f"config.{key}" for key in keys]}
    tables = [*score_tables(systems[::-1]), *_class_tables(systems, baseline)]
    blocks: list[Any] = [wr.MarkdownBlock(text=markdown(table)) for table in tables]
    for name, shown in _panels(keys).items():
        blocks += [wr.H2(name), wr.PanelGrid(runsets=[wr.Runset(**runset, filters=filters)], panels=shown)]
    about = f"{len(ids)} runs, seeds grouped by {', '.join(keys)}; written by audiobag-report."
    owner = {"entity": entity, "project": project}
    return Dashboard(
        wr.Report(**owner, title=title, description=about, blocks=blocks, width="fluid"),
        ws.Workspace(
            **owner,
            name=title,
            sections=[ws.Section(name=name, panels=shown, is_open=True) for name, shown in _panels(keys).items()],
            settings=ws.WorkspaceSettings(x_axis=_STEP),
            runset_settings=ws.RunsetSettings(filters=filters, groupby=[expr.Config(key) for key in keys]),
        ),
        _notices(len(every), known, project),
    )


def grouping(systems: Sequence[System]) -> list[str]:
    """Return the fewest keys of the tracked configuration that tell the systems apart."""
    chosen = differing([dict(s.runs[0].choices) for s in systems])
    for key in ("experiment", "pooling", *chosen[0]):
        if len({own.get(key) for own in chosen}) == len(systems):
            return [f"choices.{key}"]
    keys = [f"choices.{key}" for key in chosen[0] if key != "experiment"]
    if len({tuple(own.values()) for own in chosen}) < len(systems):
        configs = differing([config_texts(s.runs[0]) for s in systems])
        keys += [key for key in configs[0] if not key.endswith("_target_")]
    return keys or ["choices.pooling"]


def _panels(keys: Sequence[str]) -> dict[str, list[Any]]:
    """Return the panels of each section, with one line or bar per system that shows the range over its seeds."""
    import wandb_workspaces.reports.v2.interface as wr

    means: dict[str, Any] = {"groupby": wr.Config(keys[0]), "groupby_aggfunc": "mean"}

    def curve(metric: str, title: str) -> wr.LinePlot:
        return wr.LinePlot(title=title, x=_STEP, y=[metric], groupby_rangefunc="minmax", **means)

    def bars(metric: str, title: str) -> wr.BarPlot:
        return wr.BarPlot(title=title, metrics=[metric], groupby_rangefunc="stddev", **means)

    def images(key: str, title: str, columns: int, height: int) -> wr.MediaBrowser:
        return wr.MediaBrowser(title=title, media_keys=[key], num_columns=columns, layout=wr.Layout(w=24, h=height))

    return {
        "Scores on the eval set": [bars("test/mAP", "mAP"), bars("test/AUC", "AUC"), bars("test/d_prime", "d'")],
        "Curves": [
            curve("val/mAP", "mAP on the hold-out"),
            curve("val/AUC", "AUC on the hold-out"),
            curve("val/d_prime", "d' on the hold-out"),
            curve("train/loss", "training loss"),
            curve("train/lr", "learning rate"),
        ],
        "Classes": [
            wr.WeavePanelSummaryTable(table_name="per_class", layout=wr.Layout(w=24, h=14)),
            images("ap_against_frequency", "AP against frequency", 3, 12),
            images("precision_recall", "Precision and recall", 3, 12),
        ],
        "Attention": [images("measure", "Measure over training", 2, 14)],
        "Speed and memory": [
            curve("train/clips_per_second", "clips per second"),
            curve("memory/peak_gib", "peak memory, GiB"),
        ],
    }


def _notices(runs: int, known: Sequence[Mapping[str, Any]], project: str) -> tuple[str, ...]:
    notices = []
    if len(known) < runs:
        notices.append(f"W&B tracked {len(known)} of the {runs} runs; the dashboard shows these.")
    if others := sorted({found["project"] for found in known} - {project}):
        notices.append(f"The dashboard shows the W&B project {project} only, not the runs in {', '.join(others)}.")
    return tuple(notices)


def _set_owner(made: Dashboard) -> None:
    """Give a dashboard without an entity to the account of the user.

    Raises:
        ValueError: there is no account.
    """
    import wandb

    if not wandb.login(prompt=False):
        raise InputError("there is no W&B account; run wandb login or set WANDB_API_KEY, then run the same command")
    if not made.report.entity:
        entity = wandb.Api(timeout=10).default_entity or ""
        made.report.entity = made.workspace.entity = entity
        for block in made.report.blocks:
            for runset in getattr(block, "runsets", ()):
                runset.entity = entity


def _class_tables(systems: Sequence[System], baseline: System) -> list[Table]:
    """Return a table of the classes that gain and lose most from the baseline to the best other system."""
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
    note = (
        f"The {_CLASSES} classes that gain most and the {_CLASSES} that lose most; final weights, averaged over seeds."
    )
    return [Table("Classes", columns, rows or ((NONE,) * 5,), 5, note)]
