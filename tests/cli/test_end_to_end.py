"""The commands as a user types them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from audiobag.runs.checkpoints import load_checkpoint
from audiobag.runs.directory import RunDirectory
from tests.commands import run_command

SMALL = (
    "data.batch_size=16",
    "embedding.width=8",
    "trainer.max_steps=6",
    "trainer.val_check_interval=3",
    "callbacks.checkpoints.every=3",
)


def metrics(folder: Path) -> dict[str, Any]:
    record = json.loads((folder / "metrics.json").read_text())
    assert isinstance(record, dict)
    return record


def test_prepare_train_evaluate(tmp_path: Path) -> None:
    """The whole way, through published records."""
    prepared = run_command("prepare", "source=synthetic", "size=tiny", cwd=tmp_path)
    assert prepared.returncode == 0, prepared.stderr
    again = run_command("prepare", "source=synthetic", "size=tiny", cwd=tmp_path)
    assert again.returncode == 0
    root = "data.root=data/synthetic/tiny"
    trained = run_command("train", root, *SMALL, "hydra.run.dir=run", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert "eval, final weights" in trained.stdout
    assert str(tmp_path / "run") in trained.stdout.replace("\n", "")
    evaluated = run_command(
        "evaluate", "checkpoint=run/checkpoints/step-00000006.ckpt", "hydra.run.dir=again", cwd=tmp_path
    )
    assert evaluated.returncode == 0, evaluated.stderr
    assert metrics(tmp_path / "again")["test"] == metrics(tmp_path / "run")["test"]
    finished = (tmp_path / "run" / "metrics.json").stat().st_mtime_ns
    repeated = run_command("train", root, *SMALL, "hydra.run.dir=run", cwd=tmp_path)
    assert repeated.returncode == 0
    assert "the run is complete" in repeated.stderr
    assert (tmp_path / "run" / "metrics.json").stat().st_mtime_ns == finished


def test_missing_store_is_one_sentence(tmp_path: Path) -> None:
    refused = run_command("train", "data.root=nowhere", cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.strip().splitlines()[-1].startswith("audiobag: no store at nowhere/bal_train.h5")
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("command", "arguments", "said"),
    [
        ("prepare", ["source=synthetic", "size=tiny", "force=flase"], "force: Value 'flase' is not a valid bool"),
        (
            "prepare",
            ["source=synthetic", "size=huge"],
            "size: Invalid value 'huge', expected one of",
        ),
        ("train", ["data.root=null"], "data.root must be a folder, got null"),
        ("train", ["+optimiser.lr=0.1"], "optimiser.lr is not a key that anything reads: did you mean optimizer.lr?"),
        ("train", ["scheduler=cosine"], "scheduler is not a key: scheduler is now lr_scheduler"),
        ("train", ["-m", "seed=0,1", "+optimiser.lr=0.1"], "optimiser.lr is not a key that anything reads"),
    ],
)
def test_an_unusable_option_is_one_sentence(tmp_path: Path, command: str, arguments: list[str], said: str) -> None:
    # In a process of its own: the type checks of the tests would come first in this one.
    refused = run_command(command, *arguments, cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"audiobag: {said}")
    assert len(refused.stderr.splitlines()) == 1


def test_the_version_is_our_own(tmp_path: Path) -> None:
    assert run_command("train", "--version", cwd=tmp_path).stdout == f"audiobag {version('audiobag')}\n"


def test_options_of_ones_own_lie_in_conf_of_the_working_directory(data: Path, tmp_path: Path) -> None:
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "mine.yaml").write_text(
        "# @package _global_\ndefaults: [override /pooling: max]\nunits: 8\nembedding: {width: '${units}'}\n"
    )
    options = [option for option in SMALL if "width" not in option]
    done = run_command("train", "experiment=mine", *options, f"data.root={data}", "hydra.run.dir=run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    record = RunDirectory(tmp_path / "run").config()
    assert record.config["embedding"]["width"] == 8
    assert record.choices is not None
    assert record.choices["pooling"] == "max"


def test_sweep_with_two_ranks_a_job_equals_single_processes(data: Path, tmp_path: Path) -> None:
    """Exactly two jobs of two ranks each, and the numbers of one process with the same global batch."""
    common = (*SMALL, f"data.root={data}", "embedding.dropout=0")
    sweep = ("-m", "pooling=average,max", "trainer=ddp_cpu", "hydra.sweep.dir=two")
    two = run_command("train", *common, *sweep, cwd=tmp_path)
    assert two.returncode == 0, two.stdout + two.stderr
    jobs = sorted(str(p.parent.relative_to(tmp_path)) for p in tmp_path.rglob("metrics.json"))
    assert jobs == ["two/pooling-average", "two/pooling-max"]
    for pooling in ("average", "max"):
        one = run_command("train", *common, f"pooling={pooling}", f"hydra.run.dir={pooling}", cwd=tmp_path)
        assert one.returncode == 0, one.stdout + one.stderr
        ranks, single = metrics(tmp_path / "two" / f"pooling-{pooling}"), metrics(tmp_path / pooling)
        assert ranks["train"]["devices"] == 2
        assert ranks["config_hash"] == single["config_hash"]
        for part in ("val", "test"):
            for name in ("mAP", "AUC", "d_prime"):
                assert ranks[part][name] == pytest.approx(single[part][name], abs=1e-4)
    again = run_command("train", *common, *sweep, cwd=tmp_path)
    assert again.returncode == 0
    assert "0 jobs to run, 2 done before" in again.stderr + again.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_training_saves_and_continues_to_the_same_numbers(
    number: signal.Signals, data: Path, tmp_path: Path
) -> None:
    """Under two ranks the signal comes to one of them alone."""
    ranks = ("trainer=ddp_cpu",) if number is signal.SIGTERM else ()
    options = [*SMALL[:2], "trainer.max_steps=400", "trainer.val_check_interval=150", f"data.root={data}", *ranks]
    options.append("trainer.log_every_n_steps=1")
    command = [str(Path(sys.executable).with_name("audiobag-train")), *options, "hydra.run.dir=cut"]
    running = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (tmp_path / "cut" / "progress.json").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    running.send_signal(number)
    _, said = running.communicate(timeout=120)
    assert running.returncode == 75, said
    assert "continue with the same command and hydra.run.dir=" in said
    assert not (tmp_path / "cut" / "metrics.json").exists()
    (saved,) = (tmp_path / "cut" / "checkpoints").glob("step-*.ckpt")
    assert 0 < int(saved.stem.removeprefix("step-")) < 400
    for folder in ("cut", "whole"):
        assert run_command("train", *options, f"hydra.run.dir={folder}", cwd=tmp_path).returncode == 0
    for part in ("val", "test"):
        assert metrics(tmp_path / "cut")[part] == metrics(tmp_path / "whole")[part]
    cut, whole = (RunDirectory(tmp_path / folder).curve("train/loss") for folder in ("cut", "whole"))
    assert list(cut) == list(range(1, 401))
    assert cut == whole


@pytest.mark.skipif(shutil.which(os.environ.get("CXX", "g++")) is None, reason="needs a C++ compiler")
def test_a_compiled_model_learns_the_same(data: Path, tmp_path: Path) -> None:
    """In a process of its own: what checks shapes in the tests gets in the compiler's way."""
    options = (*SMALL, f"data.root={data}", "trainer.log_every_n_steps=1")
    for name, mode in (("plain", "null"), ("compiled", "default")):
        done = run_command("train", *options, f"compile={mode}", f"hydra.run.dir={name}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    plain, compiled = (RunDirectory(tmp_path / name).curve("train/loss") for name in ("plain", "compiled"))
    assert list(plain) == list(compiled) == list(range(1, 7))
    assert list(compiled.values()) == pytest.approx(list(plain.values()), rel=1e-4)
    weights = [load_checkpoint(tmp_path / n / "checkpoints" / "step-00000006.ckpt") for n in ("plain", "compiled")]
    assert weights[0]["state_dict"].keys() == weights[1]["state_dict"].keys()
