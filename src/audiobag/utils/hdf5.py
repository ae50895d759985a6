"""HDF5 files: opening without locks, and safe reading of files from untrusted sources."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
from numpy.typing import NDArray

_MOST_COMPRESSED = 1100  # The maximum of deflate is 1032.


def open_hdf5(path: Path, mode: str = "r", **options: Any) -> h5py.File:
    """Open an HDF5 file without HDF5's own lock, which some file systems do not have.

    Files are written under a temporary name and do not change afterwards, so no lock is needed.

    Raises:
        OSError: the file cannot be opened.
    """
    return h5py.File(path, mode, locking=False, **options)


def read_whole(dataset: h5py.Dataset) -> NDArray[Any]:
    """Return the content of a data set.

    In HDF5, a file of a few bytes can claim any number of rows, which are filled in on reading.

    Raises:
        OSError: the data set claims more than its stored bytes can hold.
    """
    check_claim(dataset)
    values: NDArray[Any] = dataset[()]
    return values


def check_links(file: h5py.Group) -> None:
    """Refuse a file, or a group in it, with links, which could point to any file that the user may read.

    Raises:
        OSError: a member of the file or of the group is a link.
    """
    for name in file:
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            raise OSError(f"/{name} is a link, expected data in the file itself")


def check_claim(dataset: h5py.Dataset) -> None:
    """Refuse a data set that claims more than its stored bytes can hold, before memory is allocated.

    Raises:
        OSError: the data set claims too much, or takes its data from other files.
    """
    if dataset.external or dataset.is_virtual:
        raise OSError(f"{dataset.name} takes its data from other files, expected data in the file itself")
    stored = dataset.id.get_storage_size()
    if dataset.nbytes > _MOST_COMPRESSED * stored:
        raise OSError(f"{dataset.name} claims {dataset.nbytes:,} bytes, of which {stored:,} are there")
