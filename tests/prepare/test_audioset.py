"""The real release, where the variable AUDIOBAG_AUDIOSET names its folder."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from audiobag.labels import audioset_classes
from audiobag.prepare import Summary, prepare
from audiobag.store import open_store

pytestmark = pytest.mark.audioset


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audioset")


@pytest.fixture(scope="module")
def summary(audioset: Path, out: Path) -> Summary:
    source = str(audioset / "features.tar.gz")
    # In a process of its own, where no type checker looks at each of 42,531 clips.
    script = (
        "import sys, pathlib; from audiobag.prepare import prepare; prepare(sys.argv[1], pathlib.Path(sys.argv[2]))"
    )
    subprocess.run([sys.executable, "-c", script, source, str(out)], check=True, capture_output=True)
    again = prepare(source, out, console=Console(quiet=True))
    assert again.unchanged
    return again


def test_counts(summary: Summary) -> None:
    found = {split.name: (split.clips, split.positives, split.without_positives) for split in summary.splits}
    assert found == {"bal_train": (22_160, 52_882, ()), "eval": (20_371, 51_804, ())}
    assert summary.splits[0].frames_per_clip[-1] == (10, 10, 21_782)
    assert summary.rejected == 0


def test_bal_train_is_what_the_official_list_says(summary: Summary, out: Path, audioset: Path) -> None:
    store = open_store(out / "bal_train.h5")
    classes = {mid: k for k, mid in enumerate(audioset_classes().mids)}
    with (audioset / "balanced_train_segments.csv").open() as file:
        lines = [line for line in file if not line.startswith("#")]
    official = {row[0]: row[1:] for row in csv.reader(lines, skipinitialspace=True)}
    columns = store.columns
    assert [video_id.decode() for video_id in columns.video_id] == sorted(official)
    expected = [official[name] for name in sorted(official)]
    np.testing.assert_array_equal(columns.start_seconds, np.array([row[0] for row in expected], np.float32))
    # 38 records of fewer than 10 frames end a second before the list says so; any reader finds that in them.
    missing = np.array([row[1] for row in expected], np.float32) - columns.end_seconds
    np.testing.assert_array_equal(np.unique(missing, return_counts=True), [[0, 1], [22_160 - 38, 38]])
    assert (columns.lengths[missing > 0] < 10).all()
    labels = [sorted(classes[mid] for mid in row[2].split(",")) for row in expected]
    np.testing.assert_array_equal(columns.label_ids, np.concatenate(labels))
    np.testing.assert_array_equal(np.diff(columns.label_offsets), [len(row) for row in labels])
