"""A training step with each pooling on the paper's embedding, batch 500, in bf16, and the parameters of the pooling.

A kind of more than twice the softmax attention's time has its reason in docs/poolings.md.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import audiobag.conf
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from audiobag.embedding import MLP
from audiobag.loss import ClipBCE
from audiobag.model import BagClassifier, build_model
from audiobag.training.devices import cpu_multiplies_bf16, keep_freed_memory
from benchmarks.measure import Row, median, seconds, spread
from benchmarks.step import CLASSES, CLIPS, DIM, FRAMES, train_step

_BASELINE = "attention_softmax"


def model_with(pooling: Path) -> BagClassifier:
    """Return the paper's network with the pooling of a YAML file."""
    make = partial(instantiate, OmegaConf.load(pooling), _convert_="all")
    return build_model(MLP, make, dim=DIM, classes=CLASSES, scale=1 / 128, offset=-1.0)


def run(work: Path) -> list[Row]:
    """Measure."""
    keep_freed_memory()
    torch.manual_seed(0)
    frames = torch.randint(0, 256, (CLIPS, FRAMES, DIM), dtype=torch.uint8)
    labels = torch.rand(CLIPS, CLASSES) < 0.005
    mask = torch.ones(CLIPS, FRAMES, dtype=torch.bool)
    loss, steps, parameters = ClipBCE(), dict[str, Callable[[], None]](), dict[str, int]()
    for path in sorted((Path(audiobag.conf.__file__).parent / "pooling").glob("*.yaml")):
        model = model_with(path)

        def forward(model: BagClassifier = model) -> torch.Tensor:
            value: torch.Tensor = loss(model(frames, mask), labels, mask)
            return value

        steps[path.stem] = train_step(forward, list(model.parameters()), cpu_multiplies_bf16())
        parameters[path.stem] = sum(p.numel() for p in model.pooling.parameters())
    taken = seconds(steps, repeats=7, warm_up=2)
    baseline = median(taken[_BASELINE])
    return [
        Row(
            f"{name}, {parameters[name] / 1e6:.2f} million parameters",
            1e3 * median(values),
            "ms",
            spread(values),
            f"{_BASELINE} times",
            median(values) / baseline,
        )
        for name, values in sorted(taken.items(), key=lambda item: median(item[1]))
    ]
