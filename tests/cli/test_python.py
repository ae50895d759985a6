"""Training from Python with the options of the command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import audiobag
from audiobag.data.store import open_store
from audiobag.runs import RunDirectory
from audiobag.runs.presence import Stage, write_presence
from audiobag.runs.status import RunState, status
from audiobag.utils.errors import InputError
from audiobag.utils.files import locked
from tests.composing import trained


def test_a_notebook_trains_scores_and_predicts(data: Path, tmp_path: Path) -> None:
    run = trained(data, tmp_path / "run", "pooling=max")
    assert run.scores.mAP == pytest.approx(run.metrics["test"]["mAP"], abs=1e-12)
    assert run.scores.d_prime == pytest.approx(run.metrics["test"]["d_prime"], abs=1e-12)
    store = open_store(data / "eval.h5")
    assert run.per_class.names == run.tagger.class_names == store.description.class_names
    bags = np.split(store.frames, store.columns.offsets[1:-1])
    stored = RunDirectory(run.path).read_predictions()[1]
    np.testing.assert_allclose(run.tagger.predict(bags).clip, stored, atol=1e-6)


def test_a_complete_run_is_not_repeated(data: Path, tmp_path: Path) -> None:
    first = trained(data, tmp_path / "run")
    written = (tmp_path / "run" / "metrics.json").stat().st_mtime_ns
    assert trained(data, tmp_path / "run").metrics == first.metrics
    assert (tmp_path / "run" / "metrics.json").stat().st_mtime_ns == written
    with pytest.raises(ValueError, match=r"configuration: seed was 0, is 1; choose another folder$"):
        trained(data, tmp_path / "run", "seed=1")


def test_the_record_tells_overrides_choices_and_what_follows_the_seed(data: Path, tmp_path: Path) -> None:
    trained(data, tmp_path / "run", "pooling=max", "tags=[a,b]")
    record = RunDirectory(tmp_path / "run").config()
    assert "pooling=max" in record.overrides
    assert record.choices is not None
    assert (record.choices["pooling"], record.choices["lr_scheduler"]) == ("max", "constant")
    assert list(record.follows_seed) == ["seed", "data.seed"]
    assert record.config["tags"] == ["a", "b"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("embedding.depth=0", r"^embedding\.depth must be a whole number of at least 1, got 0$"),
        ("data.val_fraction=2", r"^data\.val_fraction must be a number in \[0, 1\)"),
        ("pooling.measure._target_=audiobag.pooling.Nothing", r"^pooling\.measure: "),
        ("+embedding.colour=red", r"^embedding: .*unexpected keyword argument 'colour'"),
        ("+optimiser.lr=0.1", r"did you mean optimizer\.lr\?"),
        ("+paths.datas=x", r"^paths\.datas is not a key that anything reads"),
        ("pooling=nothing", "Could not find 'pooling/nothing'"),
        ("seed=x", "'x' of type 'str' could not be converted to Integer"),
    ],
)
def test_an_unusable_option_raises_a_sentence_with_its_key(
    data: Path, tmp_path: Path, override: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        trained(data, tmp_path / "run", override)
    assert not (tmp_path / "run" / "metrics.json").exists()


@pytest.mark.parametrize("option", ["fast", "overfit", "profile"])
def test_debug_options_run(data: Path, tmp_path: Path, option: str) -> None:
    run = audiobag.train(f"debug={option}", "embedding.width=4", data_root=data, out=tmp_path / "run")
    assert run.metrics["train"]["steps"] == {"fast": 3, "overfit": 300, "profile": 50}[option]
    if option == "overfit":
        losses = list(RunDirectory(run.path).curve("train/loss").values())
        assert losses[-1] < losses[0]
    assert any(run.path.glob("fit-profile.txt")) == (option == "profile")


def test_a_folder_that_another_process_trains_in_is_refused(data: Path, tmp_path: Path) -> None:
    with (
        locked(tmp_path / ".lock", "busy"),
        pytest.raises(InputError, match=f"^another audiobag-train is running in {tmp_path}: wait"),
    ):
        trained(data, tmp_path)


def test_a_refused_training_leaves_the_interrupted_run_as_it_is(data: Path, tmp_path: Path) -> None:
    trained(data, tmp_path, "seed=1")
    (tmp_path / "metrics.json").unlink()
    write_presence(tmp_path / "progress.json", Stage.INTERRUPTED)
    with pytest.raises(InputError, match="holds a run of another configuration: seed was 1, is 2"):
        trained(data, tmp_path, "seed=2")
    assert status(tmp_path).state is RunState.INTERRUPTED
