"""What the browser asks for, as plain values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiobag.explore.explored import Explored, Opened
from audiobag.pictures.browser import prediction_values, rounded
from audiobag.report.clip_selection import AMONG, LEAST
from audiobag.utils.errors import InputError

_LIKELIEST = 4
_MOST_ROWS = 14


def overview(opened: Opened) -> dict[str, Any]:
    """Return the runs, the classes and their scores."""
    return {
        "runs": [
            {
                "name": one.name,
                "mAP": _plain(one.run.metrics["test"]["mAP"]),
                "AP": rounded(one.run.classes.average_precision),
            }
            for one in opened.runs
        ],
        "first": list(opened.first),
        "classes": list(opened.classes),
        "eval": opened.positive.sum(0).tolist(),
        "counts": opened.counts.clips.tolist(),
        "of": opened.counts.of,
        "clips": len(opened.store),
        "truth": bool(opened.truth),
        "least": LEAST,
        "among": AMONG,
    }


def class_view(opened: Opened, k: int, shown: Sequence[int]) -> dict[str, Any]:
    """Return the clips of a class, and their predictions by some runs.

    Args:
        opened: the runs.
        k: the class.
        shown: the runs; clips are selected by F of the first.
    """
    rows = opened.clips(k, shown[0])
    every = list(dict.fromkeys(i for section in rows.values() for i in section))
    clips = dict(zip(every, _clips(opened, every, shown, k), strict=True)) if every else {}
    return {"sections": {name: [clips[i] for i in section] for name, section in rows.items()}}


def clip_view(opened: Opened, row: int, k: int | None) -> dict[str, Any]:
    """Return one clip and its predictions by all runs.

    Args:
        opened: the runs.
        row: the clip.
        k: a class to include; None for none.
    """
    (clip,) = _clips(opened, [row], range(len(opened.runs)), k)
    return clip


def _clips(opened: Opened, rows: Sequence[int], shown: Sequence[int], k: int | None) -> list[dict[str, Any]]:
    columns, seconds = opened.store.columns, opened.store.description.frame_seconds
    runs = [opened.runs[r] for r in shown]
    predicted = [_predicted(one, rows) for one in runs]
    clips = []
    for n, i in enumerate(rows):
        T, start = int(columns.lengths[i]), float(columns.start_seconds[i])
        video_id = bytes(columns.video_id[i])
        classes = _classes(opened, i, shown, k)
        truth = [opened.truth.get((i, c)) for c in classes]
        clips.append(
            {
                "row": i,
                "id": video_id.decode(errors="replace"),
                "start": start if math.isfinite(start) else 0.0,
                "seconds": seconds,
                "frames": T,
                "address": (address := opened.heard.address(video_id, start, float(columns.end_seconds[i]))),
                "sound": _sound(address, i) if opened.heard.pattern else None,
                "classes": classes,
                "names": [opened.classes[c] for c in classes],
                "has": [bool(opened.positive[i, c]) for c in classes],
                "truth": [None if own is None else own[:T].astype(int).tolist() for own in truth],
                "runs": [
                    {"run": r, **_values(one.probability[i, classes], found, n, T, classes)}
                    for r, one, found in zip(shown, runs, predicted, strict=True)
                ],
            }
        )
    return clips


def _classes(opened: Opened, row: int, shown: Sequence[int], k: int | None) -> list[int]:
    """Return the classes of a clip to show, in the order that all runs share: by their mean F."""
    F = np.mean([opened.runs[r].probability[row] for r in shown], axis=0)
    order = np.argsort(-F, kind="stable").tolist()
    own = [c for c in order if opened.positive[row, c]]
    wanted = dict.fromkeys([*([] if k is None else [k]), *own, *order[:_LIKELIEST]])
    return sorted([*wanted][:_MOST_ROWS], key=lambda c: -F[c])


def _predicted(one: Explored, rows: Sequence[int]) -> Any:
    """Return the predictions of a run, or the sentence that says why there are none."""
    try:
        return one.predict(rows)
    except InputError as error:
        return str(error)


def _values(F: NDArray[np.floating], found: Any, n: int, T: int, classes: Sequence[int]) -> dict[str, Any]:
    """Return F, f and p of a clip, or F and why there are no others."""
    if isinstance(found, str):
        return {"F": rounded(F), "error": found}
    measure = None if found.measure is None else found.measure[n, :T].numpy()[:, classes].T
    return prediction_values(F, found.frame[n, :T].numpy()[:, classes].T, measure)


def _sound(address: str | None, row: int) -> str | None:
    """Return where the page gets a sound: this server reads files."""
    return f"audio/{row}" if address and address.startswith("file:") else address


def _plain(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 4)
