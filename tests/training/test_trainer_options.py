"""Each option of Lightning's Trainer is honoured or refused in a sentence; none is ignored."""

from __future__ import annotations

import inspect
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from lightning import Trainer
from lightning.pytorch.profilers import SimpleProfiler
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy

from audiobag.cli.python import train
from audiobag.runs.directory import RunDirectory
from audiobag.training.options import check_options
from audiobag.training.trainer import TRAINER_DEFAULTS
from audiobag.training.trainer_options import HONOURED, REFUSED, check_trainer_options
from tests.composing import SMALL, composed, trained

OPTIONS = sorted(inspect.signature(Trainer).parameters)
# A value of each honoured option that is honoured, and one that is refused.
USABLE: dict[str, tuple[Any, ...]] = {
    "accelerator": ("cpu",),
    "strategy": ("auto", "ddp", DDPStrategy(), SingleDeviceStrategy()),
    "devices": (1, 2, "auto"),
    "num_nodes": (1,),
    "precision": ("32-true", "bf16-mixed"),
    "max_steps": (5,),
    "max_time": (None, "00:12:00:00", {"hours": 12}, timedelta(hours=1)),
    "val_check_interval": (10,),
    "log_every_n_steps": (1,),
    "enable_progress_bar": (True, False),
    "enable_model_summary": (True, False),
    "enable_autolog_hparams": (True, False),
    "gradient_clip_val": (None, 0.5),
    "gradient_clip_algorithm": (None, "norm", "value"),
    "deterministic": (None, True, "warn"),
    "benchmark": (None, True),
    "inference_mode": (True, False),
    "profiler": (None, SimpleProfiler()),
    "detect_anomaly": (True, False),
    "sync_batchnorm": (False,),
}
UNUSABLE: dict[str, tuple[Any, ...]] = {
    "accelerator": ("tpu", None),
    "strategy": ("ddp_spawn", "fsdp", "deepspeed", 3, None),
    "devices": (0, -2, 1.5, [], "two", None, True),
    "num_nodes": (0,),
    "precision": ("16-true", 16, None),
    "max_steps": (0, -1, 2.5, None),
    "max_time": (
        *(43200, "12:00", "1 hour", "9999999999:00:00:00", timedelta(-1)),
        *({"hour": 1}, {"hours": -1}, {"hours": float("nan")}, {"days": 1e10}),
    ),
    "val_check_interval": (0.5, None),
    "log_every_n_steps": (0,),
    "enable_progress_bar": ("no",),
    "enable_model_summary": (1,),
    "enable_autolog_hparams": ("yes",),
    "gradient_clip_val": (0, -1.0, "1"),
    "gradient_clip_algorithm": ("sum",),
    "deterministic": ("yes",),
    "benchmark": ("yes",),
    "inference_mode": ("yes",),
    "profiler": ("simple", "nope"),
    "detect_anomaly": ("yes",),
    "sync_batchnorm": (True, "yes"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_each_option_is_honoured_or_refused(name: str) -> None:
    assert (name in HONOURED) != (name in REFUSED)


@pytest.mark.parametrize("name", sorted(HONOURED))
def test_a_usable_value_is_accepted_and_another_refused_by_name(name: str) -> None:
    for value in USABLE[name]:
        check_options({**TRAINER_DEFAULTS, name: value})
    for value in UNUSABLE[name]:
        with pytest.raises(ValueError, match=f"^{name} (must|cannot)"):
            check_options({**TRAINER_DEFAULTS, name: value})


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_only_what_changes_nothing_is_accepted(name: str) -> None:
    neutral, _ = REFUSED[name]
    for value in neutral:
        check_trainer_options({name: value})
    for value in (1, 0, 2.5, True, False, "x", 0.0, None):
        if not any(type(value) is type(one) and value == one for one in neutral):
            with pytest.raises(ValueError, match=f"^{name} (must|cannot)"):
                check_trainer_options({name: value})


@pytest.mark.parametrize("name", OPTIONS)
def test_a_refusal_is_a_sentence_with_the_key_of_the_command_line(name: str, data: Path, tmp_path: Path) -> None:
    """None starts a run, as half a score or a traceback would show."""
    value = str((UNUSABLE.get(name) or ("x",))[0])
    with pytest.raises(ValueError, match=rf"^(trainer\.)?{name} (must|cannot)"):
        trained(data, tmp_path / "run", f"++trainer.{name}={value}")
    assert not (tmp_path / "run" / "metrics.json").exists()


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("max_step=3", r"trainer\.max_step is not a key that anything reads: did you mean trainer\.max_steps\?"),
        ("seed=1", r"trainer\.seed is not an option of the Trainer: did you mean seed\?"),
        ("threads=1", r"trainer\.threads is not an option of the Trainer: did you mean threads\?"),
        ("compile=default", r"trainer\.compile is not an option of the Trainer: did you mean compile\?"),
    ],
)
def test_an_option_that_the_trainer_does_not_have_is_refused(
    option: str, said: str, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=said):
        trained(data, tmp_path / "run", f"+trainer.{option}")


@pytest.mark.parametrize(
    "option",
    [
        "max_time={hours: 1}",
        "max_time='00:01:00:00'",
        "enable_model_summary=true",
        "enable_autolog_hparams=false",
        "gradient_clip_algorithm=value",
        "deterministic=warn",
        "benchmark=true",
        "inference_mode=false",
        "detect_anomaly=true",
        "devices=auto",
        "limit_val_batches=1.0",
        "enable_checkpointing=true",
    ],
)
def test_honoured_options_train_and_score_everything(option: str, data: Path, tmp_path: Path) -> None:
    run = trained(data, tmp_path / "run", f"++trainer.{option}")
    assert run.metrics["train"]["steps"] == 8
    names, probability = RunDirectory(run.path).read_predictions()
    assert len(names) == len(probability) == 41


def test_a_profile_lies_in_the_folder_of_the_run(data: Path, tmp_path: Path) -> None:
    assert composed("train", "debug=profile", f"paths.run={tmp_path}")["trainer"]["profiler"]["dirpath"] == str(
        tmp_path
    )
    train(*SMALL, "debug=profile", "trainer.max_steps=2", data_root=data, out=tmp_path / "run")
    assert "Profiler Report" in (tmp_path / "run" / "fit-profile.txt").read_text()
