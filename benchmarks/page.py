"""The results as a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_HEAD = """# Benchmarks

audiobag and its peers are measured in turns, in one run. `make bench` writes this page and `benchmarks.json`;
`python -m benchmarks large` adds two million clips. Values are medians. The spread is (largest - smallest) / median
over the repeats. Ratios carry over to other machines better than seconds.
"""
_TITLES = {
    "loader": "Loading",
    "prepare": "Preparation",
    "metrics": "Metrics",
    "step": "The training step",
    "pooling": "Pooling",
    "kinds": "Kinds of pooling",
    "training": "Framework overhead",
    "startup": "Start",
    "growth": "Growth",
    "ranks": "Two ranks",
    "large": "Two million clips",
    "launches": "A step's operators",
    "gpu": "One GPU",
}


def page(measured: Mapping[str, Any]) -> str:
    """Return docs/benchmarks.md from the content of docs/benchmarks.json."""
    parts = [_HEAD]
    on_cpu = [part for name, part in measured.items() if name != "gpu"]
    latest = max(on_cpu, key=lambda part: part.get("when", ""), default={"machine": None})["machine"]
    for name, title in _TITLES.items():
        if name not in measured:
            continue
        part = measured[name]
        machine = part["machine"]
        where = f"{machine['cores']} cores ({machine['cpu']}, {machine['instructions']}), torch {machine['torch']}"
        if machine != latest and not machine["gpu"]:
            where = f"an earlier machine than that of the latest results: {where}"
        if machine["gpu"]:
            where += f", {machine['gpu']}"
        parts.append(f"## {title}\n\n{part['about']}\n\nOn {where}.\n")
        parts.append("| | median | spread | ratio | goal |\n| --- | --- | --- | --- | --- |")
        parts += [_line(row) for row in part["rows"]]
        parts.append("")
    if "gpu" not in measured:
        parts.append("There are no GPU results: none was available.\n")
    return "\n".join(parts)


def _line(row: Mapping[str, Any]) -> str:
    value = f"{row['value']:,.0f}" if row["value"] >= 1000 else f"{row['value']:.3g}"
    spread = f"{row['spread']:.0%}" if row["spread"] else ""
    ratio = f"{row['against']} {row['ratio']:.2f} x" if row["ratio"] is not None else ""
    value = f"{value} {row['unit']}".rstrip()
    return f"| {row['what']} | {value} | {spread} | {ratio} | {row['goal']} |"
