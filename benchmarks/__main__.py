"""Measure, and write docs/benchmarks.json and docs/benchmarks.md.

python -m benchmarks                 all but the large ones
python -m benchmarks step metrics    only these
python -m benchmarks large           two million clips: ten minutes, 8 GB of disk

Benchmarks that do not run keep their earlier results, and the page says if another machine measured them.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from audiobag.training.devices import cpu_multiplies_bf16
from audiobag.utils.files import write_text
from benchmarks.page import page

DOCS = Path(__file__).parents[1] / "docs"
USUAL = (
    *("loader", "prepare", "metrics", "step", "pooling", "kinds", "training", "startup", "growth", "ranks"),
    *("launches", "gpu"),
)


def machine() -> dict[str, Any]:
    """Describe the machine."""
    cpu = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        cpu = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), cpu)
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    flags = torch.backends.cpu.get_cpu_capability()
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "instructions": f"{flags}, bf16" if cpu_multiplies_bf16() else flags,
        "gpu": gpu,
        "torch": torch.__version__,
    }


def main() -> None:
    """Run the benchmarks that are named on the command line."""
    parser = argparse.ArgumentParser(
        prog="benchmarks", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "names",
        nargs="*",
        choices=[*USUAL, "large", []],
        default=[],
        metavar="NAME",
        help=f"one of {', '.join([*USUAL, 'large'])}",
    )
    parser.add_argument("--work", type=Path, help="folder that keeps the generated stores; by default a temporary one")
    options = parser.parse_args()
    console = Console(stderr=True)
    path = DOCS / "benchmarks.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        for name in options.names or USUAL:
            module = importlib.import_module(f"benchmarks.{name}")
            about, began = (module.__doc__ or "").strip(), time.monotonic()
            console.print(f"{name}: {about}")
            rows = [row.as_dict() for row in module.run(work)]
            console.print(f"{name}: {len(rows)} results in {time.monotonic() - began:.0f} s")
            if rows:
                when = datetime.now(UTC).isoformat(timespec="seconds")
                kept[name] = {"about": about, "machine": machine(), "when": when, "rows": rows}
                write_text(path, json.dumps(kept, indent=1, sort_keys=True) + "\n")
                write_text(DOCS / "benchmarks.md", page(kept))


if __name__ == "__main__":
    main()
