"""The paper's training step, batch 500, against the matrix products alone of its forward and backward pass."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from audiobag.bags import Bags
from audiobag.embedding import MLP
from audiobag.loss import ClipBCE
from audiobag.model import BagClassifier
from audiobag.pooling import Expectation, SoftmaxAttention
from audiobag.training.devices import cpu_multiplies_bf16, keep_freed_memory
from audiobag.training.module import TaggingModule
from benchmarks.measure import Row, milliseconds, seconds

CLIPS, FRAMES, DIM, WIDTH, CLASSES = 500, 10, 128, 500, 527
LAYERS = [(DIM, WIDTH), (WIDTH, WIDTH), (WIDTH, WIDTH), (WIDTH, CLASSES), (WIDTH, CLASSES)]


class PlainExpectation(nn.Module):
    """Equations 4 to 9 of the paper in plain torch, with autograd's backward pass and torch's dropout."""

    def __init__(self) -> None:
        super().__init__()
        sizes = LAYERS[:3]
        self.embed = nn.Sequential(*[m for a, b in sizes for m in (nn.Linear(a, b), nn.ReLU(), nn.Dropout(0.2))])
        self.f, self.v = nn.Linear(WIDTH, CLASSES), nn.Linear(WIDTH, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Return F."""
        h = self.embed(x.float() / 128 - 1)
        f = torch.sigmoid(self.f(h).float())
        v = torch.softmax(self.v(h).float(), -1).clamp(1e-7, 1 - 1e-7)
        return ((v / v.sum(1, keepdim=True)) * f).sum(1)


def paper_model(classes: int = CLASSES) -> BagClassifier:
    """Return the paper's network."""
    return BagClassifier(MLP(DIM), Expectation(WIDTH, classes, SoftmaxAttention), 1 / 128, -1.0)


def train_step(forward: Callable[[], Tensor], parameters: list[nn.Parameter], bf16: bool) -> Callable[[], None]:
    """Return a training step: forward, backward, Adam."""
    optimizer = torch.optim.Adam(parameters, lr=1e-3, fused=True)
    autocast = torch.autocast("cpu", torch.bfloat16) if bf16 else contextlib.nullcontext()

    def step() -> None:
        with autocast:
            loss = forward()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def matmuls(dtype: torch.dtype, device: torch.device | str = "cpu") -> Callable[[], None]:
    """Return the matrix products of one step, on matrices that exist already."""
    rows = CLIPS * FRAMES
    x = [torch.randn(rows, a).to(device, dtype) for a, _ in LAYERS]
    w = [torch.randn(b, a).to(device, dtype) for a, b in LAYERS]
    g = [torch.randn(rows, b).to(device, dtype) for _, b in LAYERS]

    def products() -> None:
        for i in range(len(LAYERS)):
            x[i] @ w[i].T
            g[i].T @ x[i]
            if i:  # The gradient of the frames is not needed.
                g[i] @ w[i]

    return products


def run(work: Path) -> list[Row]:
    """Measure."""
    keep_freed_memory()  # as audiobag-train does; it speeds up all candidates
    torch.manual_seed(0)
    frames, labels = torch.randint(0, 256, (CLIPS, FRAMES, DIM), dtype=torch.uint8), torch.rand(CLIPS, CLASSES) < 0.004
    bags, hot, rows = Bags(frames, torch.full((CLIPS,), FRAMES), labels, torch.arange(CLIPS)), labels.float(), []
    for bf16 in (False, True) if cpu_multiplies_bf16() else (False,):
        precision = "bf16-mixed" if bf16 else "32-true"
        eager, compiled = (
            TaggingModule(paper_model(), ClipBCE(), torch.optim.Adam, compile=mode) for mode in (None, "default")
        )
        plain = PlainExpectation()
        ours, products = f"audiobag, {precision}", f"matrix products alone, {precision}"
        losses: dict[str, tuple[nn.Module, Callable[[], Tensor]]] = {
            ours: (eager, partial(eager.loss_of, bags)),
            f"audiobag with compile=default, {precision}": (compiled, partial(compiled.loss_of, bags)),
            f"the same network in plain torch, {precision}": (plain, partial(_plain_loss, plain, frames, hot)),
        }
        candidates = {name: train_step(loss, list(net.parameters()), bf16) for name, (net, loss) in losses.items()}
        candidates[products] = matmuls(torch.bfloat16 if bf16 else torch.float32)
        rows += milliseconds(seconds(candidates, repeats=9, warm_up=2), ours, {products: "at most 1.5 x"})
    return rows


def _plain_loss(plain: nn.Module, frames: Tensor, labels: Tensor) -> Tensor:
    return nn.functional.binary_cross_entropy(plain(frames).clamp(0, 1), labels)
