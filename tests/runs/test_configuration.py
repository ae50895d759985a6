"""The record of a run's configuration, what counts as the same, and records of older versions."""

from __future__ import annotations

import json
import os
import shutil
import socket
from contextlib import nullcontext
from pathlib import Path

import pytest

from audiobag.runs import OtherConfigurationError, RunConfig, RunDirectory, config_hash
from audiobag.runs.configuration import differences, read_config, upgraded

OLD_RUN = Path(__file__).parents[1] / "v0_1" / "run"
CONFIG = {
    "seed": 0,
    "threads": 2,
    "paths": {"run": "a"},
    "data": {"root": "here", "batch_size": 500},
    "trainer": {"max_steps": 10, "precision": "32-true", "devices": 1, "strategy": "auto"},
    "callbacks": {"averaging": None, "checkpoints": {"every": 5}},
    "logger": {"csv": {}},
}


def changed(group: str | None, key: str, value: object) -> dict[str, object]:
    if group is None:
        return {**CONFIG, key: value}
    return {**CONFIG, group: {**CONFIG[group], key: value}}  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("group", "key", "value"),
    [
        (None, "seed", 1),
        (None, "an_option_of_tomorrow", 1),
        ("data", "batch_size", 250),
        ("trainer", "max_steps", 11),
        ("trainer", "precision", "bf16-mixed"),
        ("callbacks", "averaging", {"first": 1}),
    ],
)
def test_the_hash_depends_on_what_can_change_the_result(group: str | None, key: str, value: object) -> None:
    assert config_hash(changed(group, key, value)) != config_hash(CONFIG)


def test_a_configuration_with_numbers_as_keys_is_the_same_when_it_is_read_again(tmp_path: Path) -> None:
    config = {**CONFIG, "loss": {"weights": {2: 0.5, 10: 1.0}}}
    run = RunDirectory(tmp_path)
    run.begin(RunConfig(config))
    run.write_metrics({"status": "done"})
    assert run.config().hash == config_hash(config)
    assert run.finished(config) == {"status": "done"}


@pytest.mark.parametrize(
    ("group", "key", "value"),
    [
        (None, "paths", {"run": "b"}),
        (None, "logger", None),
        (None, "threads", 1),
        ("data", "root", "there"),
        ("data", "placement", "device"),
        ("trainer", "devices", 8),
        ("trainer", "strategy", "ddp"),
        ("callbacks", "checkpoints", {"every": 7}),
    ],
)
def test_the_hash_does_not_depend_on_where_and_how(group: str | None, key: str, value: object) -> None:
    assert config_hash(changed(group, key, value)) == config_hash(CONFIG)


def test_the_hash_is_stable_over_releases() -> None:
    """A changed hash makes every finished run of every user look unfinished."""
    assert config_hash(CONFIG) == "e1cadd851f7fab65"


def test_a_key_that_means_what_happened_before_does_not_change_the_hash() -> None:
    assert config_hash({**CONFIG, "ckpt_path": None, "init_from": None}) == config_hash(CONFIG)
    assert config_hash({**CONFIG, "init_from": "other.ckpt"}) != config_hash(CONFIG)
    assert config_hash(changed("data", "fold", None)) == config_hash(CONFIG)
    assert config_hash(changed("data", "folds", 5)) == config_hash(CONFIG)
    assert config_hash(changed("data", "fold", 0)) != config_hash(CONFIG)


def test_a_record_reads_back_as_written(tmp_path: Path) -> None:
    record = RunConfig(CONFIG, ["seed=0"], {"data": "own"}, ["seed"], threads=3)
    run = RunDirectory(tmp_path)
    run.begin(record)
    assert run.config() == record
    assert run.threads() is None  # it has not trained yet
    run.write_metrics({"status": "done"})
    assert run.threads() == 3
    assert json.loads((tmp_path / "config.json").read_text())["config_hash"] == record.hash


def test_the_seed_is_taken_out_wherever_it_went() -> None:
    record = RunConfig({"seed": 3, "data": {"seed": 3, "batch_size": 3}}, follows_seed=["seed", "data.seed"])
    assert record.without_seed == {"seed": None, "data": {"seed": None, "batch_size": 3}}


def test_differences_name_key_and_both_values() -> None:
    now = {**CONFIG, "seed": 1, "threads": 7, "trainer": {**CONFIG["trainer"], "max_steps": 400}, "new": True}  # type: ignore[dict-item]
    assert differences(CONFIG, now) == [
        "seed was 0, is 1",
        "trainer.max_steps was 10, is 400",
        "new was not set, is true",
    ]
    assert differences(now, CONFIG)[-1] == "new was true, is not set"
    assert differences(CONFIG, CONFIG) == []


def test_a_component_of_another_class_is_one_difference() -> None:
    fusion = {"_target_": "a.Fusion", "hidden": 3, "measure": {"_target_": "a.Max"}}
    before = {"sampler": {"_target_": "a.Uniform"}, "data": {"sampler": {"_target_": "a.Uniform"}, "seed": 3}}
    now = {"sampler": {"_target_": "a.Balanced"}, "data": {"sampler": {"_target_": "a.Balanced"}, "seed": 4}}
    changes = {
        "lr_scheduler": ({}, {"_target_": "a.Cosine", "steps": 3}),
        "augment": ({}, {"mixup": {"_target_": "a.Mixup", "alpha": 1}}),
        "options": ({}, None),
        "averaging": (None, {"first": 3}),
        "pooling": (fusion, {**fusion, "measure": {"_target_": "a.Mean", "p": 2}}),
    }
    both = [{**old, **{key: change[i] for key, change in changes.items()}} for i, old in enumerate((before, now))]
    del both[1]["options"]
    assert differences(*both) == [
        "sampler was Uniform, is Balanced",
        "data.seed was 3, is 4",
        "lr_scheduler was empty, is Cosine",
        "options was empty, is not set",
        'averaging was null, is {"first": 3}',
        "pooling.measure was Max, is Mean",
        "augment.mixup was not set, is Mixup",
    ]


@pytest.mark.parametrize(
    ("trace", "begun"),
    [
        ("train.log", False),
        ("job.yaml", False),
        ("csv/version_0/hparams.yaml", False),
        ("checkpoints/step-00000003.ckpt", True),
        ("csv/version_0/metrics.csv", True),
        ("before/step-00000003/config.json", True),
    ],
)
def test_a_folder_in_which_nothing_was_trained_takes_another_configuration(
    tmp_path: Path, trace: str, begun: bool
) -> None:
    run = RunDirectory(tmp_path)
    run.begin(RunConfig(CONFIG))
    run.note_tracked("wandb", {"id": "x"})
    (tmp_path / trace).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / trace).touch()
    with pytest.raises(OtherConfigurationError) if begun else nullcontext():
        run.begin(RunConfig({**CONFIG, "seed": 2}))
    assert run.config().config["seed"] == (0 if begun else 2)
    assert bool(run.tracked("wandb")) is begun  # the failed run of a tracker is not continued


def test_a_folder_in_which_another_process_works_takes_no_other_configuration(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.begin(RunConfig(CONFIG))
    progress = {"stage": "starting", "host": socket.gethostname(), "pid": os.getppid()}
    run.progress.write_text(json.dumps(progress))
    with pytest.raises(OtherConfigurationError, match="seed was 0, is 2"):
        run.begin(RunConfig({**CONFIG, "seed": 2}))
    run.progress.write_text(json.dumps({**progress, "pid": os.getpid()}))
    run.begin(RunConfig({**CONFIG, "seed": 2}))


def test_another_configuration_is_refused_with_its_differences(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.begin(RunConfig(CONFIG))
    run.write_metrics({"status": "done"})
    run.begin(RunConfig({**CONFIG, "threads": 9}))
    with pytest.raises(OtherConfigurationError, match=r"another configuration: seed was 0, is 2$"):
        run.begin(RunConfig({**CONFIG, "seed": 2}))


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"config": 3}'])
def test_a_foreign_record_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"config\.json"):
        read_config(tmp_path)


def test_a_record_of_a_later_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"config": {}, "schema": 99}))
    with pytest.raises(ValueError, match="schema 99, this version reads up to"):
        read_config(tmp_path)


def test_a_run_of_the_first_version_has_its_configuration(tmp_path: Path) -> None:
    record = read_config(OLD_RUN)
    config = record.config
    assert config["data"]["batch_size"] == 16
    assert config["data"]["sampler"] == {"_target_": "audiobag.sampler.Balanced", "_partial_": True}
    assert config["callbacks"]["checkpoints"]["folder"] == "run/checkpoints"
    assert config["callbacks"]["averaging"]["_target_"] == "audiobag.training.callbacks.PredictionAveraging"
    assert (config["lr_scheduler"], "scheduler" in config) == ({}, False)
    assert record.without_seed["data"]["seed"] is record.without_seed["seed"] is None
    assert record.threads == 2
    assert record.choices is not None
    assert record.choices["pooling"] == "attention_softmax"
    assert "embedding.width=4" in record.overrides


def test_a_run_of_the_first_version_is_complete_for_the_same_configuration(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(OLD_RUN, folder)
    config = dict(read_config(folder).config)
    assert RunDirectory(folder).finished({**config, "tags": ["a"], "init_from": None}) is not None
    with pytest.raises(OtherConfigurationError, match="seed was 0, is 1"):
        RunDirectory(folder).finished({**config, "seed": 1})


def test_a_run_of_the_first_version_is_protected_after_hydra_has_overwritten_its_configuration(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(OLD_RUN, folder)
    written = folder / ".hydra" / "config.yaml"
    written.write_text(written.read_text().replace("seed: 0", "seed: 1"))
    with pytest.raises(OtherConfigurationError, match="its hash is ef12d3ad5b36a715"):
        RunDirectory(folder).finished(dict(read_config(folder).config))


def test_schedulers_of_the_first_version_are_renamed() -> None:
    assert upgraded({"scheduler": {"a": 1}, "seed": 0}, 1) == {"lr_scheduler": {"a": 1}, "seed": 0}
    assert upgraded({"scheduler": {}}, 2) == {"scheduler": {}}


def make_hydra(folder: Path, config: str) -> None:
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "config.yaml").write_text(config)
    (folder / ".hydra" / "hydra.yaml").write_text("hydra: {runtime: {output_dir: there}}")


def test_references_are_followed_and_resolvers_are_not_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    make_hydra(
        tmp_path, "seed: 3\ndata: {seed: '${seed}', at: '${hydra:runtime.output_dir}/x', env: '${oc.env:SECRET}'}"
    )
    config = read_config(tmp_path).config
    assert config == {"seed": 3, "data": {"seed": 3, "at": "there/x", "env": None}}


@pytest.mark.parametrize(
    "config", ["- a", "a: [", "a: ${nowhere}", "a: ${b}\nb: ${a}", "a: &x [1]\nb: [*x, *x]"], ids=range(5)
)
def test_an_unreadable_configuration_of_the_first_version_is_refused(tmp_path: Path, config: str) -> None:
    make_hydra(tmp_path, config)
    with pytest.raises(ValueError, match="does not hold a run's configuration"):
        read_config(tmp_path)
