"""The real release, in the folder that the variable AUDIOBAG_AUDIOSET names."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from audiobag.data.store import open_store
from audiobag.data.strong import strong_labels
from audiobag.labels import audioset_classes
from audiobag.prepare import Summary, prepare

pytestmark = pytest.mark.audioset


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audioset")


@pytest.fixture(scope="module")
def summary(audioset: Path, out: Path) -> Summary:
    source = str(audioset / "features.tar.gz")
    # A separate process has no type checks at run time, which are slow for 42,531 clips.
    script = (
        "import sys, pathlib; from audiobag.prepare import prepare; prepare(sys.argv[1], pathlib.Path(sys.argv[2]))"
    )
    subprocess.run([sys.executable, "-c", script, source, str(out)], check=True, capture_output=True)
    again = prepare(source, out, console=Console(quiet=True))
    assert again.unchanged
    return again


def test_the_release_has_the_published_counts(summary: Summary) -> None:
    found = {split.name: (split.clips, split.positives, split.without_positives) for split in summary.splits}
    assert found == {"bal_train": (22_160, 52_882, ()), "eval": (20_371, 51_804, ())}
    assert summary.splits[0].frames_per_clip[-1] == (10, 10, 21_782)
    assert summary.rejected == 0


def test_bal_train_agrees_with_the_official_list(summary: Summary, out: Path, audioset: Path) -> None:
    store = open_store(out / "bal_train.h5")
    classes = {mid: k for k, mid in enumerate(audioset_classes().mids)}
    with (audioset / "balanced_train_segments.csv").open() as file:
        lines = [line for line in file if not line.startswith("#")]
    official = {row[0]: row[1:] for row in csv.reader(lines, skipinitialspace=True)}
    columns = store.columns
    assert [video_id.decode() for video_id in columns.video_id] == sorted(official)
    expected = [official[name] for name in sorted(official)]
    np.testing.assert_array_equal(columns.start_seconds, np.array([row[0] for row in expected], np.float32))
    # In the release, 38 records of fewer than 10 frames end one second earlier than in the list.
    missing = np.array([row[1] for row in expected], np.float32) - columns.end_seconds
    np.testing.assert_array_equal(np.unique(missing, return_counts=True), [[0, 1], [22_160 - 38, 38]])
    assert (columns.lengths[missing > 0] < 10).all()
    labels = [sorted(classes[mid] for mid in row[2].split(",")) for row in expected]
    np.testing.assert_array_equal(columns.label_ids, np.concatenate(labels))
    np.testing.assert_array_equal(np.diff(columns.label_offsets), [len(row) for row in labels])


def test_strong_labels_find_the_clips_of_the_eval_set(summary: Summary, out: Path, tmp_path: Path) -> None:
    """A file in the format of AudioSet-Strong that says that all labels of a clip are heard from second 2 to 4."""
    store = open_store(out / "eval.h5")
    columns, mids = store.columns, store.description.class_mids
    rows = ["segment_id\tstart_time_seconds\tend_time_seconds\tlabel"]
    for n, (name, start) in enumerate(zip(columns.video_id, columns.start_seconds.tolist(), strict=True)):
        labels = columns.label_ids[columns.label_offsets[n] : columns.label_offsets[n + 1]]
        rows += [f"{name.decode()}_{round(start * 1000)}\t2.000\t4.000\t{mids[k]}" for k in labels.tolist()]
    path = tmp_path / "audioset_eval_strong.tsv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    found = strong_labels(store, path)
    lengths = np.repeat(columns.lengths, np.diff(columns.label_offsets))
    assert len(lengths) == found.counts["events"] == 51_804
    assert found.rows.tolist() == list(range(20_371))
    assert found.counts["clips_not_in_store"] == found.counts["unknown_labels"] == 0
    assert found.counts["events_outside"] == (lengths <= 2).sum()
    t = np.arange(found.truth.shows.shape[1])
    expected = (t >= 2) & (t < 4) & (t < lengths[lengths > 2, None])
    np.testing.assert_array_equal(found.truth.shows, expected)
