from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import audiobag
from audiobag.data.store import Store
from audiobag.export import Tagger, load
from audiobag.runs import RunDirectory
from audiobag.runs.checkpoints import load_checkpoint
from tests.export.fabricate import make_run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Store]:
    return make_run(tmp_path_factory.mktemp("tagger") / "run")


@pytest.fixture
def tagger(made: tuple[Path, Store]) -> Tagger:
    return load(made[0])


@pytest.fixture
def folder(tagger: Tagger, tmp_path: Path) -> Path:
    tagger.write(tmp_path)
    return tmp_path


def bags(count: int = 3, T: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    return rng.integers(0, 256, (count, T, 6), dtype=np.uint8), np.arange(count) % T + 1


def same(a: Any, b: Any) -> bool:
    # Not bit for bit: the order of a sum can depend on the alignment of a tensor in memory.
    return all(
        torch.allclose(getattr(a, name), getattr(b, name), rtol=1e-6, atol=1e-6)
        for name in ("clip", "frame", "measure")
    )


def test_a_checkpoint_and_an_export_give_the_models_predictions(made: tuple[Path, Store], folder: Path) -> None:
    tagger = audiobag.load(made[0])
    assert tagger.class_names == made[1].description.class_names
    frames, lengths = bags()
    got = tagger.predict(frames, lengths)
    x = torch.from_numpy(frames)
    with torch.no_grad():
        expected = tagger.model(x, torch.arange(4) < torch.from_numpy(lengths)[:, None])
    assert same(got, expected)
    assert got.measure[0, 1:].abs().sum() == 0
    assert same(audiobag.load(str(folder)).predict(frames, lengths), expected)


def test_a_list_of_bags_is_padded_and_without_lengths_all_frames_count(tagger: Tagger) -> None:
    frames, lengths = bags()
    expected = tagger.predict(frames, lengths)
    got = tagger.predict([bag[:n] for bag, n in zip(frames, lengths)])
    torch.testing.assert_close(got.clip, expected.clip)
    assert not same(tagger.predict(frames), expected)
    assert same(tagger.predict(torch.from_numpy(frames)), tagger.predict(frames, [4, 4, 4]))


def test_bags_of_integers_and_of_floats_keep_their_values(tagger: Tagger) -> None:
    dim = tagger.model_config.dim
    integers, floats = np.ones((2, dim), np.uint8), np.full((3, dim), -100.5)
    together = tagger.predict([integers, floats])
    torch.testing.assert_close(together.clip[1:], tagger.predict([floats]).clip)


def test_prediction_has_no_dropout_even_while_training(tagger: Tagger) -> None:
    frames, lengths = bags()
    expected = tagger.predict(frames, lengths)
    assert not tagger.training
    tagger.train()
    assert same(tagger.predict(frames, lengths), expected)
    assert tagger.training


@pytest.mark.parametrize(
    ("frames", "lengths", "words"),
    [
        (np.zeros((4, 6), np.uint8), None, r"got \[4, 6\]"),
        (np.zeros((2, 4, 7), np.uint8), None, r"the shape \[clips, frames, 6\]"),
        (np.zeros((2, 4, 6), np.uint8), [0, 4], "from 1 to 4"),
        (np.zeros((2, 4, 6), np.uint8), [5, 4], "from 1 to 4"),
        (np.zeros((2, 4, 6), np.uint8), [4], "2 whole numbers"),
        (np.zeros((2, 4, 6), np.uint8), [1.5, 2.0], "whole numbers"),
        ([np.zeros((2, 6), np.uint8)], [2], "omit lengths when you pass a list"),
        ([np.zeros((2, 6)), np.zeros((2, 5))], None, "list of bags"),
        ([], None, "list of bags"),
        (np.zeros((0, 4, 6), np.uint8), None, "must have the shape"),
    ],
)
def test_frames_and_lengths_that_do_not_fit_are_refused(tagger: Tagger, frames: Any, lengths: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        tagger.predict(frames, lengths)


def test_hub_mixin_saves_and_loads_a_local_folder(tagger: Tagger, tmp_path: Path) -> None:
    tagger.card = "# mine\n"
    tagger.save_pretrained(tmp_path / "out")
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "README.md",
        "class_names.json",
        "config.json",
        "model.safetensors",
    }
    assert (tmp_path / "out" / "README.md").read_text() == "# mine\n"
    again = Tagger.from_pretrained(tmp_path / "out")
    assert same(again.predict(*bags()), tagger.predict(*bags()))
    assert again.card == "# mine\n"
    written, read = (replace(one.model_config, training={}) for one in (tagger, again))
    assert written == read
    assert again.model_config.training["config_hash"] == tagger.model_config.training["config_hash"]


def test_from_pretrained_downloads_only_the_files_of_an_export(
    tagger: Tagger, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def download(model_id: str, **options: Any) -> str:
        asked.update(options, model_id=model_id)
        return str(folder)

    monkeypatch.setattr("huggingface_hub.hub_mixin.hf_hub_download", lambda **_: str(folder / "config.json"))
    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    pulled = Tagger.from_pretrained("someone/model", revision="v1")
    assert same(pulled.predict(*bags()), tagger.predict(*bags()))
    assert (asked["model_id"], asked["revision"]) == ("someone/model", "v1")
    own = ["README.md", "class_names.json", "config.json", "encoder.safetensors", "model.safetensors", "transformers/*"]
    assert sorted(asked["allow_patterns"]) == own


def test_push_to_hub_uploads_the_folder(tagger: Tagger, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: dict[str, set[str]] = {}

    class Api:
        def __init__(self, **_: Any) -> None: ...

        def create_repo(self, repo_id: str, **_: Any) -> Any:
            return type("Repo", (), {"repo_id": repo_id})

        def upload_folder(self, repo_id: str, folder_path: Path, **_: Any) -> str:
            sent[repo_id] = {p.name for p in Path(folder_path).iterdir()}
            return "done"

    monkeypatch.setattr("huggingface_hub.hub_mixin.HfApi", Api)
    assert tagger.push_to_hub("someone/model") == "done"
    assert sent["someone/model"] >= {"config.json", "class_names.json", "model.safetensors", "README.md"}


def test_an_export_names_no_folder_of_the_machine_that_trained(made: tuple[Path, Store], folder: Path) -> None:
    checkpoint, _ = made
    run = checkpoint.parents[1]
    assert str(run) in json.dumps(load_checkpoint(checkpoint)["audiobag"]["config"])
    assert str(run) not in (folder / "config.json").read_text()


def test_a_path_to_a_run_is_enough_to_predict(made: tuple[Path, Store], tagger: Tagger) -> None:
    run = RunDirectory(made[0].parent.parent)
    expected = tagger.predict(*bags())
    assert same(audiobag.predict(run.path, *bags()), expected)
    assert same(audiobag.load(str(run.path)).predict(*bags()), expected)


@pytest.mark.parametrize("target", ["os.system", "builtins.print", "subprocess.Popen", "numpy.load"])
def test_a_file_that_names_other_code_is_refused(folder: Path, target: str) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["pooling"]["_target_"] = target
    config["allow"] = [target.split(".")[0]]  # a file cannot give itself permission
    (folder / "config.json").write_text(json.dumps(config))
    for read in (load, Tagger.from_pretrained):
        with pytest.raises(ValueError, match=target):
            read(folder)


def test_a_folder_that_is_damaged_is_refused(folder: Path, tmp_path: Path) -> None:
    whole = tmp_path.parent / f"{tmp_path.name}-whole"
    shutil.copytree(folder, whole)

    def damaged(name: str, content: str, words: str) -> None:
        (folder / name).write_text(content)
        with pytest.raises(ValueError, match=words):
            load(folder)
        shutil.copy(whole / name, folder)

    config = json.loads((folder / "config.json").read_text())
    damaged("config.json", "{", "neither an export folder nor a complete run")
    damaged("config.json", "[]", "format None")
    damaged("config.json", json.dumps({**config, "format": 9}), "format 9")
    damaged("config.json", json.dumps({**config, "dim": "6"}), "its dim")
    damaged("class_names.json", "[1]", "its class_names")
    damaged("model.safetensors", "x", "damaged")
    weights = load_file(folder / "model.safetensors")
    weights.pop("pooling.classifier.bias")
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"do not fit.*pooling\.classifier\.bias"):
        load(folder)
    with pytest.raises(ValueError, match="no model at"):
        load(folder / "nothing")
