"""audiobag-predict: a checkpoint over clips, as many as there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from audiobag.cli.command import command, run_directory


def _predict(config: dict[str, Any]) -> None:
    from rich.console import Console

    from audiobag.predicting import predict

    done = predict(config, Path(run_directory()))
    console = Console(highlight=False)
    for notice in done.notices:
        console.print(f"Mind: {notice}", style="yellow", markup=False)
    what = "Predictions" if done.pictures is None else f"{done.pictures} picture{'s' * (done.pictures != 1)}"
    console.print(f"{what}: {done.out} ({done.clips:,} clips)", soft_wrap=True, markup=False)


main = command("predict", _predict)


if __name__ == "__main__":
    main()
