"""Average precision that forgives mistakes between related classes, from the graph of an ontology."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from audiobag.labels import read_ontology
from audiobag.metrics.functional import at_positives
from audiobag.utils.errors import InputError


def class_distances(ontology: Path, class_ids: Sequence[str]) -> NDArray[np.int16]:
    """Return the distances [K, K] of classes in an ontology.

    The distance of two classes is the number of links on the shortest path between them, where a link joins a class and
    one of its children. No root joins the topmost classes, as in the distances that Liu et al. (2023) publish.

    Args:
        ontology: a file in the format of AudioSet's `ontology.json`: a list of entries with `id` and `child_ids`.
        class_ids: id of each class, such as `/m/09x0r`.

    Raises:
        ValueError: the file is not such an ontology, lacks a class, or has no path between two classes.
    """
    from scipy.sparse import coo_array  # takes a tenth of a second to import
    from scipy.sparse.csgraph import shortest_path

    entries = read_ontology(ontology)
    place = {name: i for i, name in enumerate(dict.fromkeys([*entries, *(c for cs in entries.values() for c in cs)]))}
    if unknown := [name for name in class_ids if name not in place]:
        raise InputError(f"ontology {ontology} lacks {len(unknown)} of the classes, the first is {unknown[0]!r}")
    links = [(place[name], place[child]) for name, children in entries.items() for child in children]
    start, end = np.array(links, dtype=np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(links)), (start, end)), shape=(len(place), len(place))).tocsr()
    rows = np.array([place[name] for name in class_ids])
    distance = shortest_path(graph, directed=False, unweighted=True, indices=rows)[:, rows]
    if np.isinf(distance).any():
        a, b = np.argwhere(np.isinf(distance))[0]
        raise InputError(f"ontology {ontology} has no path from {class_ids[a]} to {class_ids[b]}")
    return distance.astype(np.int16)


def nearest_classes(ontology: Path, class_ids: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Return for each entry of an ontology the indices of its nearest classes upwards: itself, or else its ancestors.

    Ancestors that are equally near are all returned. Entries without a class among their ancestors are left out.

    Args:
        ontology: see `class_distances`.
        class_ids: id of each class.

    Raises:
        ValueError: the file is not such an ontology.
    """
    parents: dict[str, list[str]] = {}
    for name, children in read_ontology(ontology).items():
        parents.setdefault(name, [])
        for child in children:
            parents.setdefault(child, []).append(name)
    index = {name: k for k, name in enumerate(class_ids)}
    found = {}
    for name in parents:
        level, seen = [name], {name}
        while level and not any(one in index for one in level):
            level = list(dict.fromkeys(up for one in level for up in parents[one] if up not in seen))
            seen.update(level)
        if level:
            found[name] = tuple(sorted(index[one] for one in level if one in index))
    return found


def ontology_average_precision(
    probability: Float[Tensor, "N K"], labels: Bool[Tensor, "N K"], distance: Int[NDArray[np.int16], "K K"]
) -> float:
    r"""Return the ontology-aware mean average precision (OmAP); NaN if no class can be scored.

    A false positive of class k on clip n counts $w_\lambda(d_{nk})$ instead of 1, where $d_{nk}$ is the smallest
    distance from k to a class that the clip has:

    $$\mathrm{OmAP} = \frac{1}{L + 1} \sum_{\lambda=0}^{L} \frac{1}{K} \sum_k \frac{1}{P_k}
      \sum_{i \text{ positive}} \frac{P_{\ge}(s_i)}{P_{\ge}(s_i) + \sum_{n:\, s_n \ge s_i} w_\lambda(d_{nk})}, \qquad
      w_\lambda(d) = \frac{d\, [d > \lambda]}{\bar{d}_\lambda}$$

    $\bar{d}_\lambda$ is the mean of $d\,[d > \lambda]$ over the pairs of different classes (1 if it is 0), and L is the
    largest distance, where no false positive counts. OmAP is therefore higher than mAP, and the two are not comparable.
    A clip without labels has the largest distance from all classes.

    Source: Liu, Kong, Liu, Mei, Wang and Plumbley, "Ontology-aware learning and evaluation for audio tagging" (2023).

    Args:
        probability: scores [N, K] in [0, 1].
        labels: [N, K], true where the clip has the class.
        distance: see `class_distances`.
    """
    label, hits, clips = at_positives(probability, labels)
    K, largest = len(distance), int(distance.max(initial=0))
    count = np.bincount(label, minlength=K)
    nearest = _nearest(labels.cpu().numpy(), distance, largest)
    # False positives at each distance that score at least as much as each positive.
    order = probability.detach().cpu().double().numpy().T.argsort(axis=1)[:, ::-1]
    sorted_nearest = np.take_along_axis(nearest.T, order, axis=1)
    distances = np.arange(1, largest + 1)
    false = np.zeros((largest, len(label)), np.int32)
    for counts, d in zip(false, distances, strict=True):
        counts[:] = (sorted_nearest == d).cumsum(axis=1, dtype=np.int32)[label, clips - 1]
    scored = (count > 0) & (count < len(labels))
    levels = []
    for level in range(largest + 1):
        mean = float(distance[distance > level].sum()) / max(K * (K - 1), 1)
        weight = np.where(distances > level, distances, 0) / (mean or 1.0)
        AP = np.bincount(label, weights=hits / (hits + weight @ false), minlength=K)[scored] / count[scored]
        levels.append(AP.mean() if scored.any() else np.nan)
    return float(np.mean(levels))


def _nearest(labels: NDArray[np.bool_], distance: NDArray[np.int16], largest: int) -> NDArray[np.int16]:
    """Return the smallest distance [N, K] from each class to a class that the clip has."""
    nearest = np.full(labels.shape, largest, np.int16)
    clip, label = np.nonzero(labels)
    if len(clip):
        starts = np.flatnonzero(np.diff(clip, prepend=-1))
        nearest[clip[starts]] = np.minimum.reduceat(distance[label], starts, axis=0)
    return nearest
