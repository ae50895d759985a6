"""Where the frames lie while batches are gathered from them."""

from __future__ import annotations

import torch
from torch import Tensor

from audiobag.store import Store
from audiobag.values import check_choice

PLACEMENTS = ("mapped", "memory", "device")


class Placement:
    """Reads each store at most once, however many data sets are cut from it.

    | `where` | frames | for |
    | --- | --- | --- |
    | mapped | stay in the file; all processes of a machine share its pages | CPUs, sets beyond memory |
    | memory | are copied into this process | a slow file system |
    | device | are copied to the device, where batches are gathered and dequantised too | GPUs |

    Raises:
        UserError: `where` is none of these.
    """

    def __init__(self, where: str) -> None:
        check_choice("data.placement", where, PLACEMENTS)
        self.where = where
        self._placed: dict[tuple[int, torch.device], Tensor] = {}

    def frames(self, store: Store, device: torch.device) -> Tensor:
        """Return the frames [F, D] of a store, where batches for `device` are gathered from."""
        mapped = torch.from_numpy(store.frames)
        if self.where == "mapped":
            return mapped
        target = device if self.where == "device" else torch.device("cpu")
        key = id(store), target
        if key not in self._placed:
            self._placed[key] = mapped.to(target, copy=True)
        return self._placed[key]
