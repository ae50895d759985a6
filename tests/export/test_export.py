from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import onnxruntime
import pytest
import torch

from audiobag.checkpoint import load_checkpoint
from audiobag.errors import UserError
from audiobag.export import export, load
from audiobag.export.evidence import bootstrap
from audiobag.export.write import whole_folder
from tests.composing import composed
from tests.export.fabricate import make_run

# Tracing takes seconds: here one of each kind of graph, with the acceptance tests all of the paper's.
_OTHERS = ("attention_relu", "attention_sigmoid", "average", "average_unbalanced", "google_baseline")
PAPER = (
    "attention_softmax",
    "max",
    "rnn_average",
    *(pytest.param(name, marks=pytest.mark.acceptance) for name in _OTHERS),
)


@pytest.fixture(autouse=True)
def without_shape_checks() -> Iterator[None]:
    """What traces a model gives it symbols for sizes, which the tests' shape checks would fix to numbers."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def options(checkpoint: Path, out: Path, *overrides: str) -> dict[str, Any]:
    return composed("export", f"checkpoint={checkpoint}", f"out={out}", "replicates=0", *overrides)


def systems(data: Path, name: str) -> tuple[str, ...]:
    width = "embedding.width=8"
    return (f"experiment=paper/{name}", width, "data.val_fraction=0", "callbacks=default")


@pytest.mark.parametrize("name", PAPER)
def test_each_system_of_the_paper_runs_in_onnxruntime(tmp_path: Path, name: str) -> None:
    checkpoint, store = make_run(tmp_path / "run", *systems(tmp_path, name))
    written = export(options(checkpoint, tmp_path / "out", "format=onnx"))
    assert written.difference is not None
    assert written.difference <= 1e-5
    assert "model.onnx" in written.files
    session = onnxruntime.InferenceSession(tmp_path / "out" / "model.onnx", providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    for B, T in ((1, 1), (5, 13)):
        frames = rng.integers(0, 256, (B, T, store.dim), dtype=np.uint8)
        lengths = rng.integers(1, T + 1, B)
        expected = load(tmp_path / "out").predict(frames, lengths)
        for key, found in zip(("clip", "frame", "measure"), session.run(None, {"frames": frames, "lengths": lengths})):
            np.testing.assert_allclose(found, getattr(expected, key), atol=1e-5)


@pytest.mark.parametrize("name", ["attention_softmax", "max"])
def test_torch_export_loads_without_this_package_and_takes_any_size(tmp_path: Path, name: str) -> None:
    checkpoint, store = make_run(tmp_path / "run", *systems(tmp_path, name))
    export(options(checkpoint, tmp_path / "out", "format=torch_export"))
    module = torch.export.load(tmp_path / "out" / "model.pt2").module()
    frames = torch.randint(0, 256, (5, 13, store.dim), dtype=torch.uint8)
    lengths = torch.tensor([1, 13, 5, 7, 2])
    expected = load(checkpoint).predict(frames, lengths)
    for key, found in zip(("clip", "frame", "measure"), module(frames, lengths)):
        torch.testing.assert_close(found, getattr(expected, key))


def test_recurrent_network_is_refused_where_torch_would_unroll_it(tmp_path: Path) -> None:
    checkpoint, _ = make_run(tmp_path / "run", *systems(tmp_path, "rnn_average"))
    with pytest.raises(UserError, match=r"recurrent.*use format=onnx"):
        export(options(checkpoint, tmp_path / "out", "format=torch_export"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "run"]


def test_what_torch_cannot_trace_is_refused_in_a_sentence(tmp_path: Path) -> None:
    checkpoint, _ = make_run(tmp_path / "run", "embedding.batch_norm=true")
    with pytest.raises(UserError, match=r"format=torch_export cannot hold this model.*use format=safetensors"):
        export(options(checkpoint, tmp_path / "out", "format=torch_export"))
    assert load(export(options(checkpoint, tmp_path / "out")).folder).class_names


def test_what_is_no_checkpoint_is_refused_with_what_to_give_instead(tmp_path: Path) -> None:
    checkpoint, _ = make_run(tmp_path / "run")
    for wrong, instead in ((tmp_path / "run", checkpoint), (tmp_path / "data", "RUN/checkpoints/step-00000300.ckpt")):
        with pytest.raises(UserError, match=rf"is no export folder .* or give a checkpoint like {instead}$"):
            export(options(wrong, tmp_path / "out"))
        with pytest.raises(UserError, match=rf"no checkpoint at {wrong}; expected a file like {instead}$"):
            load_checkpoint(wrong)
    for option in ("replicates=-1", "store=3"):
        with pytest.raises(UserError, match=option):
            export(options(checkpoint, tmp_path / "out", option))
    assert not (tmp_path / "out").exists()


def test_graph_that_says_other_numbers_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint, _ = make_run(tmp_path / "run", *systems(tmp_path, "rnn_average"))
    monkeypatch.setattr("audiobag.export.graph._update_first", lambda weight: weight.detach())
    with pytest.raises(UserError, match=r"differs from PyTorch's by"):
        export(options(checkpoint, tmp_path / "out", "format=onnx"))
    assert not (tmp_path / "out").exists()


def test_card_says_where_the_weights_come_from_and_what_they_are_worth(tmp_path: Path) -> None:
    checkpoint, store = make_run(tmp_path / "run")
    export({**options(checkpoint, tmp_path / "out"), "replicates": 20})
    card = (tmp_path / "out" / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: audiobag\nlicense: apache-2.0\n")
    assert store.content_sha256 in card
    assert "| mAP | 0.4500 | 0." in card
    assert "| d' | - |" in card
    assert "| class 1 | 4 | 0.900 | class 0 | 3 | 0.100 |" in card
    assert "class 2" not in card  # never scored
    assert "MLP(depth=3, width=8" in card
    assert "0123abcd" in card
    for heading in ("Data", "Recipe", "Scores", "Intended use", "Limits", "Licence", "Citation"):
        assert f"\n## {heading}\n" in card


def test_card_claims_no_scores_that_other_weights_had(tmp_path: Path) -> None:
    checkpoint, _ = make_run(tmp_path / "run")
    content = torch.load(checkpoint, weights_only=True)
    torch.save({**content, "global_step": 3}, checkpoint)
    export(options(checkpoint, tmp_path / "out"))
    card = (tmp_path / "out" / "README.md").read_text()
    assert "scored other weights than these (its training ended at step 8)" in card
    assert "0.4500" not in card


def test_best_weights_are_those_scored_where_the_best_were_selected(tmp_path: Path) -> None:
    last, _ = make_run(tmp_path / "run", select="best")
    export(options(last, tmp_path / "a"))
    export(options(last.rename(last.with_name("best.ckpt")), tmp_path / "b"))
    assert ["0.4500" in (tmp_path / n / "README.md").read_text() for n in ("a", "b")] == [False, True]


def test_card_of_a_checkpoint_alone_says_what_is_missing(tmp_path: Path) -> None:
    checkpoint, store = make_run(tmp_path / "run")
    (tmp_path / "run" / "metrics.json").unlink()
    export(options(checkpoint, tmp_path / "a"))
    assert "is not complete: no scores" in (tmp_path / "a" / "README.md").read_text()
    store.path.unlink()
    with pytest.raises(UserError, match="give store="):
        export(options(checkpoint, tmp_path / "b", "format=onnx"))


def test_nothing_is_overwritten_and_mistakes_are_named(tmp_path: Path) -> None:
    checkpoint, _ = make_run(tmp_path / "run")
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="overwrite nothing"):
        export(options(checkpoint, tmp_path / "out"))
    with pytest.raises(UserError, match="format=tflite; expected one of safetensors, onnx, torch_export"):
        export(options(checkpoint, tmp_path / "new", "format=tflite"))
    export(options(checkpoint, tmp_path / "new"))
    with pytest.raises(UserError, match="is an export already"):
        export(options(tmp_path / "new", tmp_path / "newer"))


def test_folder_is_whole_or_absent(tmp_path: Path) -> None:
    def write(*names: str) -> None:
        with whole_folder(tmp_path / "out") as folder:
            for name in names:
                (folder / name).touch(exist_ok=False)

    with pytest.raises(FileExistsError):
        write("same", "same")
    assert not list(tmp_path.iterdir())
    write("a", "b")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a", "b", "out"]


def test_intervals_hold_the_score_and_narrow_with_more_clips() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for clips in (100, 1600):
        labels = rng.random((clips, 3)) < 0.3
        probability = (0.5 * rng.random((clips, 3)) + 0.2 * labels).astype(np.float32)
        low, high = bootstrap(probability, labels, 40, lambda: None)["AUC"]
        widths.append(high - low)
    assert 2.5 < widths[0] / widths[1] < 6  # a fourth, by the square root of sixteen
    assert 0 < low < high <= 1


def test_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint, _ = make_run(tmp_path / "run")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"pip install 'audiobag\[onnx\]'"):
        export(options(checkpoint, tmp_path / "out", "format=onnx"))
