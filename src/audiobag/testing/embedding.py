"""The test suite of embeddings."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.testing import assert_close

from audiobag.testing.inputs import LENGTHS, random_bags, with_more_padding


class EmbeddingSuite:
    """Tests of an embedding.

    Attributes:
        embedding: called with in_features; an embedding's class or a `functools.partial` of one.
        in_features: D of the test input.

    Examples:
        >>> from audiobag.embedding import MLP
        >>> class TestMLP(EmbeddingSuite):
        ...     embedding = MLP
    """

    embedding: ClassVar[Callable[[int], nn.Module]]
    in_features: ClassVar[int] = 6

    def make(self) -> nn.Module:
        """Return the embedding under test."""
        return type(self).embedding(self.in_features)

    def embed(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return h of an embedding in evaluation, whose initialisation is the same in each call."""
        torch.manual_seed(1)
        h: Tensor = self.make().eval()(x, mask)
        return h

    def test_width_is_out_features(self) -> None:
        """The embedding has an attribute `out_features`, the H of its output."""
        assert self.embed(*random_bags(self.in_features)).shape == (4, 5, self.make().out_features)

    def test_padding_changes_nothing(self) -> None:
        """Neither the number of padding frames nor their values change h on real frames."""
        x, mask = random_bags(self.in_features)
        after = self.embed(*with_more_padding(x, mask))
        assert_close(after[:, :5][mask], self.embed(x, mask)[mask])
        assert after.isfinite().all()

    def test_other_bags_change_nothing(self) -> None:
        x, mask = random_bags(self.in_features)
        batch = self.embed(x, mask)
        for i, length in enumerate(LENGTHS):
            alone = self.embed(x[i : i + 1, :length], mask[i : i + 1, :length])
            assert_close(alone[0], batch[i, :length])

    def test_gradients_reach_every_parameter(self) -> None:
        torch.manual_seed(1)
        embedding = self.make()
        x, mask = random_bags(self.in_features)
        embedding(x.requires_grad_(), mask)[mask].square().sum().backward()
        for name, parameter in embedding.named_parameters():
            assert parameter.grad is not None, name

    def test_bf16_autocast_is_close_to_fp32(self) -> None:
        x, mask = random_bags(self.in_features)
        with torch.autocast("cpu", torch.bfloat16):
            found = self.embed(x, mask)
        assert_close(found[mask].float(), self.embed(x, mask)[mask], atol=0.05, rtol=0.05)
