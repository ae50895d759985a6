"""Predictions of several runs for the same clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from audiobag.runs import SavedPredictions
from audiobag.runs.predictions import write_predictions

IDS = np.array([f"clip{i}" for i in range(6)], np.bytes_)


def saved(path: Path, clips: list[int], seed: int, classes: int = 3) -> np.ndarray:
    probability = np.random.default_rng(seed).random((len(clips), classes), dtype=np.float32)
    path.parent.mkdir(exist_ok=True)
    write_predictions(path, IDS[clips], probability)
    return probability.astype(np.float64)


@pytest.mark.parametrize("combine", ["logit", "probability"])
def test_a_clip_is_averaged_over_the_files_that_have_it(tmp_path: Path, combine: str) -> None:
    a, b = saved(tmp_path / "a" / "holdout.h5", [4, 0, 2, 1], 0), saved(tmp_path / "b.h5", [3, 2, 5], 1)
    found = SavedPredictions([tmp_path / "a", tmp_path / "b.h5"], combine).probability(IDS[[5, 2, 0]])
    both = (a[2] + b[1]) / 2
    if combine == "logit":
        logit = (np.log(a[2] / (1 - a[2])) + np.log(b[1] / (1 - b[1]))) / 2
        both = 1 / (1 + np.exp(-logit))
    np.testing.assert_allclose(found, [b[2], both, a[1]], rtol=1e-5)


def test_the_folder_of_a_sweep_stands_for_its_runs(tmp_path: Path) -> None:
    a, b = saved(tmp_path / "fold-0" / "holdout.h5", [0, 1], 0), saved(tmp_path / "fold-1" / "holdout.h5", [2], 1)
    (tmp_path / "fold-2").mkdir()
    found = SavedPredictions(tmp_path).probability(IDS[:3])
    np.testing.assert_allclose(found, [*a, *b], rtol=1e-5)


def test_certain_predictions_stay_finite(tmp_path: Path) -> None:
    write_predictions(tmp_path / "a.h5", IDS[:2], np.array([[0, 1], [1, 0]], np.float32))
    found = SavedPredictions(str(tmp_path / "a.h5")).probability(IDS[:2])
    np.testing.assert_allclose(found, [[0, 1], [1, 0]], atol=1e-5)


def test_a_clip_that_no_file_has_is_refused(tmp_path: Path) -> None:
    saved(tmp_path / "a.h5", [0, 1], 0)
    with pytest.raises(ValueError, match="paths have no prediction of 4 of 6 clips, the first is clip2"):
        SavedPredictions(tmp_path / "a.h5").probability(IDS)


def test_unusable_paths_are_refused(tmp_path: Path) -> None:
    saved(tmp_path / "a.h5", [0], 0)
    saved(tmp_path / "b.h5", [0], 0, classes=4)
    with pytest.raises(ValueError, match="paths must name the folders of runs, or files of predictions, got none"):
        SavedPredictions([]).probability(IDS)
    with pytest.raises(ValueError, match=r"paths must have the same classes: .*b\.h5 has 4, not 3"):
        SavedPredictions([tmp_path / "a.h5", tmp_path / "b.h5"]).probability(IDS[:1])
    with pytest.raises(ValueError, match=r"^paths must name runs that held clips out, got .* without holdout\.h5"):
        SavedPredictions([tmp_path]).probability(IDS)
    with pytest.raises(ValueError, match=r"^paths must name the folders of runs, .*missing, which is not there"):
        SavedPredictions([tmp_path / "missing"]).probability(IDS)
    with pytest.raises(ValueError, match="combine must be one of logit, probability, got median"):
        SavedPredictions([tmp_path], "median")
