"""Reading HDF5 files that strangers made."""

from __future__ import annotations

from typing import Any

import h5py
from numpy.typing import NDArray

_MOST_COMPRESSED = 1100  # deflate's best is 1032 to 1


def read_whole(dataset: h5py.Dataset) -> NDArray[Any]:
    """Return all of a data set.

    HDF5 lets a file of a few bytes claim any number of rows, which would be filled in on reading.

    Raises:
        OSError: it claims more than what is stored can hold.
    """
    check_claim(dataset)
    values: NDArray[Any] = dataset[()]
    return values


def check_links(file: h5py.File) -> None:
    """Refuse a file whose members lie elsewhere: a link could name any file that its reader may read.

    Raises:
        OSError: names the member.
    """
    for name in file:
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            raise OSError(f"/{name} is a link; expected data in the file itself")


def check_claim(dataset: h5py.Dataset) -> None:
    """Refuse a data set that claims more than what is stored of it can hold, before anything is allocated.

    Raises:
        OSError: says by how much, or that its data lie in other files.
    """
    if dataset.external or dataset.is_virtual:
        raise OSError(f"{dataset.name} takes its data from other files; expected them in the file itself")
    stored = dataset.id.get_storage_size()
    if dataset.nbytes > _MOST_COMPRESSED * stored:
        raise OSError(f"{dataset.name} claims {dataset.nbytes:,} bytes, of which {stored:,} are there")
