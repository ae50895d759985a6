"""The panels of a W&B report or workspace, by section."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

STEP: Final = "trainer/global_step"


def panels(keys: Sequence[str]) -> dict[str, list[Any]]:
    """Return the panels of each section, with one line or bar per system that shows the range over its seeds."""
    import wandb_workspaces.reports.v2.interface as wr

    by = wr.Config(keys[0])

    def curve(metric: str, title: str) -> wr.LinePlot:
        return wr.LinePlot(
            title=title, x=STEP, y=[metric], groupby=by, groupby_aggfunc="mean", groupby_rangefunc="minmax"
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
