from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audiobag.data.store import Store
from audiobag.labels import audioset_classes
from audiobag.report.collect import collect
from audiobag.report.systems import System, choose, group
from tests.conftest import make_store
from tests.report.fabricate import make_run

RECORDS = ("config.json", "metrics.json")


def systems(folder: Path) -> list[System]:
    return group(collect([folder])[0])[0]


def test_runs_that_differ_only_in_the_seed_are_one_system(sweep: Path) -> None:
    found = systems(sweep)
    assert [(s.name, s.seeds) for s in found] == [("average", (0, 1, 2)), ("attention_softmax", (0, 1, 2))]
    assert found[1].differences == {"pooling._target_": "audiobag.pooling.attention_softmax"}


def test_runs_on_different_devices_are_one_system(tmp_path: Path, scored: Store) -> None:
    for seed in range(2):
        options = {"threads": seed, "trainer": {"devices": seed + 1, "max_steps": 10}}
        make_run(tmp_path / "sweep" / str(seed), scored, seed, options=options)
    assert [s.seeds for s in systems(tmp_path / "sweep")] == [(0, 1)]


def test_the_name_has_the_experiment_and_its_changes(tmp_path: Path, scored: Store) -> None:
    given = ("experiment=paper/average", "data=balanced", "seed=0")
    make_run(tmp_path / "s" / "a", scored, experiment="paper/average", overrides=given)
    options = {"embedding": {"width": 1024}}
    overrides = (*given, "embedding.width=1024", "threads=1")
    make_run(tmp_path / "s" / "b", scored, experiment="paper/average", overrides=overrides, options=options)
    assert {s.name for s in systems(tmp_path / "s")} == {"paper/average", "paper/average embedding.width=1024"}


def test_systems_with_the_same_choices_are_named_by_their_options(tmp_path: Path, scored: Store) -> None:
    for width in (500, 1024):
        make_run(tmp_path / "s" / str(width), scored, options={"embedding": {"width": width}})
    assert {s.name for s in systems(tmp_path / "s")} == {"average embedding.width=500", "average embedding.width=1024"}


def test_the_same_configuration_on_other_data_is_another_system(tmp_path: Path, scored: Store) -> None:
    other = make_store(tmp_path / "other" / "eval.h5", clips=80, classes=5, seed=4)
    for name, store in (("a", scored), ("b", other)):
        make_run(tmp_path / "s" / name, store)
    expected = {f"average eval={store.content_sha256[:8]}" for store in (scored, other)}
    assert {s.name for s in systems(tmp_path / "s")} == expected


def test_a_repeated_seed_is_left_out(sweep: Path, scored: Store) -> None:
    make_run(sweep / "z_again", scored, 1, "average", quality=0.8)
    found, repeats = group(collect([sweep])[0])
    assert [len(s.runs) for s in found] == [3, 3]
    assert [r.path.name for r in repeats] == ["z_again"]
    assert "seed 1" in repeats[0].reason


RECIPE = {
    "data": {"batch_size": 500, "val_fraction": 0, "test": "eval"},
    "embedding": {"_target_": "audiobag.embedding.MLP", "depth": 3, "width": 500, "dropout": 0.2, "batch_norm": False},
    "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.001, "weight_decay": 0.0, "fused": True},
    "lr_scheduler": {},
}


def like_the_papers(system: System, classes: tuple[str, ...] | None = None, **changes: Any) -> System:
    """Return a system as if it had been trained on AudioSet with the paper's recipe, with changes to that."""
    names = audioset_classes().names if classes is None else classes
    (run, *others) = system.runs
    config = {k: {**v, **(changes[k] if isinstance(changes.get(k), dict) else {})} for k, v in RECIPE.items()}
    choices = {**run.choices, **{k: v for k, v in changes.items() if isinstance(v, str)}}
    run = replace(run, classes=replace(run.classes, names=names), config=config, choices=choices)
    return replace(system, runs=(run, *others))


def test_the_row_of_the_paper_is_that_of_its_system(sweep: Path) -> None:
    rows = [like_the_papers(s).published for s in systems(sweep)]
    assert [(r.mAP, r.AUC, r.d_prime) for r in rows if r] == [(0.296, 0.960, 2.473), (0.327, 0.965, 2.558)]
    full = like_the_papers(systems(sweep)[0], data="full").published
    assert full is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": ("dog", "cat", "bird", "rain", "car")},
        {"classes": audioset_classes().names[::-1]},
        {"data": "own"},
        {"data": "synthetic"},  # with the classes of AudioSet
        {"data": {"val_fraction": 0.1}},
        {"data": {"batch_size": 50}},
        {"embedding": {"width": 16}},
        {"embedding": {"dropout": 0.5}},
        {"optimizer": {"lr": 0.01}},
        {"optimizer": {"_target_": "torch.optim.SGD"}},
        {"lr_scheduler": {"_target_": "torch.optim.lr_scheduler.CosineAnnealingLR"}},
        {"sampler": "weighted"},
    ],
)
def test_other_data_and_recipes_have_no_row_of_the_paper(sweep: Path, changes: dict[str, Any]) -> None:
    assert like_the_papers(systems(sweep)[0], **changes).published is None


@pytest.mark.parametrize(
    ("wanted", "chosen"), [(None, "average"), ("attention_softmax", "attention_softmax"), ("deep", "mine/deep")]
)
def test_baseline(sweep: Path, scored: Store, wanted: str | None, chosen: str) -> None:
    make_run(sweep / "deep", scored, experiment="mine/deep", options={"embedding": {"depth": 9}})
    assert choose(systems(sweep), wanted).name == chosen


def test_an_unknown_baseline_is_refused(sweep: Path) -> None:
    with pytest.raises(ValueError, match="baseline must name one of average, attention_softmax, got max"):
        choose(systems(sweep), "max")


def test_runs_without_choices_are_named_by_their_folder(tmp_path: Path, scored: Store) -> None:
    """As `audiobag.training.fit` records them, which is given Python objects."""
    for name in ("small", "large"):
        run = make_run(tmp_path / name, scored, options={"model": f"{name}\nmodel"})
        for path, content in ((run.path / f, json.loads((run.path / f).read_text())) for f in RECORDS):
            path.write_text(json.dumps({**content, "choices": {}}))
    assert {s.name for s in systems(tmp_path)} == {"small", "large"}
