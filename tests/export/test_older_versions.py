"""Runs, checkpoints and exports of audiobag 0.1 load and give the predictions that audiobag 0.1 recorded."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import audiobag
from audiobag.export import write_export
from audiobag.runs import RunDirectory

V0_1 = Path(__file__).parents[1] / "v0_1"


@pytest.mark.parametrize("path", ["run", "run/checkpoints/step-00000008.ckpt", "export"])
def test_a_model_of_0_1_gives_its_recorded_predictions(path: str) -> None:
    store = audiobag.open_store(V0_1 / "data" / "eval.h5")
    video_id, probability = RunDirectory(V0_1 / "run").read_predictions()
    np.testing.assert_array_equal(store.columns.video_id, video_id)
    tagger = audiobag.load(V0_1 / path)
    predicted = tagger.predict([store.frames[a:b] for a, b in pairwise(store.columns.offsets)])
    np.testing.assert_allclose(predicted.clip, probability, atol=1e-6)
    assert tagger.class_names == store.description.class_names
    training = tagger.model_config.training["config"]
    assert "lr_scheduler" in training
    assert "scheduler" not in training


def test_a_run_of_0_1_is_exported_with_its_scores(tmp_path: Path) -> None:
    write_export(V0_1 / "run", tmp_path / "out", store=V0_1 / "data" / "eval.h5", replicates=5)
    scores = RunDirectory(V0_1 / "run").metrics()
    assert scores is not None
    assert f"| mAP | {scores['test']['mAP']:.4f} |" in (tmp_path / "out" / "README.md").read_text()
