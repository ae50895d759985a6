"""Every option of Lightning's Trainer: honoured, or refused in a sentence."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, Final

from lightning.pytorch.callbacks import Timer
from lightning.pytorch.profilers import Profiler
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy

from audiobag.utils.errors import InputError
from audiobag.utils.values import check_choice, check_number, check_whole

PRECISIONS: Final = ("32-true", "bf16-mixed", "16-mixed")
ACCELERATORS: Final = ("cpu", "gpu", "cuda", "mps", "auto")
# Strategies that start their ranks by other means than a command lose what the ranks have computed, and those that
# distribute the parameters write checkpoints of several files.
STRATEGIES: Final = ("auto", "ddp", "ddp_find_unused_parameters_false", "ddp_find_unused_parameters_true")
_DURATION: Final = re.compile(r"\d{1,8}:\d\d:\d\d:\d\d")
_PART: Final = "the scores of a part would look complete"


def check_trainer_options(options: Mapping[str, Any]) -> None:
    """Check each option of a Lightning Trainer by itself; unknown ones are left to the Trainer.

    Raises:
        ValueError: an option has no meaning for it, or cannot be honoured.
    """
    for name, value in options.items():
        if name in REFUSED:
            neutral, reason = REFUSED[name]
            if not any(type(value) is type(one) and value == one for one in neutral):
                wanted = f"must be {_shown(neutral[0])}, got {_shown(value)}" if neutral else "cannot be set"
                raise InputError(f"{name} {wanted}: {reason}")
        elif name in HONOURED:
            HONOURED[name](name, value)


def _flag(name: str, value: Any) -> None:
    if value is not None and not isinstance(value, bool):
        raise InputError(f"{name} must be true or false, got {_shown(value)}")


def _strategy(name: str, value: Any) -> None:
    if not isinstance(value, DDPStrategy | SingleDeviceStrategy):
        check_choice(name, value, STRATEGIES, ", a DDPStrategy or a SingleDeviceStrategy")


def _devices(name: str, value: Any) -> None:
    numbers = isinstance(value, list) and value and all(type(one) is int and one >= 0 for one in value)
    if not numbers and value not in (-1, "auto"):
        check_whole(name, value, otherwise=", a list of GPUs, or -1 for all")


def _clip(name: str, value: Any) -> None:
    if value is not None:
        check_number(name, value, "(0, inf)", ", or null for no clipping")


def _algorithm(name: str, value: Any) -> None:
    if value is not None:
        check_choice(name, value, ("norm", "value"), ", or null for norm")


def _deterministic(name: str, value: Any) -> None:
    if value != "warn":
        _flag(name, value)


def _max_time(name: str, value: Any) -> None:
    expected = 'must be "DD:HH:MM:SS" in quotes, or a mapping such as {hours: 12}'
    if isinstance(value, str):
        usable = _DURATION.fullmatch(value) is not None
    elif isinstance(value, Mapping):
        try:
            usable = timedelta(**{str(key): number for key, number in value.items()}) >= timedelta(0)
        except (TypeError, ValueError, OverflowError):
            usable = False
    else:
        usable = value is None or (isinstance(value, timedelta) and value >= timedelta(0))
    if not usable:
        raise InputError(f"{name} {expected}, got {_shown(value)}")


def timer(limit: Any) -> Timer:
    """Return the clock of a training, which ends it after `max_time`; None for no limit."""
    return Timer({str(key): value for key, value in limit.items()} if isinstance(limit, Mapping) else limit)


def _profiler(name: str, value: Any) -> None:
    if value is not None and not isinstance(value, Profiler):
        raise InputError(
            f"{name} must be a profiler that writes to a file, got {_shown(value)}: use debug=profile, or an object"
            " such as SimpleProfiler(dirpath, filename)"
        )


def _shown(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


HONOURED: Final[Mapping[str, Callable[[str, Any], None]]] = {
    "accelerator": partial(check_choice, known=ACCELERATORS),
    "strategy": _strategy,
    "devices": _devices,
    "num_nodes": check_whole,
    "precision": partial(check_choice, known=PRECISIONS),
    "max_steps": check_whole,
    "max_time": _max_time,
    "val_check_interval": check_whole,
    "log_every_n_steps": check_whole,
    "enable_progress_bar": _flag,
    "enable_model_summary": _flag,
    "enable_autolog_hparams": _flag,
    "gradient_clip_val": _clip,
    "gradient_clip_algorithm": _algorithm,
    "deterministic": _deterministic,
    "benchmark": _flag,
    "inference_mode": _flag,
    "profiler": _profiler,
    "detect_anomaly": _flag,
    "sync_batchnorm": _flag,
}
"""The options that have an effect, and the check of each."""

REFUSED: Final[Mapping[str, tuple[tuple[Any, ...], str]]] = {
    "fast_dev_run": ((False, 0, None), f"{_PART}, so use debug=fast"),
    "overfit_batches": ((0, 0.0, None), f"{_PART}, so use debug=overfit"),
    "limit_train_batches": ((None, 1.0), "set max_steps"),
    "limit_val_batches": ((None, 1.0), f"{_PART}, so use val_fraction=0 for no hold-out"),
    "limit_test_batches": ((None, 1.0), f"{_PART}, so score a smaller store instead"),
    "limit_predict_batches": ((None, 1.0), "a training predicts nothing, so use audiobag-predict"),
    "max_epochs": ((None, -1), "training is counted in steps, so set max_steps"),
    "min_epochs": ((None,), "training is counted in steps, and what ends it early, such as a callback, decides when"),
    "min_steps": ((None,), "Lightning takes it for a whole epoch; what ends a training early decides when"),
    "check_val_every_n_epoch": ((None,), "training is counted in steps, so set val_check_interval"),
    "reload_dataloaders_every_n_epochs": ((0,), "training is counted in steps and draws each batch anew"),
    "num_sanity_val_steps": ((0,), f"{_PART}, so use debug=fast to try a validation"),
    "accumulate_grad_batches": ((1,), "each step draws its own batch, so raise batch_size"),
    "use_distributed_sampler": ((False,), "batches are cut for the ranks by the sampler"),
    "enable_checkpointing": ((True, None), "the weights that are scored must be in a checkpoint"),
    "barebones": ((False, None), "it would leave out checkpoints and scores"),
    "default_root_dir": ((None,), "everything is written to the folder of the run"),
    "model_registry": ((None,), "checkpoints stay in the folder of the run; audiobag-export shares them"),
    "logger": ((), "use loggers, the group logger of audiobag-train"),
    "callbacks": ((), "use callbacks, the group callbacks of audiobag-train"),
    "plugins": ((), "audiobag chooses them: precision, the cluster and atomic checkpoints"),
}
"""The options that have no effect or would spoil a result, the values that mean what audiobag does, and the reason."""
