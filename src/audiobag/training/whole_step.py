"""Training steps that need nothing of the host but the numbers of their clips, and their CUDA graph.

A training step of the paper's network is about a hundred kernels of some microseconds each: launched one by one, a GPU
waits for Python. A CUDA graph records them once and launches them together.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.optim import Optimizer

from audiobag.data.resident import ResidentBags
from audiobag.training.devices import device_count
from audiobag.training.module import TaggingModule
from audiobag.utils.errors import InputError
from audiobag.utils.values import check_choice

_LOG = logging.getLogger(__name__)
CHOICES: Final = ("auto", "always", "never")
_WARM_UP: Final = 3  # torch advises some runs before a capture, in which libraries allocate what they keep
_MOST_PADDING: Final = 2.0


class WholeStep:
    """A training step as one function: gather, dequantise, forward, loss, backward, optimizer.

    On a GPU the function is captured as a CUDA graph by the first call and replayed by all calls, the first included,
    so that a continued training computes what an uninterrupted one does. Random numbers are those of the default
    generators, and a replay honours the seed that `torch.cuda.manual_seed` set before it. Learning rates may change
    between steps.

    A step that waits for the GPU, as one with `Tensor.item` does, cannot be captured. It is then run operation by
    operation, or refused.

    Args:
        loss_of: maps a batch to its loss.
        modules: whose parameters and buffers a step changes.
        bags: makes batches.
        optimizer: fused Adam or AdamW, if the step is to be captured.
        required: whether to refuse a step that cannot be captured.
    """

    def __init__(
        self,
        loss_of: Callable[..., Tensor],
        modules: nn.Module,
        bags: ResidentBags,
        optimizer: Optimizer,
        required: bool = False,
    ) -> None:
        self._loss_of, self._modules, self._bags, self._optimizer = loss_of, modules, bags, optimizer
        self._required = required
        self._replay: Callable[[], None] | None = None
        self._index: Tensor | None = None  # read by the graph
        self._loss: Tensor | None = None  # written by the graph
        self._rates: list[tuple[float, Tensor]] = []  # of each group: the present value, and what the graph reads

    def prepare(self, index: Int64[Tensor, " B"]) -> None:
        """Capture the step if that is to be tried and has not been; changes no parameter.

        Args:
            index: the clips of any batch.

        Raises:
            ValueError: the step cannot be captured, but is required to be.
        """
        if self._index is not None or self._bags.device.type != "cuda":
            return
        self._index = index.clone()
        self._rates = [(float(g["lr"]), torch.tensor(float(g["lr"]), device=index.device)) for g in self._groups]
        try:
            self._warm_up(self._index)
        except RuntimeError as error:
            obstacle = str(error).splitlines()[0]
            if self._required:
                raise InputError(f"graph cannot be always, since a step waits for the GPU ({obstacle})") from error
            _LOG.info("training steps are not captured as a CUDA graph, since they wait for the GPU (%s)", obstacle)
            return
        graph = torch.cuda.CUDAGraph()
        with self._rates_on_gpu(capturable=True), torch.cuda.graph(graph):
            self._loss = self._run(self._index)
        self._replay = graph.replay
        _LOG.info("training steps are replayed from a CUDA graph")

    def __call__(self, index: Int64[Tensor, " B"]) -> Float[Tensor, ""]:
        """Train on a batch and return its loss, which the next call may overwrite.

        Args:
            index: the clips of the batch, on the device.
        """
        self.prepare(index)
        if self._replay is None or self._index is None or self._loss is None:
            return self._run(index)
        for i, (group, (value, rate)) in enumerate(zip(self._groups, self._rates)):
            if (present := float(group["lr"])) != value:
                self._rates[i] = present, rate.fill_(present)
        self._index.copy_(index)
        self._replay()
        return self._loss

    @property
    def captured(self) -> bool:
        """Whether steps are replayed from a CUDA graph."""
        return self._replay is not None

    @property
    def _groups(self) -> list[dict[str, Any]]:
        return self._optimizer.param_groups

    def _run(self, index: Tensor) -> Tensor:
        kind = index.device.type
        # Weights that autocast has cached outside of a graph would be constants within it.
        mixed = torch.autocast(
            kind,
            dtype=torch.get_autocast_dtype(kind),
            enabled=torch.is_autocast_enabled(kind),
            cache_enabled=False,
        )
        with mixed:
            loss = self._loss_of(self._bags.batch(index))
        with torch.autocast(kind, enabled=False):
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
        return loss.detach()

    def _warm_up(self, index: Tensor) -> None:
        """Run a few steps and undo them; an operation for which the host waits raises RuntimeError."""
        stream = torch.cuda.Stream(index.device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(index.device))
        with self._unchanged(), self._rates_on_gpu():
            try:
                with torch.cuda.stream(stream):
                    self._run(index)  # libraries may wait when they are used for the first time
                    with _no_waits():
                        for _ in range(_WARM_UP - 1):
                            self._run(index)
            finally:
                stream.synchronize()

    @contextmanager
    def _unchanged(self) -> Iterator[None]:
        """Undo what steps within this context do to parameters, buffers and the optimizer's state."""
        tensors = [*self._modules.parameters(), *self._modules.buffers()]
        saved = [x.detach().clone() for x in tensors]
        state = {(p, name): x.clone() for p, name, x in self._state()}
        try:
            yield
        finally:
            with torch.no_grad():
                for x, before in zip(tensors, saved):
                    x.copy_(before)
                for p, name, x in self._state():
                    # Adam's state is zero before its first step.
                    x.copy_(state.get((p, name), torch.zeros_like(x)))

    def _state(self) -> Iterator[tuple[Tensor, str, Tensor]]:
        for p, entries in self._optimizer.state.items():
            for name, x in entries.items():
                if isinstance(x, Tensor):
                    yield p, name, x

    @contextmanager
    def _rates_on_gpu(self, **changes: Any) -> Iterator[None]:
        """Let the optimizer read learning rates from the GPU; elsewhere, and in checkpoints, they are numbers."""
        before = [dict(group) for group in self._groups]
        try:
            for group, (_, rate) in zip(self._groups, self._rates):
                group.update(lr=rate, **changes)
            yield
        finally:
            for group, values in zip(self._groups, before):
                group.update(values)


@contextmanager
def _no_waits() -> Iterator[None]:
    """Raise RuntimeError at operations for which the host waits for a GPU."""
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns that it does not find all of them; a capture does
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)


class WholeStepModule(TaggingModule):
    """Trains on the numbers of clips, by `WholeStep`; evaluation and checkpoints are those of `TaggingModule`.

    A step ends with the optimizer, so Lightning's hooks between the loss and the optimizer find nothing to do, and
    batches are the numbers [B] of their clips. An optimizer step is a Lightning step, so steps, validations,
    checkpoints and learning rates are counted as usual.

    Args:
        *args: see `TaggingModule`.
        graph_required: whether to refuse steps that cannot be captured as a CUDA graph.
        **kwargs: see `TaggingModule`.
    """

    def __init__(self, *args: Any, graph_required: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._graph_required = graph_required
        self._step: WholeStep | None = None

    def on_train_start(self) -> None:
        """Make the step."""
        bags: ResidentBags = self.trainer.datamodule.resident  # type: ignore[attr-defined]
        optimizer: Any = self.optimizers(use_pl_optimizer=False)
        self._step = WholeStep(self.loss_of, self, bags, optimizer, self._graph_required)

    def on_train_end(self) -> None:
        """Free the memory of the graph."""
        self._step = None

    def training_step(self, batch: Int64[Tensor, " B"], batch_idx: int) -> Tensor:  # type: ignore[override]
        """Train on a batch, the optimizer included, and return the loss."""
        if self._step is None:
            raise RuntimeError("training has not started")
        self._step.prepare(batch)
        self.seed_dropout()
        return self._step(batch)

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Do nothing: `training_step` has done it."""

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Optimizer) -> None:
        """Do nothing: `training_step` has done it."""

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Any,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """Call the closure, whose training step steps the optimizer too."""
        if optimizer_closure is not None:
            optimizer_closure()


def obstacle(
    options: Mapping[str, Any],
    *,
    placement: str,
    padding: float,
    compile: str | None,  # noqa: A002 - torch's name
    optimizer: Optimizer,
) -> str | None:
    """Return why training steps cannot be captured as a CUDA graph, or None if they can, so far as is known beforehand.

    Args:
        options: keyword arguments of `lightning.Trainer`.
        placement: see `BagDataModule`.
        padding: frames of the longest clip per frame of the mean clip, of the training clips.
        compile: mode of torch.compile.
        optimizer: the optimizer.
    """
    processes = device_count(options["accelerator"], options["devices"]) * options["num_nodes"]
    found = {
        f"accelerator is {options['accelerator']}": options["accelerator"] in ("cpu", "mps"),
        "there is more than one process": processes > 1,
        "strategy is set": options.get("strategy", "auto") not in ("auto", "single_device"),
        f"placement is {placement}, not device": placement != "device",
        "precision is 16-mixed": options["precision"] == "16-mixed",
        "gradients are clipped": options.get("gradient_clip_val") is not None,
        f"compile is {compile}": compile not in (None, "default"),
        "the optimizer is not a fused Adam or AdamW": not all(
            group.get("fused") and "capturable" in group for group in optimizer.param_groups
        ),
        f"the longest clip is {padding:.1f} times as long as the mean": padding > _MOST_PADDING,
    }
    return next((reason for reason, holds in found.items() if holds), None)


def captures(graph: str, options: Mapping[str, Any], reason: str | None) -> bool:
    """Return whether to train by whole steps.

    Args:
        graph: "always", "never", or "auto" for wherever there is no obstacle.
        options: keyword arguments of `lightning.Trainer`.
        reason: from `obstacle`.

    Raises:
        ValueError: graph is "always" and there is an obstacle, or it is none of the three.
    """
    check_choice("graph", graph, CHOICES)
    if graph == "always" and reason:
        raise InputError(f"graph cannot be always, since {reason}: change that, or use auto")
    if graph == "auto" and reason and options["accelerator"] not in ("cpu", "mps"):
        _LOG.info("training steps are not captured as a CUDA graph, since %s", reason)
    return graph != "never" and reason is None
