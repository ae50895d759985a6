"""audiobag-evaluate: score a checkpoint."""

from __future__ import annotations

from pathlib import Path

from audiobag.cli.command import Invocation, command, run_directory
from audiobag.cli.schema import EvaluateOptions


def _evaluate(called: Invocation[EvaluateOptions]) -> None:
    from audiobag.cli.assemble import score
    from audiobag.cli.tables import show_scores

    out = Path(run_directory())
    show_scores(score(called.options, out), out)


main = command("evaluate", _evaluate)


if __name__ == "__main__":
    main()
