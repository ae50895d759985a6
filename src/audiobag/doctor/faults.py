"""Faults made on purpose: trainings that are interrupted or killed, lose a rank or find a full disk must recover."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from audiobag.doctor.finding import Check, Finding, failed, ok, skipped
from audiobag.utils.errors import ExitCode
from audiobag.utils.files import read_json

_STEPS: Final = 300
_PATIENCE: Final = 240.0
_TRAINING: Final = (
    "data.batch_size=50",
    "embedding.width=32",
    f"trainer.max_steps={_STEPS}",
    "trainer.val_check_interval=100",
    "callbacks.checkpoints.every=20",
    "+callbacks.heartbeat.seconds=0",
    "threads=1",
)
_FULL: Final = """
mount -t tmpfs -o size=2m tmpfs "$1" || exit 90
shift_to="$1"; shift
"$@"; echo "code $?"
mount -o remount,size=500m "$shift_to"
"$@"; echo "code $?"
cat "$shift_to/metrics.json"
"""


@dataclass(frozen=True, slots=True)
class Faults:
    """Trainings with faults in a folder, compared with one that nothing disturbs.

    Args:
        folder: an empty folder on the file system to check.
    """

    folder: Path

    def checks(self) -> Iterator[tuple[str, Check]]:
        """Yield the checks, in the order in which they must run."""
        yield "undisturbed run", self._undisturbed
        yield "SIGTERM", lambda: self._ended(signal.SIGTERM)
        yield "SIGKILL", lambda: self._ended(signal.SIGKILL)
        yield "lost rank", self._lost_rank
        yield "full disk", self._full_disk

    def _undisturbed(self) -> Finding:
        begun = time.monotonic()
        made = self._start(_command("prepare", "source=synthetic", "size=tiny", f"out={self.folder / 'data'}"))
        code = made.wait(_PATIENCE) or self._train("undisturbed").wait(_PATIENCE)
        if code:
            return failed(f"a small training ended with exit code {code}: {self._end_of_log()}")
        return ok(f"prepared, trained and scored in {time.monotonic() - begun:.0f} s")

    def _ended(self, number: signal.Signals) -> Finding:
        """End a training by a signal, and continue it."""
        name = number.name
        run = self._train(name)
        if not self._reaches_step(run, name):
            return failed(f"the training ended before the signal: {self._end_of_log()}")
        run.send_signal(number)
        code = run.wait(_PATIENCE)
        if number is signal.SIGTERM and code != ExitCode.INTERRUPTED:
            return failed(f"exit code {code}, expected {ExitCode.INTERRUPTED:d}")
        code = self._train(name).wait(_PATIENCE)
        if code or self._scores(name) != self._scores("undisturbed"):
            return self._not_same(code)
        return ok("the same command continued it, with the results of the undisturbed run")

    def _lost_rank(self) -> Finding:
        """Kill the second of two ranks."""
        run = self._train("rank", "trainer=ddp_cpu")
        if not self._reaches_step(run, "rank"):
            return failed(f"two ranks did not train: {self._end_of_log()}")
        children = _children(run.pid)
        if not children:
            return _stopped(run, skipped("the ranks cannot be listed on this system"))
        begun = time.monotonic()
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        try:
            code = run.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            return _stopped(run, failed(f"the other rank still waits after {_PATIENCE:.0f} s"))
        seconds = time.monotonic() - begun
        if code == 0:
            return failed("the run ended with exit code 0 although a rank was killed")
        code = self._train("rank", "trainer=ddp_cpu").wait(_PATIENCE)
        if code:
            return self._not_same(code)
        return ok(f"the run ended after {seconds:.0f} s, and the same command continued it")

    def _full_disk(self) -> Finding:
        """Train in a file system of 2 MB, then in a larger one. It is mounted in a name space of its own."""
        place = self.folder / "full"
        place.mkdir()
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        if shutil.which("unshare") is None:
            return skipped("there is no unshare, which mounts a small file system")
        script = ["unshare", "--mount", *user, "sh", "-c", _FULL, "full", str(place)]
        done = subprocess.run(
            [*script, *self._training(str(place))],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        codes = [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("code ")]
        if len(codes) < 2:
            return skipped("this system does not let its users mount a small file system")
        said = next((line for line in done.stderr.splitlines() if "no space is left" in line), None)
        if codes[0] == 0 or said is None:
            return failed(f"a full disk ended with exit code {codes[0]}, and no message about it")
        text = done.stdout.rpartition("code 0\n")[2]
        if codes[1] or _comparable(json.loads(text or "{}")) != self._scores("undisturbed"):
            return self._not_same(codes[1])
        return ok("one sentence and exit code 2; with space again, the same command continued")

    def _train(self, name: str, *options: str) -> subprocess.Popen[bytes]:
        return self._start(self._training(name, *options))

    def _training(self, name: str, *options: str) -> list[str]:
        data = f"data.root={self.folder / 'data'}"
        return _command("train", data, *_TRAINING, *options, f"hydra.run.dir={name}")

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": "1"}
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(command, cwd=self.folder, env=environment, stdout=log, stderr=log)

    def _reaches_step(self, run: subprocess.Popen[bytes], name: str) -> bool:
        """Wait until a training has taken 40 steps and has a checkpoint; return whether it still runs."""
        path = self.folder / name
        deadline = time.monotonic() + _PATIENCE
        while run.poll() is None and time.monotonic() < deadline:
            if read_json(path / "progress.json").get("step", 0) >= 40 and any(path.glob("checkpoints/step-*.ckpt")):
                return True
            time.sleep(0.01)
        run.kill()
        run.wait()
        return False

    def _scores(self, name: str) -> dict[str, Any]:
        return _comparable(read_json(self.folder / name / "metrics.json"))

    def _not_same(self, code: int) -> Finding:
        if code:
            return failed(f"continued, it ended with exit code {code}: {self._end_of_log()}")
        return failed("continued, it has other results than the undisturbed run")

    def _end_of_log(self) -> str:
        lines = (self.folder / "log").read_text(encoding="utf-8", errors="replace").splitlines()
        return f"{lines[-1] if lines else ''} ({shlex.quote(str(self.folder / 'log'))})"


def _command(name: str, *options: str) -> list[str]:
    return [sys.executable, "-m", f"audiobag.cli.{name}", *options]


def _comparable(metrics: dict[str, Any]) -> dict[str, Any]:
    return {key: metrics.get(key) for key in ("config_hash", "val", "test")}


def _children(parent: int) -> list[int]:
    """Return the ranks that a process has started, on Linux."""
    try:
        return [int(one) for one in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    except OSError:
        return []


def _stopped(run: subprocess.Popen[bytes], finding: Finding) -> Finding:
    run.kill()
    run.wait()
    return finding
