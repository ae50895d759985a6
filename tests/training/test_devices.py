from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from audiobag.training.devices import concrete_accelerator, device_count, set_matmul_precision
from audiobag.training.options import check_clipping, check_options
from audiobag.training.trainer import TRAINER_DEFAULTS
from audiobag.utils.processes import available_cores
from tests.composing import trained

_PAGES = """
import resource
import numpy as np
from audiobag.training.devices import keep_freed_memory

def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        # Three at once, so that more than the C library keeps of its own accord is freed together.
        held = [np.ones(10_000_000, np.uint8) for _ in range(3)]
        del held
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = pages()
keep_freed_memory()
pages()
print(before, pages())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs glibc")
def test_freed_memory_is_kept_for_the_next_step() -> None:
    ran = subprocess.run([sys.executable, "-c", _PAGES], check=True, capture_output=True, text=True)
    before, after = map(int, ran.stdout.split())
    assert after < before / 10


@pytest.mark.parametrize(
    ("precision", "clip", "fused", "goes"),
    [
        ("16-mixed", 1.0, True, False),
        ("16-mixed", None, True, True),
        ("16-mixed", 1.0, False, True),
        ("bf16-mixed", 1.0, True, True),
    ],
)
def test_clipped_fp16_needs_an_optimizer_that_is_not_fused(
    precision: str, clip: float | None, fused: bool, goes: bool
) -> None:
    asked = {"precision": precision, "gradient_clip_val": clip}, fused
    if goes:
        check_clipping(*asked)
    else:
        with pytest.raises(ValueError, match="an optimizer that is not fused"):
            check_clipping(*asked)


@pytest.mark.parametrize(
    ("accelerator", "precision", "expected"),
    [("gpu", "bf16-mixed", "high"), ("gpu", "32-true", "highest"), ("cpu", "bf16-mixed", "highest")],
)
def test_tf32_is_for_mixed_precision_on_gpus(accelerator: str, precision: str, expected: str) -> None:
    before = torch.get_float32_matmul_precision()
    try:
        set_matmul_precision(accelerator, precision)
        assert torch.get_float32_matmul_precision() == expected
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize(("cuda", "mps", "expected"), [(1, 1, "gpu"), (0, 1, "mps"), (0, 0, "cpu")])
def test_auto_takes_the_best_device_there_is(
    cuda: bool, mps: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(cuda))
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: bool(mps))
    assert concrete_accelerator("auto") == expected
    assert concrete_accelerator("cpu") == "cpu"


@pytest.mark.parametrize(
    ("there", "options", "said"),
    [
        (True, {}, None),
        (False, {}, "torch finds no GPU of Apple here"),
        (True, {"precision": "bf16-mixed"}, "precision must be 32-true on Apple's GPUs"),
        (True, {"devices": 2}, "devices must be 1 on Apple's GPUs"),
    ],
)
def test_a_gpu_of_apple_is_one_device_with_full_precision(
    there: bool, options: dict[str, object], said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: there)
    asked = {**TRAINER_DEFAULTS, "accelerator": "mps", "max_steps": 1, **options}
    with pytest.raises(ValueError, match=said) if said else nullcontext():
        check_options(asked)
    assert device_count("mps", "auto") == 1


@pytest.mark.parametrize(("devices", "usable"), [(2, True), (3, False), ([0, 1], True), ([1, 2], False), (-1, True)])
def test_gpus_that_are_not_there_are_refused(
    devices: int | list[int], usable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    options = {**TRAINER_DEFAULTS, "accelerator": "gpu", "devices": devices}
    with nullcontext() if usable else pytest.raises(ValueError, match=r"^devices must be at most 2, "):
        check_options(options)


def test_a_run_starts_with_trainer_auto_and_without_what_linux_alone_has(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """mallopt, prctl and sched_getaffinity are taken away."""
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", lambda *_: object())
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert available_cores() == os.cpu_count()
    assert trained(data, tmp_path, "trainer=auto", "trainer.max_steps=2").metrics["train"]["accelerator"] == "cpu"
