"""audiobag-predict: a checkpoint over clips, as many as there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from audiobag.cli.command import command, run_directory


def _predict(config: dict[str, Any]) -> None:
    from rich.console import Console

    from audiobag.predict import predict

    done = predict(config, Path(run_directory()))
    console = Console(highlight=False)
    for notice in done.notices:
        console.print(f"Mind: {notice}", style="yellow", markup=False)
    console.print(f"Predictions: {done.out} ({done.clips:,} clips)", soft_wrap=True, markup=False)


main = command("predict", _predict)
