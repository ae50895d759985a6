"""Checkpoints of other trainings, given as ckpt_path."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiobag.utils.errors import InputError
from tests.composing import trained

FEW = ("trainer.max_steps=2", "data.val_fraction=0")


@pytest.fixture(scope="module")
def earlier(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(data, tmp_path_factory.mktemp("earlier"), *FEW).path


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["embedding.width=9"], r"of this model, but .*: embedding\.dense\.0\.weight is \[8, 6\], expected \[9, 6\]"),
        (["pooling=average"], r"of this model, but .*has other weights \(pooling\.measure"),
        (["optimizer=adamw"], "of this optimizer, AdamW, but"),
        (["lr_scheduler=cosine"], "with the lr_scheduler of this training, but .* has none"),
    ],
)
def test_another_training_is_refused_in_a_sentence(
    data: Path, tmp_path: Path, earlier: Path, options: list[str], said: str
) -> None:
    with pytest.raises(InputError, match=said.replace("but .*: ", r"but .*\(")):
        trained(data, tmp_path, *FEW[1:], "trainer.max_steps=4", f"ckpt_path={earlier}", *options)


def test_values_that_the_checkpoint_replaces_are_named(
    data: Path, tmp_path: Path, earlier: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trained(data, tmp_path, *FEW[1:], "trainer.max_steps=4", f"ckpt_path={earlier}", "optimizer.lr=0.5")
    assert "the optimizer continues with the values of" in caplog.text
    assert "lr=0.001" in caplog.text


def test_the_schedule_that_the_checkpoint_replaces_is_named(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cosine = (FEW[1], "lr_scheduler=cosine")
    first = trained(data, tmp_path / "first", FEW[0], *cosine).path
    options = (f"ckpt_path={first}", "trainer.max_steps=4", "optimizer.weight_decay=0.1")
    trained(data, tmp_path / "second", *cosine, *options)
    assert f"the optimizer continues with the values of {first}/checkpoints/step-00000002.ckpt: weight_d" in caplog.text
    assert (
        f"the lr_scheduler continues with the values of {first}/checkpoints/step-00000002.ckpt: T_max=2" in caplog.text
    )
    caplog.clear()
    (first / "metrics.json").unlink()
    trained(data, first, FEW[0], *cosine)
    assert "continues with the values" not in caplog.text
