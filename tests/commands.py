"""Commands in processes of their own, without the seconds that each takes to import torch and Lightning."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.permissions import drop_rights

_FORKED = multiprocessing.get_context("forkserver")
_FORKED.set_forkserver_preload(
    [
        "audiobag.cli.assemble",
        "audiobag.cli.command",
        *(f"audiobag.{name}" for name in ("export", "prediction", "prepare", "report", "training")),
    ]
)


def run_command(
    name: str,
    *arguments: str,
    cwd: Path,
    timeout: float = 240,
    rights: bool = True,
    first: Callable[[], object] | None = None,
    **variables: str,
) -> subprocess.CompletedProcess[str]:
    """Run a command as a user types it, in a copy of a process that has imported what commands import.

    What checks shapes in the tests is not installed there. A test of what happens when Python starts or ends, such as
    of imports, of streams or of ranks, must start the command itself.

    Args:
        name: of the command, such as `train`.
        *arguments: what the user types after it.
        cwd: the working directory.
        timeout: seconds after which the command is killed.
        rights: false to take away root's rights to files whose permissions forbid what it does.
        first: a function of a module, called in the process before the command.
        **variables: of the environment, besides those of the tests.
    """
    program = str(Path(sys.executable).with_name(f"audiobag-{name}"))
    with TemporaryDirectory() as folder:
        streams = [Path(folder, stream) for stream in ("stdout", "stderr")]
        given = (name, [program, *arguments], cwd, {**os.environ, **variables}, streams, rights, first)
        process = _FORKED.Process(target=_run, args=given)
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
        code = process.exitcode
        process.close()
        assert code is not None
        out, err = (path.read_text(encoding="utf-8") for path in streams)
    return subprocess.CompletedProcess([program, *arguments], code, out, err)


def train(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run `audiobag-train` in this process and return its exit code.

    Args:
        monkeypatch: sets the command line.
        *arguments: what the user types after the command.
    """
    monkeypatch.setattr(sys, "argv", ["audiobag-train", *arguments])
    try:
        import_module("audiobag.cli.train").main()
    except SystemExit as end:
        return int(str(end.code))
    return 0


def _run(
    name: str,
    arguments: list[str],
    folder: Path,
    environment: Mapping[str, str],
    streams: list[Path],
    rights: bool,
    first: Callable[[], object] | None,
) -> None:
    for number, path in enumerate(streams, 1):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[:] = arguments
    # As Python finds modules for an installed script: not in the working directory.
    sys.path[:] = [str(Path(arguments[0]).parent), *(p for p in sys.path if Path(p) != Path(__file__).parents[1])]
    if not rights:
        drop_rights()
    if first is not None:
        first()
    import_module(f"audiobag.cli.{name}").main()
