"""audiobag-evaluate: score a checkpoint."""

from __future__ import annotations

from pathlib import Path

from audiobag.cli.command import Invocation, command, run_directory
from audiobag.cli.members import members
from audiobag.cli.schema import EvaluateOptions
from audiobag.cli.unused import refuse_unused

_OF_TRAINING = (
    "seed",
    "sampler",
    *(f"data.{name}" for name in ("sampler", "seed", "val_fraction", "fold", "folds", "subset")),
    *(f"trainer.{name}" for name in ("max_steps", "max_time", "val_check_interval", "check_val_every_n_epoch")),
    *(f"trainer.{name}" for name in ("gradient_clip_val", "gradient_clip_algorithm", "log_every_n_steps")),
    *(f"trainer.{name}" for name in ("num_sanity_val_steps", "detect_anomaly", "sync_batchnorm")),
)


def _evaluate(called: Invocation[EvaluateOptions]) -> None:
    from audiobag.cli.assemble import score
    from audiobag.cli.tables import show_scores

    options, out = called.options, Path(run_directory())
    named = members(options.checkpoint, options.runs)
    refuse_unused(_OF_TRAINING, "on scoring")
    if len(named) == 1:
        refuse_unused(["combine"], "on a single checkpoint")
    if options.holdout:
        refuse_unused(["data", "trainer", "allow"], "on the predictions that the runs saved for their hold-out")
    show_scores(score(options, named, out), out)


main = command("evaluate", _evaluate)


if __name__ == "__main__":
    main()
