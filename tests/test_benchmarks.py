from __future__ import annotations

import json
from pathlib import Path

from benchmarks.measure import rates, seconds
from benchmarks.page import page

DOCS = Path(__file__).parents[1] / "docs"


def test_the_page_is_what_was_measured() -> None:
    measured = json.loads((DOCS / "benchmarks.json").read_text())
    assert (DOCS / "benchmarks.md").read_text() == page(measured)


def test_candidates_take_turns_and_warm_up_is_left_out() -> None:
    order: list[str] = []
    taken = seconds({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, repeats=3, warm_up=1)
    assert order == ["a", "b"] * 4
    assert [len(v) for v in taken.values()] == [3, 3]


def test_ratios_are_ours_to_the_peers() -> None:
    rows = rates({"ours": [0.5], "theirs": [2.0]}, {"ours": 100, "theirs": 40}, "ours", "clips/s", {"theirs": "5 x"})
    assert [row.value for row in rows] == [200, 20]
    assert rows[1].ratio == 10
