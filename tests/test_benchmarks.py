from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from audiobag.data.store import open_store
from audiobag.prepare import prepare
from benchmarks import launches
from benchmarks.large import _gib
from benchmarks.measure import milliseconds, rates, seconds
from benchmarks.page import page
from benchmarks.prepare import multiply_release, on_one_core, write_release
from benchmarks.training import per_step

DOCS = Path(__file__).parents[1] / "docs"


def test_page_is_written_from_the_results() -> None:
    measured = json.loads((DOCS / "benchmarks.json").read_text())
    assert (DOCS / "benchmarks.md").read_text() == page(measured)


def test_candidates_take_turns_and_warm_up_is_left_out() -> None:
    order: list[str] = []
    taken = seconds({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, repeats=3, warm_up=1)
    assert order == ["a", "b"] * 4
    assert [len(v) for v in taken.values()] == [3, 3]


def test_rates_have_the_ratio_of_ours_to_each_peers() -> None:
    rows = rates({"ours": [0.5], "theirs": [2.0]}, {"ours": 100, "theirs": 40}, "ours", "clips/s", {"theirs": "5 x"})
    assert [row.value for row in rows] == [200, 20]
    assert rows[1].ratio == 10


def test_times_have_the_ratio_of_ours_to_each_peers() -> None:
    ours, peer = milliseconds({"theirs": [0.004], "ours": [0.001, 0.002, 0.003]}, "ours", {"theirs": "1 x"})
    assert (ours.value, ours.spread) == (2.0, 1.0)
    assert (peer.what, peer.value, peer.ratio, peer.goal) == ("theirs", 4.0, 0.5, "1 x")


def test_the_first_step_of_a_run_is_left_out() -> None:
    assert per_step([0.0, 9.0, 10.0, 12.0]) == [1.0, 2.0]


def test_results_of_another_machine_are_marked() -> None:
    row = {"what": "a step", "value": 1.0, "unit": "s", "spread": 0.0, "against": "", "ratio": None, "goal": ""}
    here = {"cpu": "new", "cores": 2, "instructions": "AVX512", "gpu": None, "torch": "2"}
    old = {"about": "Old.", "machine": {**here, "cpu": "old"}, "rows": [row]}
    new = {"about": "New.", "machine": here, "when": "2026-01-01", "rows": [row]}
    text = page({"loader": old, "step": new})
    assert "an earlier machine than that of the latest results: 2 cores (old" in text
    assert text.count("earlier machine") == 1


def test_memory_is_read_from_the_rollup_of_the_kernel() -> None:
    rollup = "00400000-7ffe [rollup]\nRss:  2097152 kB\nPss:  1048576 kB\nPss_Anon:  524288 kB\n"
    assert _gib(rollup) == {"Rss": 2.0, "Pss": 1.0, "Pss_Anon": 0.5}


def test_work_on_one_core_restores_the_other_cores() -> None:
    before, seen = os.sched_getaffinity(0), []
    on_one_core(lambda: seen.append(os.sched_getaffinity(0)))()
    assert [len(cores) for cores in seen] == [1]
    assert os.sched_getaffinity(0) == before


def test_a_release_is_repeated_under_other_ids(tmp_path: Path) -> None:
    release = write_release(tmp_path / "release", clips=8, shards=2)
    prepare(str(multiply_release(release, tmp_path / "full", clips=20)), tmp_path / "out", console=Console(quiet=True))
    store = open_store(tmp_path / "out" / "bal_train.h5")
    assert [int(i) for i in store.columns.video_id] == list(range(20))
    frames = np.asarray(store.frames).reshape(20, -1)
    assert (frames[8:16] == frames[:8]).all()


def test_a_training_step_has_few_operators(tmp_path: Path) -> None:
    (operators,) = launches.run(tmp_path)
    assert 14 + 14 < operators.value <= 74  # at least the matrix products and the sums of the gradients


def test_views_and_allocations_are_not_counted() -> None:
    with launches.Operators() as operators:
        torch.empty(2, 3).fill_(1).t().reshape(6).add(1)
    assert operators.count == 3  # fill_, the copy of a transposed tensor, add
