"""Several models as one tagger, weights in half precision, and taggers that are shipped in the package."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import jaxtyping
import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.special import expit, logit

import audiobag
from audiobag.cli.assemble import score
from audiobag.cli.options import typed
from audiobag.cli.schema import EvaluateOptions
from audiobag.export import pretrained, write_export
from audiobag.prediction import predict_to_file
from audiobag.runs import RunDirectory
from audiobag.runs.checkpoints import load_checkpoint
from audiobag.training import evaluate, evaluate_ensemble
from tests.composing import composed
from tests.export.fabricate import make_run

MEMBERS = {
    "softmax": ("pooling=attention_softmax", "embedding.width=8"),
    "max": ("pooling=max", "embedding.width=12"),
    "gru": ("embedding=gru", "embedding.width=6", "pooling=average"),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("members")
    for name, overrides in MEMBERS.items():
        make_run(folder / name, *overrides)
    return folder


def bags(B: int = 5, T: int = 7) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    return rng.integers(0, 256, (B, T, 6), dtype=np.uint8), rng.integers(1, T + 1, B)


def expected(members: list[Path], name: str) -> np.ndarray:
    frames, lengths = bags()
    found = [getattr(audiobag.load(member).predict(frames, lengths), name).double().numpy() for member in members]
    return expit(np.mean([logit(p.clip(1e-7, 1 - 1e-7)) for p in found], axis=0))


def test_an_ensemble_is_one_tagger_with_the_mean_logits_of_its_members(runs: Path, tmp_path: Path) -> None:
    members = [runs / name for name in MEMBERS]
    written = write_export(members, tmp_path / "out")
    assert written.files == ("README.md", "class_names.json", "config.json", "model.safetensors")
    tagger = audiobag.load(tmp_path / "out")
    frames, lengths = bags()
    found = tagger.predict(frames, lengths)
    np.testing.assert_allclose(found.clip, expected(members, "clip"), atol=1e-6)
    real = np.arange(frames.shape[1]) < lengths[:, None]
    np.testing.assert_allclose(found.frame.numpy()[real], expected(members, "frame")[real], atol=1e-6)
    assert not found.frame.numpy()[~real].any()
    assert found.measure is None
    hashes = [one.training["config_hash"] for one in tagger.model_config.members]
    assert hashes == [audiobag.load(member).model_config.training["config_hash"] for member in members]
    card = (tmp_path / "out" / "README.md").read_text()
    assert "An ensemble of 3 models" in card
    assert card.count("### Member") == 3
    tagger.write(tmp_path)
    assert audiobag.load(tmp_path).model_config == tagger.model_config


def test_an_ensemble_in_onnx_is_checked_against_pytorch(runs: Path, tmp_path: Path) -> None:
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        written = write_export([runs / name for name in MEMBERS], tmp_path / "out", format="onnx")
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
    assert written.difference is not None
    session = onnxruntime.InferenceSession(tmp_path / "out" / "model.onnx", providers=["CPUExecutionProvider"])
    frames, lengths = bags(B=3, T=9)
    clip, frame = session.run(None, {"frames": frames, "lengths": lengths})
    found = audiobag.load(tmp_path / "out").predict(frames, lengths)
    np.testing.assert_allclose(clip, found.clip, atol=1e-5)
    np.testing.assert_allclose(frame, found.frame, atol=1e-5)


def test_an_ensemble_in_torch_export(runs: Path, tmp_path: Path) -> None:
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        write_export([runs / "softmax", runs / "max"], tmp_path / "out", format="torch_export")
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
    frames, lengths = bags(B=3, T=9)
    module = torch.export.load(tmp_path / "out" / "model.pt2").module()
    clip, _ = module(torch.from_numpy(frames), torch.from_numpy(lengths))
    torch.testing.assert_close(clip, audiobag.load(tmp_path / "out").predict(frames, lengths).clip)


def test_members_of_other_classes_or_frames_are_refused_by_name(runs: Path, tmp_path: Path) -> None:
    checkpoint = runs / "max" / "checkpoints" / "step-00000008.ckpt"
    content = load_checkpoint(checkpoint)
    for key, value in (("class_names", [f"other {k}" for k in range(5)]), ("scale", 2.0)):
        torch.save({**content, "audiobag": {**content["audiobag"], key: value}}, tmp_path / "other.ckpt")
        with pytest.raises(ValueError, match=rf"other\.ckpt has other {key} than .*softmax"):
            write_export([runs / "softmax", tmp_path / "other.ckpt"], tmp_path / "out")
    with pytest.raises(ValueError, match=r"^checkpoint must have at least one"):
        write_export([], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda config: config.update(members=[]), "its members is missing"),
        (lambda config: config.update(members="x"), "its members is missing"),
        (lambda config: config["members"][1].pop("pooling"), "its pooling is missing"),
        (lambda config: config.pop("dim"), "its dim is missing"),
        (lambda config: config["members"].pop(), "its weights do not fit the 1 models"),
        (lambda config: config["members"][0]["pooling"].update(_target_="os.system"), "expected a class"),
    ],
)
def test_a_damaged_ensemble_is_refused(runs: Path, tmp_path: Path, change: object, said: str) -> None:
    write_export([runs / "softmax", runs / "max"], tmp_path / "out")
    path = tmp_path / "out" / "config.json"
    config = json.loads(path.read_text())
    change(config)  # type: ignore[operator]
    path.write_text(json.dumps(config))
    with pytest.raises(ValueError, match=said):
        audiobag.load(tmp_path / "out")


def options(*overrides: str) -> EvaluateOptions:
    """Return the options of audiobag-evaluate."""
    made = typed("evaluate", composed("evaluate", "data=own", *overrides, "paths.run=unused"))
    assert isinstance(made, EvaluateOptions)
    return made


def test_exports_are_scored_as_their_members(runs: Path, tmp_path: Path) -> None:
    one, both = tmp_path / "one", tmp_path / "both"
    write_export(runs / "max", one, replicates=0)
    members = [runs / name / "checkpoints" / "step-00000008.ckpt" for name in ("softmax", "max")]
    write_export(members, both, replicates=0)
    given = options(f"data.root={runs / 'data'}")
    expected = evaluate_ensemble(members, tmp_path / "expected")["test"]
    alone = score(given, [one], tmp_path / "alone")
    assert (alone["checkpoint"], alone["step"]) == (str(one), 8)
    assert alone["test"] == pytest.approx(evaluate(runs / "max", tmp_path / "run")["test"])
    assert score(given, [both], tmp_path / "as one")["test"] == pytest.approx(expected)
    assert score(given, [one, members[0]], tmp_path / "mixed")["test"] == pytest.approx(expected)


def test_the_card_has_the_command_that_made_the_weights(runs: Path, tmp_path: Path) -> None:
    run = RunDirectory(runs / "max")
    record = run.config()
    replace(record, overrides=["pooling=max", "data.train=bal train"]).write(run.path / "config.json")
    write_export(run.path, tmp_path / "out", replicates=0)
    record.write(run.path / "config.json")
    assert "| command | audiobag-train pooling=max 'data.train=bal train' |" in (tmp_path / "out/README.md").read_text()


def test_half_precision_halves_the_weights_and_computes_in_fp32(runs: Path, tmp_path: Path) -> None:
    write_export(runs / "max", tmp_path / "whole", replicates=0)
    write_export(runs / "max", tmp_path / "half", replicates=0, half=True)
    whole, half = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "half"))
    for name, weight in whole.items():
        assert half[name].dtype == (torch.float16 if weight.is_floating_point() else weight.dtype)
        torch.testing.assert_close(half[name], weight.to(half[name].dtype))
    tagger = audiobag.load(tmp_path / "half")
    assert {x.dtype for x in tagger.parameters()} == {torch.float32}
    found, before = (audiobag.load(tmp_path / name).predict(*bags()).clip for name in ("half", "whole"))
    torch.testing.assert_close(found, before, atol=2e-2, rtol=0)
    assert not torch.equal(found, before)


def test_a_weight_that_half_precision_cannot_hold_is_refused(runs: Path, tmp_path: Path) -> None:
    content = load_checkpoint(runs / "max" / "checkpoints" / "step-00000008.ckpt")
    next(iter(content["state_dict"].values())).view(-1)[0] = 1e6
    torch.save(content, tmp_path / "large.ckpt")
    with pytest.raises(ValueError, match=r"^half cannot be true: .* half precision cannot represent"):
        write_export(tmp_path / "large.ckpt", tmp_path / "out", replicates=0, half=True)


def test_the_shipped_taggers_are_small_and_load() -> None:
    for name, folder in pretrained.shipped().items():
        assert (folder / "model.safetensors").stat().st_size <= 8 * 2**20
        tagger = audiobag.load(name)
        frames = np.zeros((2, 3, tagger.model_config.dim), np.uint8)
        assert tagger.predict(frames).clip.shape == (2, len(tagger.class_names))
        assert tagger.card


def test_a_shipped_tagger_is_loaded_by_its_name(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path / "assets")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "assets").mkdir()
    write_export(runs / "max", tmp_path / "assets" / "small", replicates=0, half=True)
    expected = audiobag.load(tmp_path / "assets" / "small").predict(*bags()).clip
    torch.testing.assert_close(audiobag.load("small").predict(*bags()).clip, expected)
    torch.testing.assert_close(audiobag.predict("small", *bags()).clip, expected)
    done = predict_to_file("small", runs / "data" / "eval.h5", tmp_path / "tags.csv")
    assert done.clips == 40
    with pytest.raises(ValueError, match=r"no model at smal: .*a tagger in the package \(small\)"):
        audiobag.load("smal")
    scored = score(options(f"data.root={runs / 'data'}"), ["small"], tmp_path / "scored")
    assert scored["checkpoint"] == str(tmp_path / "assets" / "small")
    with pytest.raises(ValueError, match=r"small is an export already"):
        write_export("small", tmp_path / "out")
    shutil.copytree(tmp_path / "assets" / "small", tmp_path / "small")
    weights = load_file(tmp_path / "small" / "model.safetensors")
    save_file({name: torch.zeros_like(x) for name, x in weights.items()}, tmp_path / "small" / "model.safetensors")
    assert not torch.allclose(audiobag.load("small").predict(*bags()).clip, expected), "a path takes precedence"
