"""Mixup of bags."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch.distributions import Beta

from audiobag.augment.base import Augmentation
from audiobag.bags import Bags
from audiobag.utils.values import check_number


class Mixup(Augmentation):
    r"""Mixes each bag with another bag of the batch, frame by frame.

    $$\tilde x_{nt} = \lambda_n x_{nt} + (1 - \lambda_n) x_{\pi(n) t}, \qquad
      \tilde y_n = \lambda_n y_n + (1 - \lambda_n) y_{\pi(n)}, \qquad
      \lambda_n \sim \mathrm{Beta}(\alpha, \alpha)$$

    $\pi$ is a random permutation of the batch. Where only one of the two bags has a frame t, that frame is taken as it
    is, and the mixed bag is as long as the longer of the two. Frames are mixed as stored: dequantisation is linear, so
    this equals mixing the dequantised frames.

    Source: Zhang et al., "mixup: beyond empirical risk minimization" (2018).

    Args:
        alpha: the smaller it is, the more bags are almost one of the two; with 1, the coefficients are uniform.

    Raises:
        ValueError: `alpha` is not positive.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        check_number("alpha", alpha, "(0, inf)")
        self.alpha = alpha

    def forward(self, bags: Bags) -> Bags:
        """Return the mixed bags, with frames in fp32 and with the `index` of the first of each pair."""
        clips, device = len(bags), bags.frames.device
        partner = torch.rand(clips, device=device).argsort()
        alpha = torch.full((clips,), float(self.alpha), device=device)
        own = Beta(alpha, alpha, validate_args=False).sample()[:, None]
        mask, frames, labels = bags.mask, bags.frames.float(), bags.labels.float()
        share = torch.where(mask & mask[partner], own, mask.float())
        return replace(
            bags,
            frames=torch.lerp(frames[partner], frames, share[..., None]),
            lengths=torch.maximum(bags.lengths, bags.lengths[partner]),
            labels=torch.lerp(labels[partner], labels, own),
        )
