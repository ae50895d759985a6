"""The test suite of poolings."""

from __future__ import annotations

import logging
import multiprocessing
import pickle
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd import gradcheck
from torch.export import ExportedProgram
from torch.func import functional_call
from torch.testing import assert_close

from audiobag.bags import BagPrediction
from audiobag.pooling import Expectation, Measure
from audiobag.testing.inputs import LENGTHS, random_bags, with_more_padding

Arrays = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64] | None]


class PoolingSuite:
    """Tests of a measure or of any other pooling.

    A subclass names a measure, or overrides `make` for a pooling that is not an `Expectation`.

    Attributes:
        measure: called with (in_features, classes); a measure's class or a `functools.partial` of one.
        in_features: H of the test input.
        classes: K of the test input.
        has_measure: the prediction has a measure; if false, the measure must be None.
        expectation: F is the expectation of f under the measure.
        frame_is_bag: f of a frame is F of the bag that holds this frame alone. Set it for a pooling without a
            classifier of frames.
        order_matters: the prediction depends on the order of the frames.
        bf16_tolerance: largest difference between a clip's probability under bf16 autocast and in fp32.

    Examples:
        >>> from audiobag.pooling import Max
        >>> class TestMax(PoolingSuite):
        ...     measure = Max
    """

    measure: ClassVar[Callable[[int, int], Measure]]
    in_features: ClassVar[int] = 6
    classes: ClassVar[int] = 4
    has_measure: ClassVar[bool] = True
    expectation: ClassVar[bool] = True
    frame_is_bag: ClassVar[bool] = False
    order_matters: ClassVar[bool] = False
    bf16_tolerance: ClassVar[float] = 0.03

    def make(self, in_features: int, classes: int) -> nn.Module:
        """Return the pooling under test; by default an `Expectation` under the measure."""
        return Expectation(in_features, classes, type(self).measure)

    def oracle(
        self, h: NDArray[np.float64], lengths: NDArray[np.int64], parameters: dict[str, NDArray[np.float64]]
    ) -> Arrays | None:
        """Return the expected clip F [B, K], frame f [B, T, K] and measure p [B, T, K]; None skips the comparison.

        The measure is None for a pooling without a measure.

        Args:
            h: embedded frames [B, T, H].
            lengths: number of real frames [B] of each bag.
            parameters: parameters and buffers of the pooling, by their names in its state dict.
        """
        return None

    def predict(self, h: Tensor, mask: Tensor) -> BagPrediction:
        """Return the prediction of a pooling whose initialisation is the same in each call."""
        prediction: BagPrediction = self._seeded()(h, mask)
        return prediction

    def _seeded(self) -> nn.Module:
        torch.manual_seed(1)
        return self.make(self.in_features, self.classes).eval()

    @classmethod
    @cache
    def _exported(cls) -> ExportedProgram:
        """Return the program that `torch.export` captures, which takes a second; two tests use it.

        ONNX takes any number of frames even where the program itself, whose guards may depend on it, does not.
        """
        suite = cls()
        h, mask = random_bags(suite.in_features)
        sizes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.AUTO}
        with torch.no_grad():
            return torch.export.export(_Tensors(suite._seeded()), (h[:3], mask[:3]), dynamic_shapes=(sizes, sizes))

    def test_equals_the_oracle(self) -> None:
        h, mask = random_bags(self.in_features)
        parameters = {name: x.double().numpy() for name, x in self._seeded().state_dict().items()}
        expected = self.oracle(h.double().numpy(), LENGTHS.numpy(), parameters)
        if expected is None:
            pytest.skip("no oracle")
        clip, frame, measure = expected
        found = self.predict(h, mask)
        _assert_equal(found.clip, clip)
        _assert_equal(found.frame[mask], frame[mask.numpy()])
        assert (found.measure is None) == (measure is None)
        if found.measure is not None and measure is not None:
            _assert_equal(found.measure[mask], measure[mask.numpy()])

    def test_prediction_has_the_documented_shapes_in_fp32(self) -> None:
        found = self.predict(*random_bags(self.in_features))
        assert found.clip.shape == (4, self.classes)
        assert found.frame.shape == (4, 5, self.classes)
        assert {found.clip.dtype, found.frame.dtype} == {torch.float32}
        assert (found.measure is not None) == self.has_measure
        if found.measure is not None:
            assert found.measure.shape == (4, 5, self.classes)
            assert found.measure.dtype == torch.float32

    def test_probabilities_lie_between_zero_and_one(self) -> None:
        """Holds for clips and for real frames, also where the input is large."""
        h, mask = random_bags(self.in_features)
        for scale in (1.0, 1000.0):
            found = self.predict(scale * h, mask)
            for probability in (found.clip, found.frame[mask]):
                assert ((probability >= 0) & (probability <= 1)).all()

    def test_measure_sums_to_one_and_is_zero_on_padding(self) -> None:
        h, mask = random_bags(self.in_features)
        p = self.predict(h, mask).measure
        if p is None:
            pytest.skip("no measure")
        assert (p >= 0).all()
        assert_close(p.sum(1), torch.ones(4, self.classes))
        assert not p[~mask].any()

    def test_clip_is_the_expectation_of_the_frames(self) -> None:
        found = self.predict(*random_bags(self.in_features))
        if not self.expectation or found.measure is None:
            pytest.skip("not an expectation")
        assert_close(found.clip, (found.measure * found.frame).sum(1))

    def test_bags_of_one_frame(self) -> None:
        h, mask = random_bags(self.in_features)
        found = self.predict(h[:, :1], mask[:, :1])
        if found.measure is not None:
            assert_close(found.measure, torch.ones(4, 1, self.classes))
        if (found.measure is not None and self.expectation) or self.frame_is_bag:
            assert_close(found.clip, found.frame[:, 0])

    def test_frame_is_the_bag_that_holds_it_alone(self) -> None:
        if not self.frame_is_bag:
            pytest.skip("frames have a classifier of their own")
        h, mask = random_bags(self.in_features)
        found = self.predict(h, mask)
        for t in range(h.shape[1]):
            alone = self.predict(h[:, t : t + 1], torch.ones(len(h), 1, dtype=torch.bool))
            assert_close(found.frame[mask[:, t], t], alone.clip[mask[:, t]])

    def test_padding_changes_nothing(self) -> None:
        h, mask = random_bags(self.in_features)
        before, after = self.predict(h, mask), self.predict(*with_more_padding(h, mask))
        assert_close(after.clip, before.clip)
        assert_close(after.frame[:, :5][mask], before.frame[mask])
        if after.measure is not None:
            assert_close(after.measure[:, :5], before.measure)
            assert not after.measure[:, 5:].any()

    def test_other_bags_change_nothing(self) -> None:
        h, mask = random_bags(self.in_features)
        batch = self.predict(h, mask)
        for i, length in enumerate(LENGTHS):
            alone = self.predict(h[i : i + 1, :length], mask[i : i + 1, :length])
            assert_close(alone.clip[0], batch.clip[i])
            assert_close(alone.frame[0], batch.frame[i, :length])
            if alone.measure is not None and batch.measure is not None:
                assert_close(alone.measure[0], batch.measure[i, :length])

    def test_permuting_frames_permutes_the_measure_and_keeps_the_clip(self) -> None:
        if self.order_matters:
            pytest.skip("depends on the order of the frames")
        h, _ = random_bags(self.in_features)
        order, everything = torch.tensor([3, 0, 4, 2, 1]), torch.ones(4, 5, dtype=torch.bool)
        before, after = self.predict(h, everything), self.predict(h[:, order], everything)
        assert_close(after.clip, before.clip)
        if after.measure is not None and before.measure is not None:
            assert_close(after.measure, before.measure[:, order])

    def test_bf16_autocast_is_close_to_fp32(self) -> None:
        h, mask = random_bags(self.in_features)
        with torch.autocast("cpu", torch.bfloat16):
            found = self.predict(h, mask)
        measure_dtype = {found.measure.dtype} if found.measure is not None else set()
        assert {found.clip.dtype, found.frame.dtype} | measure_dtype == {torch.float32}
        assert_close(found.clip, self.predict(h, mask).clip, atol=self.bf16_tolerance, rtol=0.0)

    def test_gradients_are_those_of_finite_differences(self) -> None:
        """Holds for the frames and for all parameters, to the precision of the fp32 parts of a pooling."""
        pooling = self._seeded().double()
        h, mask = random_bags(self.in_features)
        names = [name for name, _ in pooling.named_parameters()]

        def clip(h: Tensor, *values: Tensor) -> Tensor:
            prediction: BagPrediction = functional_call(pooling, dict(zip(names, values)), (h, mask))
            return prediction.clip

        inputs = [x.detach().clone().double().requires_grad_() for x in (h, *pooling.parameters())]
        assert gradcheck(clip, inputs, eps=1e-3, atol=5e-4, rtol=1e-2)

    def test_gradients_reach_every_parameter_and_no_padding(self) -> None:
        pooling = self._seeded()
        h, mask = random_bags(self.in_features)
        pooling(h.requires_grad_(), mask).clip.sum().backward()
        assert h.grad is not None
        assert not h.grad[~mask].any()
        for name, parameter in pooling.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.any(), name

    def test_exports(self) -> None:
        """`torch.export` captures the pooling for any number of bags, with the same prediction."""
        h, mask = random_bags(self.in_features)
        for bags in (1, 4):
            found = self._exported().module()(h[:bags], mask[:bags])
            assert_close(found, _tensors(self.predict(h[:bags], mask[:bags])))

    def test_compiles(self) -> None:
        """`torch.compile` captures the pooling in one graph, with the same prediction and gradients."""
        h, mask = random_bags(self.in_features)
        arguments = pickle.dumps(self._seeded()), h.numpy(), mask.numpy()
        expected = _prediction_and_gradient(self._seeded(), h, mask)
        found = _process_of_its_own().submit(_compiled, *arguments, sys.path).result()
        assert_close([torch.from_numpy(x) for x in found], list(expected))

    def test_onnx_gives_the_same_prediction(self) -> None:
        """Holds for any number of bags and frames; needs onnx, onnxscript and onnxruntime."""
        for name in ("onnx", "onnxscript"):
            pytest.importorskip(name)
        onnxruntime = pytest.importorskip("onnxruntime")
        h, mask = random_bags(self.in_features)
        for name in ("torch.onnx", "onnxscript", "onnx_ir"):  # they warn about each node
            logging.getLogger(name).setLevel(logging.ERROR)
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations inside torch
            exported = self._exported()
            program = torch.onnx.export(exported, dynamo=True, verbose=False, input_names=["h", "mask"])
        assert program is not None
        graph = program.model_proto.SerializeToString()
        session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        for x, real in ((h, mask), (h[:1, :2], mask[:1, :2]), (h[:, :1], mask[:, :1])):
            found = session.run(None, {"h": x.numpy(), "mask": real.numpy()})
            expected = _tensors(self.predict(x, real))
            assert len(found) == len(expected)
            for array, tensor in zip(found, expected):
                assert_close(torch.from_numpy(array), tensor.detach(), atol=1e-5, rtol=1e-5)


def _assert_equal(found: Tensor, expected: NDArray[np.float64]) -> None:
    assert_close(found, torch.from_numpy(expected).float(), atol=1e-6, rtol=1e-5)


def _tensors(prediction: BagPrediction) -> tuple[Tensor, ...]:
    """Return clip, frame and, where there is one, measure."""
    tensors = (prediction.clip, prediction.frame, prediction.measure)
    return tuple(tensor for tensor in tensors if tensor is not None)


def _prediction_and_gradient(
    pooling: Callable[[Tensor, Tensor], BagPrediction], h: Tensor, mask: Tensor
) -> tuple[Tensor, ...]:
    h = h.clone().requires_grad_()
    prediction = pooling(h, mask)
    torch.autograd.backward(prediction.clip.square().sum())
    assert h.grad is not None
    return *(x.detach() for x in _tensors(prediction)), h.grad


@cache
def _process_of_its_own() -> ProcessPoolExecutor:
    """Return a process without the run-time checks of shapes that tests may install: torch cannot compile these."""
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))


def _compiled(pooling: bytes, h: NDArray[np.float32], mask: NDArray[np.bool_], path: list[str]) -> list[NDArray[Any]]:
    """Return the prediction and the gradient of h, from a graph that torch runs without a C++ compiler."""
    sys.path[:] = path
    torch.compiler.reset()
    compiled = torch.compile(pickle.loads(pooling), backend="aot_eager", fullgraph=True)
    found = _prediction_and_gradient(compiled, torch.from_numpy(h), torch.from_numpy(mask))
    return [x.numpy() for x in found]


class _Tensors(nn.Module):
    """A pooling that returns a tuple of tensors, as exporters need."""

    def __init__(self, pooling: nn.Module) -> None:
        super().__init__()
        self.pooling = pooling

    def forward(self, h: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        return _tensors(self.pooling(h, mask))
