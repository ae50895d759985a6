from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from audiobag.data.store import Store
from audiobag.report.collect import collect
from audiobag.report.compare import best, differences, flags, pairwise, tied
from audiobag.report.evidence import Labels, examine
from audiobag.report.statistics import bootstrap_map, bootstrap_mean
from audiobag.report.systems import System, group
from tests.conftest import make_store
from tests.report.fabricate import make_run


def systems(folder: Path) -> list[System]:
    return group(collect([folder])[0])[0]


def test_a_difference_is_paired_and_averaged_over_seeds(sweep: Path, scored: Store) -> None:
    average, attention = found = systems(sweep)
    (difference,) = differences(found, average, examine(found, Labels(), [], 40)[0])
    mAP = {s.name: [r.metrics["test"]["mAP"] for r in s.runs] for s in found}
    assert difference.mean == pytest.approx(np.mean(mAP["attention_softmax"]) - np.mean(mAP["average"]))
    by_seed = np.subtract(mAP["attention_softmax"], mAP["average"])
    half = 4.302653 * by_seed.std(ddof=1) / 3**0.5  # Student's t, 2 degrees of freedom
    assert difference.seeds == pytest.approx((difference.mean - half, difference.mean + half))
    labels = scored.labels.dense()
    one, other = (
        np.mean([bootstrap_map(run.directory.read_predictions()[1], labels, 40) for run in s.runs], axis=0)
        for s in (attention, average)
    )
    half = 1.959964 * np.std(one - other, ddof=1)
    assert difference.clips == pytest.approx((difference.mean - half, difference.mean + half))
    gain = attention.average_precision - average.average_precision
    half = 1.959964 * np.std(bootstrap_mean(gain), ddof=1)
    assert difference.classes == pytest.approx((gain.mean() - half, gain.mean() + half))
    assert (difference.better, difference.worse) == ((gain > 0).sum(), (gain < 0).sum())


def test_each_pair_of_systems_is_compared_once(sweep: Path, scored: Store) -> None:
    make_run(sweep / "max", scored, pooling="max", quality=1.2)
    found = systems(sweep)
    pairs = pairwise(found, {})
    names = [s.name for s in found]
    assert [(d.system, d.baseline) for d in pairs] == [
        (names[1], names[0]),
        (names[2], names[0]),
        (names[2], names[1]),
    ]
    assert pairs[1].mean == pytest.approx(pairs[0].mean + pairs[2].mean)


def test_a_difference_without_evidence_has_no_interval_over_clips(sweep: Path) -> None:
    found = systems(sweep)
    (difference,) = differences(found, found[0], {})
    assert difference.clips is None
    assert difference.classes is not None


def test_averaged_predictions_are_compared_where_both_have_them(tmp_path: Path, scored: Store) -> None:
    for pooling, averaged in (("average", True), ("attention_relu", True), ("max", False)):
        make_run(tmp_path / "s" / pooling, scored, pooling=pooling, averaged=averaged)
    found = systems(tmp_path / "s")
    base = next(s for s in found if s.name == "average")
    compared = differences(found, base, examine(found, Labels(), [], 5)[0])
    assert {(d.system, d.scored, d.clips is not None) for d in compared} == {
        ("attention_relu", "test", True),
        ("max", "test", True),
        ("attention_relu", "test_averaged", True),
    }


def test_systems_with_different_classes_are_not_paired(tmp_path: Path, scored: Store) -> None:
    other = make_store(tmp_path / "other" / "eval.h5", clips=50, classes=3)
    make_run(tmp_path / "s" / "a", scored)
    make_run(tmp_path / "s" / "b", other, pooling="max")
    found = systems(tmp_path / "s")
    base = next(s for s in found if s.name == "average")
    (difference,) = differences(found, base, examine(found, Labels(), [], 5)[0])
    assert (difference.clips, difference.classes) == (None, None)
    assert best(found, base) is None
    (mixed,) = flags(found)
    assert mixed.startswith("Mixed data: 2 different contents of eval (")
    assert scored.content_sha256[:8] in mixed
    assert other.content_sha256[:8] in mixed


def test_the_best_other_system_is_compared_with_the_baseline(sweep: Path, scored: Store) -> None:
    make_run(sweep / "max", scored, pooling="max", quality=4.0)
    found = systems(sweep)
    chosen = best(found, found[0])
    assert chosen is not None
    assert chosen.name == "max"


def test_a_difference_is_judged_by_three_seeds_or_else_by_the_clips(sweep: Path, scored: Store) -> None:
    make_run(sweep / "max", scored, pooling="max", quality=0.9)
    found = {s.name: s for s in systems(sweep)}
    evidence = examine([*found.values()], Labels(), [], 40)[0]
    (seeds,) = differences([found["attention_softmax"]], found["average"], evidence)
    (clips,) = differences([found["max"]], found["average"], evidence)
    assert seeds.interval == (seeds.seeds, "3 seeds")
    assert clips.interval == (clips.clips, "clips")
    assert seeds.tells
    assert replace(seeds, seeds=(-0.1, 0.3)).tells is False
    assert replace(clips, clips=None, classes=None).interval is None
    top = found["attention_softmax"]
    assert tied(top, [*found.values()], "test", evidence) == set()
    near = replace(top, name="near")
    assert tied(top, [*found.values(), near], "test", {**evidence, "near": evidence[top.name]}) == {"near"}


def test_runs_with_equal_seeds_data_and_revision_give_no_warning(sweep: Path) -> None:
    assert flags(systems(sweep)) == []


def test_different_code_and_seeds_give_warnings(sweep: Path, scored: Store) -> None:
    make_run(sweep / "late", scored, pooling="max", revision="f" * 40 + "-dirty")
    code, dirty, seeds = flags(systems(sweep))
    assert code.startswith("Mixed code: 2 revisions (01234567:")
    assert "ffffffff-dirty: late" in code
    assert dirty == "Uncommitted code: late."
    assert "max: 0" in seeds
