"""Scores of sound event detection with events in place of frames, by the package sed_scores_eval."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

import numpy as np
from jaxtyping import Float, Float64, Int64
from numpy.typing import NDArray

from audiobag.utils.errors import InputError

_PSDS: Final[Mapping[str, Mapping[str, float | None]]] = {
    "PSDS1": {"dtc_threshold": 0.7, "gtc_threshold": 0.7, "cttc_threshold": None, "alpha_ct": 0.0, "alpha_st": 1.0},
    "PSDS2": {"dtc_threshold": 0.1, "gtc_threshold": 0.1, "cttc_threshold": 0.3, "alpha_ct": 0.5, "alpha_st": 1.0},
}
_MOST_FALSE_ALARMS: Final = 100.0  # an hour


@dataclass(frozen=True, slots=True)
class EventScores:
    """PSDS and intersection-based F1; `event_scores` defines them.

    Attributes:
        summary: each score over all classes that have events.
        per_class: each score [K]; NaN for classes without events.
    """

    summary: Mapping[str, float]
    per_class: Mapping[str, Float64[NDArray[Any], " K"]]


def check_sed() -> None:
    """Check that sed_scores_eval can be used.

    Raises:
        ValueError: it is not installed, or with a version of pandas that it cannot use.
    """
    if importlib.util.find_spec("sed_scores_eval") is None:
        raise InputError(
            "psds needs the package sed_scores_eval, which is not installed: pip install 'audiobag[sed]', which"
            " needs a C++ compiler"
        )
    if int((pandas := version("pandas")).partition(".")[0]) >= 3:
        raise InputError(f"psds needs pandas below version 3, got {pandas}: pip install 'audiobag[sed]'")


def event_scores(
    score: Float[NDArray[Any], "F K"],
    lengths: Int64[NDArray[Any], " M"],
    events: Sequence[tuple[int, int, float, float]],
    frame_seconds: float,
) -> EventScores:
    """Return PSDS 1 and 2 and the intersection-based F1 of frame scores.

    A system detects an event of a class wherever its frame score lies above a threshold. A detection counts if it
    intersects the events of its class enough; scores are taken over all thresholds.

    - `PSDS1`: tolerances of 0.7 and no cross triggers, which asks for exact times. `PSDS2`: tolerances of 0.1, and 0.3
      for cross triggers, which count half: it asks for the right class. Both with alpha_ST = 1, up to 100 false alarms
      an hour, as in task 4 of DCASE.
    - `intersection_F1`: tolerances of 0.5, at the best threshold of each class, chosen on the same clips.

    The computation takes about 0.1 ms for each pair of a clip and a class, and ten times as long for PSDS2.

    Source: Bilen, Ferroni, Tuveri, Azcarreta and Krstulovic, "A framework for the robust evaluation of sound event
    detection" (2020); Ebbers, Serizel and Haeb-Umbach, "Threshold independent evaluation of sound event detection
    scores" (2022), whose package computes them.

    Args:
        score: scores [F, K], with the frames of all clips end to end.
        lengths: number of frames [M] of each clip.
        events: clip, class, start and end of each event, in seconds. Events of one class may overlap.
        frame_seconds: duration of a frame.

    Raises:
        ValueError: sed_scores_eval is not installed, or there are no events.
    """
    check_sed()
    from sed_scores_eval import intersection_based
    from sed_scores_eval.base_modules.scores import create_score_dataframe

    classes = sorted({label for _, label, _, _ in events})
    if not classes:
        raise InputError("events must have at least one event, got none")
    names = [str(k) for k in classes]
    ends = np.cumsum(lengths)
    # float64 and a copy, since the package computes in place.
    scores = {
        str(n): create_score_dataframe(
            np.array(score[end - length : end, classes], np.float64), np.arange(length + 1) * frame_seconds, names
        )
        for n, (length, end) in enumerate(zip(lengths.tolist(), ends.tolist(), strict=True))
    }
    truth = {clip: [(start, end, str(k)) for k, start, end in found] for clip, found in _merged(events, len(lengths))}
    durations = {str(n): float(length) * frame_seconds for n, length in enumerate(lengths.tolist())}
    summary, found = {}, {}
    for name, options in _PSDS.items():
        total, each, *_ = intersection_based.psds(
            scores, truth, durations, max_efpr=_MOST_FALSE_ALARMS, unit_of_time="hour", **options
        )
        summary[name], found[name] = float(total), each
    each, *_ = intersection_based.best_fscore(scores, truth, dtc_threshold=0.5, gtc_threshold=0.5)
    summary["intersection_F1"], found["intersection_F1"] = float(each["macro_average"]), each
    per_class = {name: np.full(score.shape[1], np.nan) for name in found}
    for name, values in found.items():
        per_class[name][classes] = [float(values[k]) for k in names]
    return EventScores(summary, per_class)


def _merged(
    events: Sequence[tuple[int, int, float, float]], clips: int
) -> list[tuple[str, list[tuple[int, float, float]]]]:
    """Return the events of each clip, with those of a class that touch or overlap as one."""
    of: list[list[tuple[int, float, float]]] = [[] for _ in range(clips)]
    for clip, label, start, end in sorted(events):
        own = of[clip]
        if own and own[-1][0] == label and start <= own[-1][2]:
            own[-1] = (label, own[-1][1], max(end, own[-1][2]))
        else:
            own.append((label, start, end))
    return [(str(n), found) for n, found in enumerate(of)]
