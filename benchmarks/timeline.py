"""A training step on a GPU, kernel by kernel: as single operations and as a CUDA graph.

python -m benchmarks.timeline OUT     writes OUT/timeline.json and OUT/timeline.png
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

_SHOWN = 90  # characters of a kernel's name


def timeline(step: Callable[[Tensor], object], index: Tensor) -> list[dict[str, Any]]:
    """Return name, start and duration in microseconds of each kernel of one step.

    Args:
        step: the step; it has run before.
        index: its argument.
    """
    for _ in range(5):
        step(index)
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as recorded:
        step(index)
        torch.cuda.synchronize()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        recorded.export_chrome_trace(str(path))
        events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    kernels = [e for e in events if e.get("cat") in ("kernel", "gpu_memcpy", "gpu_memset")]
    first = min((e["ts"] for e in kernels), default=0.0)
    return [
        {"name": e["name"][:_SHOWN], "start": round(e["ts"] - first, 2), "duration": round(e["dur"], 2)}
        for e in sorted(kernels, key=lambda e: e["ts"])
    ]


def draw(lines: dict[str, list[dict[str, Any]]], out: Path) -> None:
    """Draw the kernels over time, one row for each way to run the step.

    Args:
        lines: from `timeline`, by name.
        out: the picture.
    """
    figure, axis = plt.subplots(figsize=(10, 1 + 0.7 * len(lines)), layout="constrained")
    for row, (name, kernels) in enumerate(lines.items()):
        spans = [(k["start"], k["duration"]) for k in kernels]
        products = [("gemm" in k["name"].lower() or "cutlass" in k["name"] or "nvjet" in k["name"]) for k in kernels]
        colours = ["tab:blue" if product else "tab:orange" for product in products]
        axis.broken_barh(spans, (row - 0.35, 0.7), facecolors=colours)
        end, busy = max((a + b for a, b in spans), default=0), sum(b for _, b in spans)
        axis.text(end, row, f"  {name}: {end:.0f} us, {len(spans)} kernels, busy {busy:.0f} us", va="center")
    axis.set(yticks=[], xlabel="microseconds; matrix products blue, other kernels orange")
    axis.set_xlim(0, axis.get_xlim()[1] * 1.5)
    figure.savefig(out, dpi=110)
    plt.close(figure)


def main(out: Path) -> None:
    """Record and draw the paper's step in bf16-mixed."""
    from audiobag.data import BagDataset
    from audiobag.data.placement import Placement
    from audiobag.data.resident import ResidentBags
    from benchmarks.gpu import CUDA, eager_step, whole_step
    from benchmarks.stores import BALANCED, random_store

    with tempfile.TemporaryDirectory() as folder:
        store = random_store(Path(folder) / "bal_train.h5", BALANCED)
        bags = ResidentBags(BagDataset([store]), Placement("device").together([store], CUDA))
        index = torch.randint(0, BALANCED, (500,), device=CUDA)
        ways = {
            "single operations": eager_step(bags),
            "CUDA graph": whole_step(bags),
            "CUDA graph and compile=default": whole_step(bags, compiled=True),
        }
        with torch.autocast("cuda", torch.bfloat16):
            lines = {name: timeline(step, index) for name, step in ways.items()}
    (out / "timeline.json").write_text(json.dumps(lines, indent=0) + "\n", encoding="utf-8")
    draw(lines, out / "timeline.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
