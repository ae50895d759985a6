"""audiobag-evaluate: score a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from audiobag.cli.command import command, run_directory


def _evaluate(config: dict[str, Any]) -> None:
    from audiobag.cli.tables import show_scores
    from audiobag.experiment import evaluate
    from audiobag.runs import RunDirectory

    run = RunDirectory(Path(run_directory()))
    show_scores(evaluate(config, run), run.path)


main = command("evaluate", _evaluate)


if __name__ == "__main__":
    main()
