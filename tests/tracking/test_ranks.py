"""Two processes of one run: only the first rank tracks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from audiobag.runs import RunDirectory
from tests.tracking.dotwandb import starts


@pytest.mark.timeout(280)
def test_two_ranks_are_tracked_as_one_run(data: Path, tmp_path: Path) -> None:
    options = ("trainer=ddp_cpu", "trainer.max_steps=4", "trainer.log_every_n_steps=1", "data.batch_size=16")
    command = [str(Path(sys.executable).with_name("audiobag-train")), *options, "embedding.width=8"]
    where = [f"data.root={data}", "logger=wandb_offline", "tags=[a,b]", "hydra.run.dir=two"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, *where], cwd=tmp_path, env=environment, check=True, timeout=240)
    run = RunDirectory(tmp_path / "two")
    (tracked,) = starts(run.path)  # there is no other file, also not elsewhere
    assert [*tmp_path.rglob("*.wandb")] == [*tracked.folder.glob("*.wandb")]
    assert tracked.exit_code == 0
    assert tracked.run.run_id == run.tracked("wandb")["id"]
    assert tracked.config["trainer"]["devices"] == 2
    assert list(tracked.run.tags) == ["a", "b", "synthetic", "attention_softmax"]
    for name in ("train/loss", "train/clips_per_second"):
        assert tracked.curve(name) == pytest.approx(run.curve(name))
    assert [*tracked.curve("train/loss")] == [1, 2, 3, 4]
    test = (run.metrics() or {})["test"]
    for name in ("mAP", "AUC", "d_prime"):
        assert tracked.curve(f"test/{name}") == {4: pytest.approx(test[name], abs=1e-6)}
        assert tracked.summary[f"test/{name}"] == test[name]
