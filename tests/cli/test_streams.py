"""Commands whose output nobody reads: `| head`, closed streams, a terminal that is gone."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from audiobag.cli.folders import flags_first

BIN = Path(sys.executable).parent
SMALL = ("data.batch_size=16", "embedding.width=8", "trainer.max_steps=2")


def shell(folder: Path, line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash; the exit codes of a pipe are its last line of output."""
    return subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.parametrize("command", ["audiobag-train --help", "audiobag-train --cfg job", "audiobag-predict --help"])
def test_help_into_a_closed_pipe_says_nothing(command: str, tmp_path: Path) -> None:
    done = shell(tmp_path, f'{command} | true; echo "${{PIPESTATUS[0]}}"')
    assert (done.stdout, done.stderr) == ("0\n", "")


@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", "2>&1 | true"])
def test_a_training_that_nobody_reads_ends_well(closed: str, data: Path, tmp_path: Path) -> None:
    line = f"audiobag-train {' '.join(SMALL)} data.root={data} hydra.run.dir=run {closed}"
    done = shell(tmp_path, f'{line}; echo "${{PIPESTATUS[0]}}"')
    assert done.stdout.splitlines()[-1] == "0", done.stdout + done.stderr
    assert (tmp_path / "run" / "metrics.json").exists()
    assert "clips to train on" in (tmp_path / "run" / "train.log").read_text()


def test_a_sweep_that_nobody_reads_runs_all_jobs(data: Path, tmp_path: Path) -> None:
    line = f"audiobag-train {' '.join(SMALL)} -m data.root={data} seed=0,1 hydra.sweep.dir=s 2>&1 | head -1"
    done = shell(tmp_path, f'{line}; echo "${{PIPESTATUS[0]}}"')
    assert done.stdout.splitlines()[-1] == "0"
    assert len(list((tmp_path / "s").rglob("metrics.json"))) == 2


@pytest.mark.parametrize("closed", ["2>&1 | true", ">&- 2>&-", "2>&-"])
def test_a_refusal_that_nobody_reads_keeps_its_exit_code(closed: str, tmp_path: Path) -> None:
    done = shell(tmp_path, f'audiobag-train data.root=nowhere {closed}; echo "${{PIPESTATUS[0]}}"')
    assert done.stdout == "2\n"


def test_a_run_whose_terminal_is_closed_is_saved(data: Path, tmp_path: Path) -> None:
    """The hang-up signal comes, and nothing can be written to the terminal any more."""
    master, terminal = pty.openpty()
    options = (*SMALL[:2], "trainer.max_steps=100000", "threads=1", f"data.root={data}", "hydra.run.dir=run")
    run = subprocess.Popen(
        [str(BIN / "audiobag-train"), *options],
        cwd=tmp_path,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    deadline = time.monotonic() + 120
    while not (tmp_path / "run" / "progress.json").exists() and time.monotonic() < deadline:
        os.set_blocking(master, False)
        try:
            os.read(master, 65536)
        except BlockingIOError:
            time.sleep(0.02)
    os.close(master)
    run.send_signal(signal.SIGHUP)
    assert run.wait(120) == 75
    assert len(list((tmp_path / "run" / "checkpoints").glob("step-*.ckpt"))) >= 1


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_lines_arrive_at_once(unbuffered: str) -> None:
    code = """
import os, sys
from audiobag.cli.streams import survive_closed_streams
survive_closed_streams()
sys.stderr.write("said\\n")
os._exit(0)
"""
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == "said\n"


def test_flags_may_stand_between_options() -> None:
    given = ["a=1", "-m", "b=2", "--config-name", "mine", "c=3", "--config-dir=x"]
    assert flags_first(given) == ["-m", "--config-name", "mine", "--config-dir=x", "a=1", "b=2", "c=3"]
