"""Numbers of a GPU against those of the CPU in fp64."""

from __future__ import annotations

from contextlib import nullcontext
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor
from torchmetrics import Metric

import audiobag.metrics
from audiobag.cli.assemble import build, model_of
from audiobag.cli.options import options_of
from audiobag.data import BagDataset
from audiobag.data.loader import TrainingBatches, TrainingIndices
from audiobag.data.placement import Placement
from audiobag.data.resident import ResidentBags
from audiobag.data.store import open_store
from audiobag.metrics import tagging_scores
from audiobag.training.devices import set_matmul_precision
from tests.composing import composed
from tests.gpu.components import PRECISIONS, in_double, names, options, without_dropout

CUDA = torch.device("cuda")
# Relative errors, in the Frobenius norm, of the clips' probabilities and of all gradients together. A maximum over
# frames that are nearly equal changes its place where numbers are rounded, and with it some gradients.
TOLERANCES = {"32-true": (2e-6, 1e-4), "16-mixed": (2e-3, 0.1), "bf16-mixed": (2e-2, 0.3)}
COMPONENTS = [(group, name) for group in ("pooling", "embedding", "loss") for name in names(group)]
_SCALE = 1024.0  # keeps gradients within the range of fp16


def error(found: Tensor, expected: Tensor) -> float:
    found, expected = found.detach().double().cpu(), expected.detach().double()
    return float((found - expected).norm() / expected.norm())


def trained(model: Any, loss: Any, bags: Any, mixed: Any, forward: Any) -> tuple[Tensor, Tensor, Tensor]:
    mask = bags.mask
    with mixed:
        prediction = forward(bags.frames, mask)
        value = loss(prediction, bags.labels, mask)
    (value * _SCALE).backward()
    gradients = [p.grad.double().cpu().ravel() / _SCALE for p in model.parameters() if p.grad is not None]
    return prediction.clip, value, torch.cat(gradients)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(("group", "name"), COMPONENTS)
def test_a_training_step_and_an_evaluation(stores: Path, tmp_path: Path, group: str, name: str, precision: str) -> None:
    config = composed("train", *options(group, name), f"paths.run={tmp_path}")
    chosen, store = options_of("train", OmegaConf.create(config)), open_store(stores / "eval.h5")
    torch.manual_seed(0)
    model, loss = model_of(chosen, store), build("loss", chosen.loss)
    without_dropout(model)
    set_matmul_precision("gpu", precision)
    bags, dtype = BagDataset([store]).batch(np.arange(64)), PRECISIONS[precision]
    mixed = torch.autocast("cuda", dtype) if dtype else nullcontext()
    exact, tested = deepcopy(model).double(), deepcopy(model).to(CUDA)
    of_prediction, of_gradient = TOLERANCES[precision]

    expected = trained(exact, loss, bags, nullcontext(), lambda x, mask: in_double(exact, x, mask))
    found = trained(tested, loss, bags.to(CUDA), mixed, tested)
    assert error(found[0], expected[0]) < of_prediction
    assert error(found[1], expected[1]) < of_prediction
    assert error(found[2], expected[2]) < of_gradient

    model.eval(), exact.eval(), tested.eval()
    moved = bags.to(CUDA)
    with torch.no_grad(), mixed:
        prediction = tested(moved.frames, moved.mask)
    assert prediction.clip.dtype == torch.float32
    with torch.no_grad():
        assert error(prediction.clip, in_double(exact, bags.frames, bags.mask).clip) < of_prediction


METRICS = [n for n in audiobag.metrics.__all__ if isinstance(getattr(audiobag.metrics, n), type)]


@pytest.mark.parametrize("name", [n for n in METRICS if issubclass(getattr(audiobag.metrics, n), Metric)])
def test_a_metric_has_the_same_value_on_a_gpu(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    probability = torch.rand(500, 11, generator=generator).mul(20).round().div(20)  # with ties
    labels = torch.rand(500, 11, generator=generator) < 0.1
    values = []
    for device in ("cpu", "cuda"):
        metric = getattr(audiobag.metrics, name)().to(device)
        for part in (slice(0, 300), slice(300, 500)):
            metric.update(probability[part].to(device), labels[part].to(device))
        values.append(metric.compute())
    assert repr(values[0]) == repr(values[1].cpu() if isinstance(values[1], Tensor) else values[1])


def test_scores_of_audioset_s_size_are_those_of_the_cpu() -> None:
    generator = torch.Generator().manual_seed(0)
    probability = torch.rand(4000, 100, generator=generator).pow(4)
    labels = torch.rand(4000, 100, generator=generator) < 0.01
    expected, found = tagging_scores(probability, labels), tagging_scores(probability.to(CUDA), labels.to(CUDA))
    assert torch.equal(found.average_precision, expected.average_precision)
    assert torch.equal(found.auc, expected.auc)


@pytest.mark.parametrize("name", names("sampler"))
def test_batches_made_on_a_gpu_are_those_of_the_cpu(stores: Path, tmp_path: Path, name: str) -> None:
    dataset = BagDataset([open_store(stores / "bal_train.h5"), open_store(stores / "eval.h5")])
    config = composed("train", f"sampler={name}", f"paths.run={tmp_path}")
    sampler = build("sampler", config["sampler"])(dataset.labels, 16, 0)
    resident = ResidentBags(dataset, Placement("device").together(dataset.stores, CUDA))
    assert resident.device.type == "cuda"
    numbers = TrainingIndices(dataset, sampler, 70, CUDA)
    for bags, index in zip(TrainingBatches(dataset, sampler, 70), numbers, strict=True):
        made = resident.batch(index).to("cpu")
        assert torch.equal(made.index, bags.index)
        assert torch.equal(made.labels, bags.labels)
        assert torch.equal(made.lengths, bags.lengths)
        T = bags.frames.shape[1]
        assert torch.equal(made.frames[:, :T], bags.frames)
        assert not made.frames[:, T:].any()
