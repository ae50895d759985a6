"""Where the frames are kept while batches are read from them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from audiobag.data.store import Store
from audiobag.utils.values import check_choice

PLACEMENTS = ("mapped", "memory", "device")


class Placement:
    """Keeps the frames of stores in one of three places, and copies each store at most once.

    | `placement` | frames | for |
    | --- | --- | --- |
    | mapped | stay in the file, whose pages all processes of a machine share | CPUs, data sets larger than memory |
    | memory | are copied into this process | a slow file system |
    | device | are copied to the device, where batches are made and dequantised | GPUs |

    Args:
        placement: mapped, memory or device.

    Raises:
        ValueError: `placement` is none of these.
    """

    def __init__(self, placement: str) -> None:
        check_choice("placement", placement, PLACEMENTS)
        self.placement = placement
        self._placed: dict[tuple[int, torch.device], Tensor] = {}

    def frames(self, store: Store, device: torch.device) -> Tensor:
        """Return the frames [F, D] of a store, to read batches for `device` from."""
        mapped = torch.from_numpy(store.frames)
        if self.placement == "mapped":
            return mapped
        target = device if self.placement == "device" else torch.device("cpu")
        key = id(store), target
        if key not in self._placed:
            self._placed[key] = mapped.to(target, copy=True)
        return self._placed[key]

    def together(self, stores: Sequence[Store], device: torch.device) -> Tensor:
        """Return the frames of several stores end to end in one copy on `device`, of which `frames` returns parts."""
        parts = [torch.from_numpy(store.frames) for store in stores]
        sizes = [len(part) for part in parts]
        frames = torch.empty(sum(sizes), *parts[0].shape[1:], dtype=parts[0].dtype, device=device)
        for store, source, target in zip(stores, parts, torch.split(frames, sizes)):
            self._placed[id(store), device] = target.copy_(source)
        return frames
