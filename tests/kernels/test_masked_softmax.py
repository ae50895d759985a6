from __future__ import annotations

import torch

from audiobag.kernels.masked_softmax import masked_softmax


def test_is_the_softmax_of_the_real_frames_in_fp32_and_zero_on_padding() -> None:
    torch.manual_seed(0)
    z, lengths = 5 * torch.randn(3, 4, 2).bfloat16(), [4, 1, 3]
    p = masked_softmax(z, torch.arange(4) < torch.tensor(lengths)[:, None])
    assert p.dtype == torch.float32
    for bag, length, found in zip(z.float(), lengths, p):
        torch.testing.assert_close(found[:length], bag[:length].softmax(0))
        assert not found[length:].any()
