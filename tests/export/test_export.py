from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import jaxtyping
import numpy as np
import onnxruntime
import pytest
import torch

from audiobag.export import load, write_export
from audiobag.export.evidence import bootstrap
from audiobag.export.onnx_gru import OnnxGRU
from audiobag.export.write import whole_folder
from audiobag.runs import RunDirectory
from audiobag.runs.checkpoints import load_checkpoint
from tests.export.fabricate import make_run

# Tracing takes seconds: one graph of each kind here, all systems of the paper with the acceptance tests.
_OTHERS = ("attention_relu", "attention_sigmoid", "average", "average_unbalanced", "google_baseline")
PAPER = (
    "attention_softmax",
    "max",
    "rnn_average",
    *(pytest.param(name, marks=pytest.mark.acceptance) for name in _OTHERS),
)


@pytest.fixture(autouse=True)
def without_shape_checks() -> Iterator[None]:
    """Tracing replaces sizes by symbols, which the shape checks of the tests would fix to numbers."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def systems(data: Path, name: str) -> tuple[str, ...]:
    width = "embedding.width=8"
    return (f"experiment={name}", width, "data.val_fraction=0", "callbacks=default")


@pytest.mark.parametrize("name", PAPER)
def test_each_system_of_the_paper_runs_in_onnxruntime(tmp_path: Path, name: str) -> None:
    checkpoint, store = make_run(tmp_path / "run", *systems(tmp_path, name))
    written = write_export(checkpoint, tmp_path / "out", format="onnx", replicates=0)
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


_KINDS = {
    "pooling": {
        "feature_attention": (),
        "netvlad": ("pooling.clusters=3", "pooling.width=5", "pooling.hidden=7"),
    },
    "embedding": {
        "mlp": ("embedding.width=8", "embedding.batch_norm=true"),
        "residual_mlp": ("embedding.width=8",),
        "convolution": ("embedding.width=8",),
        "transformer": ("embedding.width=8", "embedding.heads=2", "embedding.hidden=8", "embedding.positions=6"),
        "lstm": ("embedding.width=8",),
    },
}
_OTHER_POOLINGS = {
    "set_transformer": ("pooling.width=8", "pooling.heads=2"),
    "gated_prototypes": ("pooling.prototypes=6",),
    "bag_attention": (),
    "gated_attention": (),
    "multi_head": ("pooling.heads=2",),
    "multi_level": (),
    "dual_stream": ("pooling.width=5",),
    "soft_dbof": ("pooling.clusters=6", "pooling.hidden=7"),
    "prototypes": ("pooling.prototypes=6",),
}


@pytest.mark.parametrize(
    "overrides",
    [
        *(pytest.param((f"{g}={n}", *o), id=n) for g, kinds in _KINDS.items() for n, o in kinds.items()),
        *(
            pytest.param((f"pooling={name}", *options), id=name, marks=pytest.mark.acceptance)
            for name, options in _OTHER_POOLINGS.items()
        ),
    ],
)
def test_each_kind_is_restored_and_runs_in_onnxruntime(tmp_path: Path, overrides: tuple[str, ...]) -> None:
    """The components are built by `safe_instantiate`, from the configuration in the checkpoint."""
    width = () if overrides[0].startswith("embedding=") else ("embedding.width=8",)
    checkpoint, store = make_run(tmp_path / "run", *width, *overrides)
    written = write_export(checkpoint, tmp_path / "out", format="onnx", replicates=0)
    assert written.difference is not None
    assert written.difference <= 1e-5
    frames = np.random.default_rng(0).integers(0, 256, (5, 13, store.dim), dtype=np.uint8)
    lengths = np.array([1, 13, 5, 7, 2])
    expected = load(tmp_path / "out").predict(frames, lengths)
    session = onnxruntime.InferenceSession(tmp_path / "out" / "model.onnx", providers=["CPUExecutionProvider"])
    found = dict(
        zip([one.name for one in session.get_outputs()], session.run(None, {"frames": frames, "lengths": lengths}))
    )
    assert set(found) == {"clip", "frame"} | ({"measure"} if expected.measure is not None else set())
    for name, array in found.items():
        np.testing.assert_allclose(array, getattr(expected, name), atol=1e-5)


@pytest.mark.parametrize("name", ["attention_softmax", "max"])
def test_torch_export_loads_without_this_package_and_takes_any_size(tmp_path: Path, name: str) -> None:
    checkpoint, store = make_run(tmp_path / "run", *systems(tmp_path, name))
    write_export(checkpoint, tmp_path / "out", format="torch_export", replicates=0)
    module = torch.export.load(tmp_path / "out" / "model.pt2").module()
    frames = torch.randint(0, 256, (5, 13, store.dim), dtype=torch.uint8)
    lengths = torch.tensor([1, 13, 5, 7, 2])
    expected = load(checkpoint).predict(frames, lengths)
    for key, found in zip(("clip", "frame", "measure"), module(frames, lengths)):
        torch.testing.assert_close(found, getattr(expected, key))


def test_torch_export_refuses_a_recurrent_network_which_torch_would_unroll(tmp_path: Path) -> None:
    checkpoint, _ = make_run(tmp_path / "run", *systems(tmp_path, "rnn_average"))
    with pytest.raises(ValueError, match=r"recurrent.*use format=onnx"):
        write_export(checkpoint, tmp_path / "out", format="torch_export", replicates=0)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "run"]


def test_a_model_that_torch_cannot_trace_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, _ = make_run(tmp_path / "run")
    # The number of real frames depends on the data, so torch knows no shape.
    monkeypatch.setattr("audiobag.embedding.MLP.forward", lambda self, x, mask: self.dense[0](x) * float(x[mask].sum()))
    with pytest.raises(ValueError, match=r"format torch_export cannot represent this model.*use format=safetensors"):
        write_export(checkpoint, tmp_path / "out", format="torch_export", replicates=0)
    assert load(write_export(checkpoint, tmp_path / "out", replicates=0).folder).class_names


def test_a_path_that_is_not_a_model_is_refused(tmp_path: Path) -> None:
    checkpoint, _ = make_run(tmp_path / "run")
    with pytest.raises(ValueError, match=r"data is neither an export folder nor a complete run .*or a checkpoint"):
        write_export(tmp_path / "data", tmp_path / "out")
    with pytest.raises(ValueError, match=r"no checkpoint at .*data: give a run's folder"):
        load_checkpoint(tmp_path / "data")
    with pytest.raises(ValueError, match="replicates must be a whole number of at least 0, got -1"):
        write_export(checkpoint, tmp_path / "out", replicates=-1)
    with pytest.raises(ValueError, match="nowhere"):
        write_export(checkpoint, tmp_path / "out", store="nowhere.h5")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("select", ["last", "best"])
def test_a_run_stands_for_the_weights_that_it_scored(tmp_path: Path, select: str) -> None:
    last, store = make_run(tmp_path / "run", select=select)
    best = last.with_name("best.ckpt")
    content = torch.load(last, weights_only=True)
    doubled = {name: 2 * x for name, x in content["state_dict"].items()}
    torch.save({**content, "state_dict": doubled, "global_step": 4}, best)
    write_export(tmp_path / "run", tmp_path / "out", replicates=0)
    assert "| mAP | 0.4500 |" in (tmp_path / "out" / "README.md").read_text()
    frames = store.frames[: store.columns.lengths[0]][None]
    expected = load(last if select == "last" else best).predict(frames).clip
    for model in (tmp_path / "out", tmp_path / "run"):
        torch.testing.assert_close(load(model).predict(frames).clip, expected)


def test_a_run_that_lost_its_checkpoint_or_is_unfinished_is_refused(tmp_path: Path) -> None:
    last, _ = make_run(tmp_path / "run")
    moved = last.rename(RunDirectory(tmp_path / "run").step_checkpoint(4))
    with pytest.raises(ValueError, match=f"no checkpoint at {last}, which holds the weights that were scored"):
        write_export(tmp_path / "run", tmp_path / "out")
    (tmp_path / "run" / "metrics.json").unlink()
    with pytest.raises(ValueError, match=f"is not a complete training run: give a checkpoint, such as {moved}"):
        write_export(tmp_path / "run", tmp_path / "out")


def test_a_checkpoint_trained_from_python_objects_is_refused(tmp_path: Path) -> None:
    checkpoint, _ = make_run(tmp_path / "run")
    content = torch.load(checkpoint, weights_only=True)
    del content["audiobag"]["config"]["embedding"]
    torch.save(content, checkpoint)
    with pytest.raises(ValueError, match="was trained from Python objects: build its model again"):
        load(checkpoint)


def test_a_graph_with_other_predictions_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint, _ = make_run(tmp_path / "run", *systems(tmp_path, "rnn_average"))

    class Wrong(OnnxGRU):
        def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return 0.9 * super().forward(x, mask)

    monkeypatch.setattr("audiobag.export.graph.OnnxGRU", Wrong)
    with pytest.raises(ValueError, match=r"differs from PyTorch's by"):
        write_export(checkpoint, tmp_path / "out", format="onnx", replicates=0)
    assert not (tmp_path / "out").exists()


def test_the_card_shows_data_recipe_and_scores(tmp_path: Path) -> None:
    checkpoint, store = make_run(tmp_path / "run")
    write_export(checkpoint, tmp_path / "out", replicates=20)
    card = (tmp_path / "out" / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: audiobag\nlicense: apache-2.0\n")
    assert store.content_sha256 in card
    assert "| mAP | 0.4500 | 0." in card
    assert "| d' | - |" in card
    assert "| class 1 | 4 | 0.900 | class 0 | 3 | 0.100 |" in card
    assert "class 2" not in card  # has no score
    assert "MLP(depth=3, width=8" in card
    assert "0123abcd" in card
    for heading in ("Data", "Recipe", "Scores", "Intended use", "Limits", "Licence", "Citation"):
        assert f"\n## {heading}\n" in card


def test_the_card_has_no_scores_of_other_weights(tmp_path: Path) -> None:
    checkpoint, _ = make_run(tmp_path / "run")
    content = torch.load(checkpoint, weights_only=True)
    torch.save({**content, "global_step": 3}, checkpoint)
    write_export(checkpoint, tmp_path / "out", replicates=0)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "scored other weights than these (its training ended at step 8)" in card
    assert "0.4500" not in card


def test_with_select_best_the_scores_are_those_of_the_best_checkpoint(tmp_path: Path) -> None:
    last, _ = make_run(tmp_path / "run", select="best")
    write_export(last, tmp_path / "a", replicates=0)
    write_export(last.rename(last.with_name("best.ckpt")), tmp_path / "b", replicates=0)
    assert ["0.4500" in (tmp_path / n / "README.md").read_text() for n in ("a", "b")] == [False, True]


def test_the_card_of_a_checkpoint_without_its_run_says_what_is_missing(tmp_path: Path) -> None:
    checkpoint, store = make_run(tmp_path / "run")
    (tmp_path / "run" / "metrics.json").unlink()
    write_export(checkpoint, tmp_path / "a", replicates=0)
    assert "is not complete: no scores" in (tmp_path / "a" / "README.md").read_text()
    store.path.unlink()
    with pytest.raises(ValueError, match="give store="):
        write_export(checkpoint, tmp_path / "b", format="onnx", replicates=0)


def test_nothing_is_overwritten_and_wrong_arguments_are_refused(tmp_path: Path) -> None:
    checkpoint, _ = make_run(tmp_path / "run")
    (tmp_path / "out").mkdir()
    with pytest.raises(ValueError, match="overwrite nothing"):
        write_export(checkpoint, tmp_path / "out", replicates=0)
    with pytest.raises(ValueError, match="format must be one of safetensors, onnx, torch_export, got tflite"):
        write_export(checkpoint, tmp_path / "new", format="tflite", replicates=0)
    write_export(checkpoint, tmp_path / "new", replicates=0)
    with pytest.raises(ValueError, match="is an export already"):
        write_export(tmp_path / "new", tmp_path / "newer")


def test_a_folder_is_written_completely_or_not_at_all(tmp_path: Path) -> None:
    def write(*names: str) -> None:
        with whole_folder(tmp_path / "out") as folder:
            for name in names:
                (folder / name).touch(exist_ok=False)

    with pytest.raises(FileExistsError):
        write("same", "same")
    assert not list(tmp_path.iterdir())
    write("a", "b")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a", "b", "out"]


def test_intervals_narrow_with_more_clips() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for clips in (100, 1600):
        labels = rng.random((clips, 3)) < 0.3
        probability = (0.5 * rng.random((clips, 3)) + 0.2 * labels).astype(np.float32)
        low, high = bootstrap(probability, labels, 200, lambda: None)["AUC"]
        widths.append(high - low)
    assert 2.5 < widths[0] / widths[1] < 6  # a quarter, since there are 16 times as many clips
    assert 0 < low < high <= 1


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint, _ = make_run(tmp_path / "run")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ValueError, match=r"pip install 'audiobag\[onnx\]'"):
        write_export(checkpoint, tmp_path / "out", format="onnx", replicates=0)
