"""A model whose pooling has no measure, from training to everything that users do with a run."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import jaxtyping
import numpy as np
import onnxruntime
import pytest
import torch

from audiobag.explore import open_runs
from audiobag.explore.views import class_view
from audiobag.export import Tagger, load, write_export
from audiobag.prediction import predict_to_file, predict_to_pictures
from audiobag.report import report
from audiobag.runs import RunDirectory
from tests.composing import trained
from tests.conftest import make_store

NEEDED = ("pooling=noisy_or", "logger=[csv,tensorboard]")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for seed, name in enumerate(("bal_train", "eval")):
        make_store(folder / f"{name}.h5", seed=seed)
    return folder


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A complete run, which trained, validated, drew and was scored."""
    folder = tmp_path_factory.mktemp("runs") / "noisy_or"
    trained(data, folder, *NEEDED)
    return RunDirectory(folder)


@pytest.fixture(scope="module")
def tagger(run: RunDirectory) -> Tagger:
    return load(run.path)


@pytest.fixture
def without_shape_checks() -> Iterator[None]:
    """Tracing replaces sizes by symbols, which the shape checks of the tests would fix to numbers."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_run_is_scored_and_its_tracker_has_pictures(run: RunDirectory) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert (run.metrics() or {})["status"] == "done"
    events = EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Images("measure")] == [4, 8]


def test_a_tagger_predicts_clips_and_frames(tagger: Tagger) -> None:
    found = tagger.predict(np.zeros((2, 3, 6), np.uint8), np.array([3, 1]))
    assert not tagger.has_measure
    assert found.measure is None
    torch.testing.assert_close(found.clip[1], found.frame[1, 0])


def test_files_leave_the_measure_out(run: RunDirectory, data: Path, tagger: Tagger, tmp_path: Path) -> None:
    options: dict[str, Any] = {"checkpoint": run.path, "source": data / "eval.h5", "threshold": 0.3, "top_k": None}
    frames = rows(predict_to_file(out=tmp_path / "a.csv", frames=True, **options).out)
    assert [*frames[0]] == ["video_id", "class", "probability", "start_seconds", "end_seconds", "frame"]
    segments = rows(predict_to_file(out=tmp_path / "b.csv", segments=True, **options).out)
    assert [*segments[0]] == [*frames[0]]
    assert [*rows(predict_to_file(out=tmp_path / "c.csv", **options).out)[0]] == ["video_id", "class", "probability"]
    lines = predict_to_file(out=tmp_path / "a.jsonl", frames=True, segments=True, **options).out.read_text()
    entry = json.loads(lines.splitlines()[0])["classes"][0]
    assert set(entry) == {"class", "probability", "frame", "segments"}
    assert set(entry["segments"][0]) == {"start_seconds", "end_seconds", "frame"}
    assert [*predict_to_file(out=tmp_path / "tracks", format="audacity", **options).out.iterdir()]
    with h5py.File(predict_to_file(out=tmp_path / "a.h5", frames=True, **options).out) as file:
        assert "measure" not in file
        f, offsets, F = file["frame"][:], file["offsets"][:], file["probability"][:]
    expected = [1 - (1 - f[a:b].astype(np.float64)).prod(0) for a, b in pairwise(offsets)]
    np.testing.assert_allclose(F, expected, atol=1e-6)


def test_pictures_show_the_frames(run: RunDirectory, data: Path, tmp_path: Path) -> None:
    done = predict_to_pictures(run.path, data / "eval.h5", tmp_path / "pictures", at_most=2)
    assert done.pictures == 2


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("kind", ["safetensors", "onnx", "torch_export"])
def test_exports_have_clip_and_frame(run: RunDirectory, data: Path, tagger: Tagger, tmp_path: Path, kind: str) -> None:
    out = write_export(run.path, tmp_path / "out", format=kind, replicates=0).folder
    card = (out / "README.md").read_text()
    assert "measure" not in card.replace("prediction.measure is None", "")
    frames, lengths = np.random.default_rng(0).integers(0, 256, (3, 7, 6), np.uint8), np.array([7, 1, 4])
    expected = tagger.predict(frames, lengths)
    if kind == "onnx":
        session = onnxruntime.InferenceSession(out / "model.onnx", providers=["CPUExecutionProvider"])
        assert [output.name for output in session.get_outputs()] == ["clip", "frame"]
        found = session.run(None, {"frames": frames, "lengths": lengths})
    elif kind == "torch_export":
        module = torch.export.load(out / "model.pt2").module()
        found = [x.detach().numpy() for x in module(torch.from_numpy(frames), torch.from_numpy(lengths))]
    else:
        predicted = load(out).predict(frames, lengths)
        found = [predicted.clip.numpy(), predicted.frame.numpy()]
    clip, frame = found
    np.testing.assert_allclose(clip, expected.clip, atol=1e-5)
    np.testing.assert_allclose(frame, expected.frame, atol=1e-5)


def test_the_hub_folder_of_a_tagger_loads(tagger: Tagger, tmp_path: Path) -> None:
    tagger.save_pretrained(tmp_path / "hub")
    assert not Tagger.from_pretrained(tmp_path / "hub").has_measure


def test_explore_shows_it_alone_and_beside_a_model_with_a_measure(
    run: RunDirectory, data: Path, tmp_path: Path
) -> None:
    trained(data, tmp_path / "other", "pooling=attention_sigmoid")
    for folders in ([run.path], [run.path, tmp_path / "other"], [tmp_path / "other", run.path]):
        opened = open_runs(folders, load)
        clips = class_view(opened, 1, range(len(folders)))["sections"]["mistaken"]
        for found in clips[0]["runs"]:
            assert found["f"]
            assert (found["p"] is None) is (folders[found["run"]] == run.path)
            assert found["adds"] is (found["p"] is not None)


def test_the_report_says_what_its_pictures_show(run: RunDirectory, tmp_path: Path) -> None:
    written = report([run.path], out=tmp_path / "report", replicates=0, load=load)
    assert not any("has no pictures" in notice for notice in written.notices)
    page = (tmp_path / "report" / "report.md").read_text()
    assert "Shown over time: frame probability f." in page
