"""Localisation: the scores of frames against the frames in which a class is heard."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from numpy.typing import NDArray

from audiobag.metrics.frame_truth import FrameTruth
from audiobag.metrics.functional import check_range, tagging_scores
from audiobag.metrics.further import best_f1
from audiobag.metrics.groups import Ranking, rank_groups
from audiobag.utils.errors import InputError

LOCALISATION: Final[Mapping[str, str]] = {
    "frame_mAP": "frame mAP",
    "frame_AUC": "frame AUC",
    "segment_F1": "segment F1",
    "present_mAP": "mAP in clips with the class",
    "present_AUC": "AUC in clips with the class",
    "within_AUC": "AUC within clips",
    "pointing": "pointing",
    "mass": "mass",
    "share": "share of time",
}
"""The scores of one kind in metrics.json, and how tables name them."""

LOCALISATION_OF_TEST: Final = tuple(name for name in LOCALISATION if name not in ("mass", "share"))
"""The scores of f that metrics.json has under `test`, beside those of the clips, and trackers as `test/frame_mAP`."""


@dataclass(frozen=True, slots=True)
class LocalisationScores:
    """Scores of one kind of frame scores; `localisation_scores` defines them.

    A score that is undefined for a class is NaN, and means leave it out.

    Attributes:
        frames: rankings [K] of the frames of all clips.
        present: rankings [K] of the frames of the clips in Q' that have the class.
        clip: clip [Q] of each pair in Q'.
        label: class [Q] of each pair.
        within_AUC: [Q].
        pointing: [Q].
        mass: [Q].
        share: [Q].
        classes: K.
    """

    frames: Ranking
    present: Ranking
    clip: Int64[NDArray[Any], " Q"]
    label: Int64[NDArray[Any], " Q"]
    within_AUC: Float64[NDArray[Any], " Q"]  # noqa: N815 - the usual name
    pointing: Float64[NDArray[Any], " Q"]
    mass: Float64[NDArray[Any], " Q"]
    share: Float64[NDArray[Any], " Q"]
    classes: int

    def per_class(self) -> dict[str, Float64[NDArray[Any], " K"]]:
        """Return the scores of each class by name; scores of pairs are averaged over the clips of the class."""
        count = np.bincount(self.label, minlength=self.classes)
        with np.errstate(invalid="ignore"):  # 0 / 0 for classes without a pair
            of_pairs = {
                name: np.bincount(self.label, getattr(self, name), self.classes) / count
                for name in ("within_AUC", "pointing", "mass", "share")
            }
        return {
            "frame_mAP": self.frames.average_precision,
            "frame_AUC": self.frames.auc,
            "segment_F1": self.frames.best_f1,
            "present_mAP": self.present.average_precision,
            "present_AUC": self.present.auc,
            **of_pairs,
        }

    def summary(self) -> dict[str, float | None]:
        """Return the mean of each score over the classes that have it; None if no class has it."""
        return {name: _mean(values) for name, values in self.per_class().items()}


def localisation_scores(score: Float[NDArray[Any], "F K"], truth: FrameTruth) -> LocalisationScores:
    r"""Return how well the scores of frames tell when each class is heard.

    $y_{nkt}$ is true if frame t of clip n shows class k, and $s_{nkt}$ is the frame's score. The first three scores
    rank or threshold the known frames of all clips, each class by itself:

    - `frame_mAP`, `frame_AUC`: as `tagging_scores`, with frames in place of clips.
    - `segment_F1`: F1 at the best threshold of each class, as `best_f1`. Segments are frames, as in segment-based
      evaluation (Mesaros, Heittola and Virtanen, "Metrics for polyphonic sound event detection", 2016). The thresholds
      are chosen on the scored clips.

    The others measure when a class is heard, given that it is: they use $Q'$, the pairs of a clip and a class that is
    heard in some of the clip's known frames $T_{nk}$ but not in all. Any score is right, or wrong, on other pairs.

    - `present_mAP`, `present_AUC`: the same rankings of the frames of the pairs in $Q'$ alone.
    - `within_AUC`: in each pair, the share of the pairs of a frame with the class and a frame without it that are in
      the right order. A tie counts half.
    - `pointing`: 1 if the highest frame shows the class, 0 if not; with several highest frames, the share of these that
      show it, which is the expectation under a random choice. Source: the pointing game of Zhang, Lin, Brandt, Shen and
      Sclaroff, "Top-down neural attention by excitation backprop" (2016).
    - `mass`: the part of the score that lies in the events. 1 is best, and `share`, the part of the time that the
      events take, is that of a uniform score. Source: the energy-based pointing game of Wang et al., "Score-CAM:
      score-weighted visual explanations for convolutional neural networks" (2020).

    $$\mathrm{mass}_{nk} = \frac{\sum_t y_{nkt} s_{nkt}}{\sum_t s_{nkt}}, \qquad
      \mathrm{share}_{nk} = \frac{1}{|T_{nk}|} \sum_t y_{nkt}$$

    A score that is 0 in the whole clip counts as uniform. Scores of pairs are averaged over the clips of each class.

    Args:
        score: scores [F, K] in [0, 1], with the frames of all clips end to end.
        truth: the frames that show the classes.

    Raises:
        ValueError: the scores are not [F, K], or one is NaN or outside [0, 1].

    Examples:
        >>> shows = np.array([[True, False, False, True]])
        >>> truth = FrameTruth(np.array([4]), np.array([0]), np.array([0]), shows, classes=1)
        >>> found = localisation_scores(np.array([[0.6], [0.2], [0.0], [0.2]]), truth)
        >>> found.within_AUC.item(), found.pointing.item(), round(found.mass.item(), 3), found.share.item()
        (0.875, 1.0, 0.8, 0.5)
    """
    expected = (int(truth.lengths.sum()), truth.classes)
    if score.shape != expected:
        raise InputError(f"score must be {list(expected)}, the frames of the truth, got {list(score.shape)}")
    check_range(torch.from_numpy(score), "frame")
    rows, valid = truth.rows, truth.valid
    picked, shows = score[rows, truth.label[:, None]], truth.shows & valid
    if truth.known is None:
        frames = _all_frames(score, truth)
    else:
        frames = _ranked(truth.label, picked, shows, valid, truth.classes)
    partial = shows.any(1) & (valid & ~shows).any(1)
    picked, shows, valid = picked[partial].astype(np.float64), shows[partial], valid[partial]
    clip, label = truth.clip[partial], truth.label[partial]
    weight = np.where(valid, picked, 0)
    total = weight.sum(1, keepdims=True)
    weight = np.divide(weight, total, out=valid / valid.sum(1, keepdims=True), where=total > 0)
    highest = valid & (picked == np.where(valid, picked, -np.inf).max(1, keepdims=True, initial=-np.inf))
    return LocalisationScores(
        frames,
        _ranked(label, picked, shows, valid, truth.classes),
        clip,
        label,
        _ranked(np.arange(len(clip)), picked, shows, valid, len(clip)).auc,
        (highest & shows).sum(1) / highest.sum(1),
        (weight * shows).sum(1),
        shows.sum(1) / valid.sum(1),
        truth.classes,
    )


def _ranked(
    group: NDArray[np.int64],
    score: NDArray[np.floating],
    shows: NDArray[np.bool_],
    valid: NDArray[np.bool_],
    groups: int,
) -> Ranking:
    """Rank the valid frames [P, T] of pairs by the group [P] of their pair."""
    return rank_groups(np.repeat(group, valid.sum(1)), score[valid], shows[valid], groups)


def _all_frames(score: NDArray[np.floating], truth: FrameTruth) -> Ranking:
    """Rank all frames; only the positives are searched for, so nothing is sorted with its indices."""
    frames, labels = torch.from_numpy(score), torch.from_numpy(truth.dense())
    scores = tagging_scores(frames, labels)
    return Ranking(scores.average_precision.numpy(), scores.auc.numpy(), best_f1(frames, labels).numpy())


def _mean(values: NDArray[np.float64]) -> float | None:
    good = values[np.isfinite(values)]
    return math.fsum(good.tolist()) / len(good) if len(good) else None
