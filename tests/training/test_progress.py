"""What a run says of its progress: to a log, to progress.json, on a terminal."""

from __future__ import annotations

import json
import logging
import os
import re
import socket
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from lightning import Callback

from audiobag.data import BagDataModule
from audiobag.embedding import MLP
from audiobag.model import BagClassifier, build_model
from audiobag.pooling import Average, Expectation
from audiobag.runs.presence import Stage, present, stage_of, write_presence
from audiobag.sampler import Uniform
from audiobag.training import fit
from audiobag.utils.errors import Interrupted
from audiobag.utils.logs import IN_BAR, NotInBar
from audiobag.utils.times import duration
from tests.composing import trained


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.getMessage().startswith(("step", "scoring"))]


def test_a_line_at_each_validation(data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "audiobag"):
        trained(data, tmp_path)
    first, last, scoring = lines(caplog)
    assert re.fullmatch(r"step 4/8 loss \d\.\d{3} val/mAP 0\.\d{4} \d:\d\d left", first)
    assert re.fullmatch(r"step 8/8 loss \d\.\d{3} val/mAP 0\.\d{4}", last)
    assert scoring == "scoring the eval set"


class InBar(Callback):
    """Records the names of the numbers that Lightning would show in a progress bar."""

    seen: ClassVar[set[str]] = set()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        InBar.seen |= {*trainer.progress_bar_metrics, *(f"logged {name}" for name in trainer.logged_metrics)}


def test_no_step_reads_its_loss_for_a_bar(data: Path, tmp_path: Path) -> None:
    """Lightning reads such a number at each step, for which a GPU has to be waited for."""
    InBar.seen.clear()
    watch = "+callbacks.bar={_target_: tests.training.test_progress.InBar}"
    trained(data, tmp_path, "trainer.log_every_n_steps=1", watch)
    assert "logged train/loss" in InBar.seen
    assert "train/loss" not in InBar.seen


def test_lines_without_a_hold_out(data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "audiobag"):
        trained(data, tmp_path, "data.val_fraction=0", "trainer.max_steps=10")
    assert [line.split(" loss")[0] for line in lines(caplog)] == ["step 4/10", "step 8/10", "scoring the eval set"]


def test_the_terminal_drops_what_its_bar_shows() -> None:
    shown, hidden = (logging.makeLogRecord({"msg": "step 1/2", IN_BAR: in_bar}) for in_bar in (False, True))
    assert NotInBar().filter(shown)
    assert not NotInBar().filter(hidden)


def test_heartbeat_tells_where_a_run_is(data: Path, tmp_path: Path) -> None:
    trained(data, tmp_path, "+callbacks.heartbeat.seconds=0")
    told = json.loads((tmp_path / "progress.json").read_text())
    assert (told["step"], told["max_steps"], told["stage"]) == (8, 8, "scoring")
    assert (told["host"], told["pid"]) == (socket.gethostname(), os.getpid())
    assert stage_of(tmp_path)[0] is Stage.SCORING


@pytest.mark.parametrize(("error", "stage"), [(Interrupted(), Stage.INTERRUPTED), (KeyError("x"), Stage.FAILED)])
def test_presence_tells_how_a_run_ended(tmp_path: Path, error: Exception, stage: Stage) -> None:
    write_presence(tmp_path / "progress.json", Stage.TRAINING, step=3, max_steps=8)
    with pytest.raises(type(error)), present(tmp_path):
        raise error
    found, told = stage_of(tmp_path)
    assert (found, told["step"]) == (stage, 3)


@pytest.mark.parametrize("change", [{"pid": 2**22 + 1}, {"host": "elsewhere"}])
def test_a_process_that_is_gone_is_not_at_work(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "progress.json"
    write_presence(path, Stage.TRAINING, step=3, loss=float("nan"))
    assert stage_of(tmp_path)[0] is Stage.TRAINING
    told = json.loads(path.read_text())
    assert told["loss"] is None
    path.write_text(json.dumps({**told, **change}))
    os.utime(path, (1, 1))
    assert stage_of(tmp_path)[0] is None


def test_nobody_has_been_in_an_empty_folder(tmp_path: Path) -> None:
    assert stage_of(tmp_path) == (None, {})


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3723, "1:02:03")])
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def _model(data: BagDataModule) -> BagClassifier:
    data.setup("fit")
    store = data.test_store
    return build_model(
        partial(MLP, width=8), partial(Expectation, measure=Average), dim=store.dim, classes=store.classes
    )


def test_the_bar_counts_from_the_step_of_a_resumed_run(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    stores = BagDataModule(data, ["bal_train"], "eval", batch_size=16, val_fraction=0.3, sampler=Uniform)
    torch.manual_seed(0)
    fit(_model(stores), stores, tmp_path / "a", max_steps=6, val_check_interval=3, log_every_n_steps=2)
    shown = capfd.readouterr().err
    assert "step 0/6" in shown
    assert re.search(r"step 6/6.*steps/s.*val/mAP", shown)
    assert "scoring the eval set" in shown
    assert "Epoch" not in shown
    checkpoint = tmp_path / "a" / "checkpoints" / "step-00000006.ckpt"
    fit(
        _model(stores),
        stores,
        tmp_path / "b",
        max_steps=9,
        val_check_interval=3,
        log_every_n_steps=2,
        ckpt_path=checkpoint,
    )
    shown = capfd.readouterr().err
    assert "step 6/9" in shown
    assert "step 0/9" not in shown
