"""audiobag-doctor: check what runs and sweeps rely on, on the machine that will run them.

It composes no configuration, so it has plain options.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from audiobag.cli.streams import survive_closed_streams
from audiobag.utils.errors import ExitCode, InputError
from audiobag.utils.files import check_writable

if TYPE_CHECKING:
    from audiobag.doctor.finding import Check, Finding

_COLOURS: Final = {"ok": "green", "warning": "yellow", "failed": "red", "skipped": "dim"}
_EPILOG: Final = """
  audiobag-doctor                                this machine, and outputs/ for the results of runs
  audiobag-doctor /scratch/me --data data/audioset
  audiobag-doctor --faults                       small trainings are killed and must recover, two minutes
  srun --nodes=2 --ntasks=1 audiobag-doctor      the file system between two nodes
  docker run --rm audiobag:0.2.0-gpu doctor      what a container sees

Ends with 0 if nothing has failed, and with 3 otherwise.
"""


def main() -> None:
    """Run the command."""
    survive_closed_streams()
    options = _parser().parse_args()
    folder = Path(options.folder)
    try:
        check_writable(folder, "FOLDER")
    except InputError as error:
        sys.stderr.write(f"audiobag: {error}\n")
        raise SystemExit(ExitCode.USER) from None
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix=".audiobag-doctor-", dir=folder)).resolve()
    found: list[Finding] = []
    try:
        found += _examine(place, options)
    finally:
        if not any(str(place) in one.detail for one in found):  # a log that a finding names
            shutil.rmtree(place, ignore_errors=True)
        with suppress(OSError):  # a run has begun to write there, or a log stays
            for path in made:
                path.rmdir()
    if options.json:
        sys.stdout.write(json.dumps([one.as_dict() for one in found], indent=2) + "\n")
    if any(one.verdict.value == "failed" for one in found):
        raise SystemExit(ExitCode.SOME_JOBS_FAILED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="audiobag-doctor",
        description="Check what runs and sweeps rely on: file system, signals, ranks, devices, network.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("folder", nargs="?", default="outputs", metavar="FOLDER", help="where runs write (outputs)")
    parser.add_argument("--data", metavar="DIR", help="folder of stores, to open them")
    parser.add_argument("--faults", action="store_true", help="end small trainings in several ways, and continue them")
    parser.add_argument("--json", action="store_true", help="print a list of findings for scripts")
    parser.add_argument("--seconds", type=float, default=90, metavar="S", help="limit of a check (90)")
    return parser


def _examine(place: Path, options: argparse.Namespace) -> list[Finding]:
    """Run the checks and print each as soon as it is known."""
    from rich.console import Console
    from rich.text import Text

    from audiobag.doctor.finding import findings

    console = Console(stderr=options.json)
    console.print(Text(f"audiobag-doctor on {socket.gethostname()}", style="bold"))
    found = []
    for seconds, checks in ((options.seconds, _checks(place, options.data)), (900.0, _faults(place, options.faults))):
        for one in findings(checks, seconds):
            found.append(one)
            verdict = Text(f"{one.verdict.value:<9}", style=_COLOURS[one.verdict.value])
            console.print(Text.assemble(verdict, f"{one.name:<16}{one.detail}"), soft_wrap=True)
    counts = Counter(one.verdict.value for one in found)
    console.print(", ".join(f"{n} {verdict}" for verdict, n in counts.items()), highlight=False)
    return found


def _checks(place: Path, data: str | None) -> Iterator[tuple[str, Check]]:
    from audiobag.doctor import file_system, machine, network, processes
    from audiobag.doctor.elsewhere import second_place

    elsewhere = second_place()
    yield "outputs", partial(file_system.space, place.parent)
    yield "file locks", partial(file_system.locks, place, elsewhere)
    yield "atomic renames", partial(file_system.renames, place, elsewhere)
    yield "flushes", partial(file_system.flushes, place)
    yield "mapped files", partial(file_system.maps, place, elsewhere)
    yield "clock", partial(file_system.clock, place)
    if data is not None:
        yield "stores", partial(file_system.stores, Path(data))
    yield "cores", machine.cores
    yield "/dev/shm", machine.shared_memory
    yield "GPUs", machine.gpus
    yield "signals", processes.signals
    yield "ranks", processes.ranks
    yield "SLURM", processes.queue
    yield "W&B", network.wandb_server


def _faults(place: Path, wanted: bool) -> Iterator[tuple[str, Check]]:
    if wanted:
        from audiobag.doctor.faults import Faults

        folder = place / "faults"
        folder.mkdir()
        yield from Faults(folder).checks()


if __name__ == "__main__":
    main()
