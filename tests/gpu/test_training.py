"""Trainings on a GPU: placements, CUDA graphs, interruption, checkpoints, ranks, memory."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import h5py
import numpy as np
import pytest
import torch
from lightning import Callback

from audiobag.explore import open_runs
from audiobag.export import load, write_export
from audiobag.prediction import predict_to_file
from audiobag.runs import RunDirectory
from audiobag.runs.checkpoints import load_checkpoint
from audiobag.training import evaluate
from audiobag.training.callbacks import RunCheckpoints
from tests.gpu.components import names, options, trained

DEVICE = ("trainer=gpu", "data.placement=device", "embedding.width=32")
WINDOW = (
    "callbacks=averaging",
    "callbacks.averaging.first=4",
    "callbacks.averaging.last=8",
    "callbacks.averaging.every=2",
)
GRAPH, EAGER = ("graph=always",), ("graph=never",)
FP32 = ("trainer.precision=32-true",)


def probabilities(folder: Path, name: str = "probability") -> Any:
    with h5py.File(folder / "predictions.h5") as file:
        return np.asarray(file[name][()])


def weights(folder: Path, step: int = 8) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = load_checkpoint(RunDirectory(folder).step_checkpoint(step))["state_dict"]
    return state


def continued(whole: Path, folder: Path, step: int) -> Path:
    """Copy a run as if it had been interrupted after a step."""
    shutil.copytree(whole, folder)
    for name in ("metrics.json", "predictions.h5", "per_class.csv"):
        (folder / name).unlink()
    for checkpoint in (folder / "checkpoints").glob("*.ckpt"):
        if checkpoint.name != f"step-{step:08d}.ckpt":
            checkpoint.unlink()
    return folder


@pytest.mark.parametrize("precision", ["32-true", "16-mixed", "bf16-mixed"])
def test_placements_give_the_same_numbers(stores: Path, tmp_path: Path, precision: str) -> None:
    found = []
    for place in ("mapped", "memory", "device"):
        chosen = (*DEVICE, *EAGER, f"data.placement={place}", f"trainer.precision={precision}")
        trained(stores, tmp_path / place, *chosen)
        found.append(probabilities(tmp_path / place))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize(
    ("chosen", "tolerance"),
    [
        (("trainer.precision=32-true",), 1e-5),
        (("trainer.precision=bf16-mixed",), 2e-3),
        (("trainer.precision=32-true", "optimizer=adamw", "lr_scheduler=cosine", *WINDOW), 1e-5),
    ],
)
def test_a_graph_trains_as_single_operations_do(
    stores: Path, tmp_path: Path, chosen: tuple[str, ...], tolerance: float
) -> None:
    """Dropout and learning rates included; a graph reads its learning rate in fp32."""
    for name, kind in (("eager", EAGER), ("graph", GRAPH)):
        trained(stores, tmp_path / name, *DEVICE, *kind, *chosen)
    for name in ("probability", "probability_averaged")[: 1 + ("callbacks=averaging" in chosen)]:
        eager, graph = (probabilities(tmp_path / kind, name) for kind in ("eager", "graph"))
        np.testing.assert_allclose(graph, eager, atol=tolerance)
    start, end = load_checkpoint(tmp_path / "graph/checkpoints/step-00000006.ckpt"), weights(tmp_path / "graph")
    assert any(not torch.equal(end[name], start["state_dict"][name]) for name in end)
    assert isinstance(start["optimizer_states"][0]["param_groups"][0]["lr"], float)


CAPTURED = [(g, n) for g in ("pooling", "embedding", "loss", "sampler") for n in names(g) if n not in ("gru", "lstm")]


@pytest.mark.parametrize(("group", "name"), CAPTURED)
def test_a_training_with_each_component_is_captured(stores: Path, tmp_path: Path, group: str, name: str) -> None:
    run = trained(stores, tmp_path, *DEVICE[:2], *options(group, name), *GRAPH)
    assert 0 < run.metrics["test"]["mAP"] <= 1


def test_batch_normalisation_is_captured(stores: Path, tmp_path: Path) -> None:
    counts = []
    for name, kind in (("eager", EAGER), ("graph", GRAPH)):
        trained(stores, tmp_path / name, *DEVICE, *kind, *FP32, "embedding.batch_norm=true")
        state = weights(tmp_path / name)
        counts.append([int(x) for key, x in state.items() if "num_batches_tracked" in key])
    assert counts[0] == counts[1]
    np.testing.assert_allclose(probabilities(tmp_path / "graph"), probabilities(tmp_path / "eager"), atol=1e-5)


@pytest.mark.parametrize("average", ["ema", "swa"])
def test_weights_with_batch_norm_are_averaged(stores: Path, tmp_path: Path, average: str) -> None:
    chosen = (f"callbacks=[default,{average}]", f"callbacks.{average}.first=4", f"callbacks.{average}.every=2")
    for name, kind in (("eager", EAGER), ("graph", GRAPH)):
        trained(stores, tmp_path / name, *DEVICE, *kind, *FP32, "embedding.batch_norm=true", *chosen)
    np.testing.assert_allclose(probabilities(tmp_path / "graph"), probabilities(tmp_path / "eager"), atol=1e-5)


def test_a_step_that_waits_is_run_by_single_operations(
    stores: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    chosen = (*DEVICE, *FP32, "embedding=gru", "embedding.dropout=0")
    run = trained(stores, tmp_path / "auto", *chosen)
    assert "they wait for the GPU" in caplog.text
    assert run.metrics["train"]["steps"] == 8
    trained(stores, tmp_path / "never", *chosen, *EAGER)
    np.testing.assert_allclose(probabilities(tmp_path / "auto"), probabilities(tmp_path / "never"), atol=1e-4)
    with pytest.raises(ValueError, match="graph cannot be always, since a step waits for the GPU"):
        trained(stores, tmp_path / "always", *chosen, *GRAPH)


@pytest.mark.parametrize("deterministic", ["null", "true"])
@pytest.mark.parametrize("kind", [EAGER, GRAPH])
def test_an_interrupted_run_continues_to_identical_numbers(
    stores: Path, tmp_path: Path, kind: tuple[str, ...], deterministic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunCheckpoints, "KEEP", 9)
    chosen = (*DEVICE, *kind, *WINDOW, "lr_scheduler=cosine", f"+trainer.deterministic={deterministic}")
    try:
        whole = trained(stores, tmp_path / "whole", *chosen)
        for step in (3, 6):
            part = continued(whole.path, tmp_path / str(step), step)
            assert trained(stores, part, *chosen).metrics["test"] == whole.metrics["test"]
            for name in ("probability", "probability_averaged"):
                np.testing.assert_array_equal(probabilities(part, name), probabilities(whole.path, name))
            assert all(torch.equal(x, weights(whole.path)[name]) for name, x in weights(part).items())
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("first", ["cpu", "gpu"])
@pytest.mark.parametrize("kind", [EAGER, GRAPH])
def test_a_run_moves_between_cpu_and_gpu(
    stores: Path, tmp_path: Path, first: str, kind: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunCheckpoints, "KEEP", 9)
    still = ("embedding.width=32", "embedding.dropout=0", *FP32, *WINDOW)
    places = {"cpu": ("trainer=cpu", *still), "gpu": ("trainer=gpu", "data.placement=device", *kind, *still)}
    whole = trained(stores, tmp_path / "whole", *places[first])
    part = continued(whole.path, tmp_path / "part", 6)
    (second,) = places.keys() - {first}
    trained(stores, part, *places[second])
    np.testing.assert_allclose(probabilities(part), probabilities(whole.path), atol=1e-5)
    average = "probability_averaged"
    np.testing.assert_allclose(probabilities(part, average), probabilities(whole.path, average), atol=1e-5)


def test_a_checkpoint_of_a_gpu_is_evaluated_predicted_exported_and_explored(stores: Path, tmp_path: Path) -> None:
    run = trained(stores, tmp_path / "run", *DEVICE, *FP32)
    on_cpu, on_gpu = (evaluate(run.path, tmp_path / a, accelerator=a) for a in ("cpu", "gpu"))
    assert on_gpu["test"] == run.metrics["test"]
    assert on_cpu["test"]["mAP"] == pytest.approx(run.metrics["test"]["mAP"], abs=1e-3)
    tagger = load(run.path)
    (explored,) = open_runs([run.path], load)
    bags = [
        np.asarray(explored.store.frames[a:b]) for a, b in zip(*(explored.store.columns.offsets[s:] for s in (0, 1)))
    ]
    for device in ("cpu", "cuda"):
        found = tagger.to(device).predict(bags)
        assert found.clip.device.type == "cpu"
        np.testing.assert_allclose(found.clip.numpy(), probabilities(run.path), atol=1e-5)
    for device in ("cpu", "cuda"):
        predict_to_file(run.path, explored.store.path, tmp_path / f"{device}.h5", device=device)
        with h5py.File(tmp_path / f"{device}.h5") as file:
            np.testing.assert_allclose(file["probability"][:], probabilities(run.path), atol=1e-5)
    write_export(run.path, tmp_path / "export", replicates=0)
    np.testing.assert_allclose(load(tmp_path / "export").predict(bags).clip, probabilities(run.path), atol=1e-5)
    assert explored.clips(0)["found"]


@pytest.mark.parametrize("ranks", [1, 2])
def test_ddp(stores: Path, tmp_path: Path, ranks: int) -> None:
    """One rank with NCCL gives the numbers of no DDP; two ranks nearly so."""
    if torch.cuda.device_count() < ranks:
        pytest.skip(f"needs {ranks} GPUs")
    chosen = ("trainer=gpu", *EAGER, *FP32, "embedding.width=32", "embedding.dropout=0", "trainer.max_steps=8")
    chosen += ("data.batch_size=16", "data.val_fraction=0.3", "trainer.val_check_interval=4")
    expected = trained(stores, tmp_path / "one", *chosen)
    command = [sys.executable, "-m", "audiobag.cli.train", *chosen, "trainer=ddp", f"trainer.devices={ranks}"]
    command += [f"data.root={stores}", f"hydra.run.dir={tmp_path / 'ddp'}"]
    subprocess.run(command, check=True, timeout=120, cwd=tmp_path, capture_output=True)
    record = RunDirectory(tmp_path / "ddp").metrics()
    assert record is not None
    assert record["train"]["devices"] == ranks
    np.testing.assert_allclose(probabilities(tmp_path / "ddp"), probabilities(expected.path), atol=1e-5)


class WatchMemory(Callback):
    """Records the memory that tensors take on the GPU after some steps."""

    seen: ClassVar[dict[int, int]] = {}

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        if trainer.global_step in (1000, 2500):
            WatchMemory.seen[trainer.global_step] = torch.cuda.memory_allocated()


@pytest.mark.parametrize("kind", [EAGER, GRAPH])
def test_memory_does_not_grow(stores: Path, tmp_path: Path, kind: tuple[str, ...]) -> None:
    watch = "+callbacks.watch={_target_: tests.gpu.test_training.WatchMemory}"
    steps = ("trainer.max_steps=2500", "trainer.val_check_interval=500", "trainer.log_every_n_steps=50")
    WatchMemory.seen.clear()
    trained(stores, tmp_path, *DEVICE, *kind, *steps, "callbacks.checkpoints.every=2500", watch)
    assert WatchMemory.seen[2500] <= WatchMemory.seen[1000] + 2**16


def test_versions_leave_out_what_is_not_installed(stores: Path, tmp_path: Path) -> None:
    versions = trained(stores, tmp_path, *DEVICE).metrics["versions"]
    assert torch.__version__.startswith(versions["torch"])
    assert all(versions.values())
