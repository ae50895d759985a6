"""localisation.csv and localisation.h5: where a model hears the classes, against strong labels.

localisation.csv has a row per class: index, name, pairs, and each score of each kind, such as `f.pointing`.

| data set of localisation.h5 | shape | meaning |
| --- | --- | --- |
| video_id | [M] | clips with strong labels |
| clip, label | [Q] | pairs of a clip, 0 to M - 1, and a class that it has in some of its frames |
| share | [Q] | the part of the clip's time in which the class is heard |
| within_AUC, pointing, mass | [S, Q] | for each of the S kinds in the attribute `kinds` |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audiobag.runs.per_class import write_classes
from audiobag.utils.errors import InputError
from audiobag.utils.files import atomic
from audiobag.utils.hdf5 import check_links, open_hdf5, read_whole

PAIR_SCORES = ("within_AUC", "pointing", "mass")


@dataclass(frozen=True, slots=True)
class PairScores:
    """What localisation.h5 holds, see the module's table; `scores` has each of `PAIR_SCORES` for each kind."""

    video_id: NDArray[np.character]
    clip: NDArray[np.int64]
    label: NDArray[np.int64]
    share: NDArray[np.float64]
    scores: Mapping[str, Mapping[str, NDArray[np.float64]]]


def write_localisation(
    folder: Path, names: Sequence[str], columns: Mapping[str, NDArray[np.float64]], pairs: PairScores
) -> None:
    """Write both files; `columns` are scores [K] of the classes, by kind and name."""
    counts = np.bincount(pairs.label, minlength=len(names)).tolist()
    scores = {name: values.tolist() for name, values in columns.items()}
    write_classes(folder / "localisation.csv", names, {"pairs": counts}, scores)
    with atomic(folder / "localisation.h5") as temporary, open_hdf5(temporary, "w") as file:
        for name in ("video_id", "clip", "label", "share"):
            file[name] = getattr(pairs, name)
        for name in PAIR_SCORES:
            file[name] = np.stack([scores[name] for scores in pairs.scores.values()])
        file.attrs["kinds"] = list(pairs.scores)


def read_localisation(folder: Path) -> PairScores:
    """Read localisation.h5 of a folder.

    Raises:
        ValueError: the file is missing or damaged.
    """
    path = folder / "localisation.h5"
    try:
        with open_hdf5(path) as file:
            check_links(file)
            video_id, clip, label, share = (read_whole(file[n]) for n in ("video_id", "clip", "label", "share"))
            values = {name: read_whole(file[name]) for name in PAIR_SCORES}
            scores = {
                str(kind): {name: of_kinds[i] for name, of_kinds in values.items()}
                for i, kind in enumerate(file.attrs["kinds"])
            }
    except (OSError, KeyError, TypeError, ValueError, IndexError) as error:
        raise InputError(f"{path} has no readable scores of pairs ({type(error).__name__}: {error})") from error
    return PairScores(video_id, clip, label, share, scores)
