"""Strong labels of the clips of a store, from each kind of file and from planted witnesses."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from audiobag.data.events import read_events
from audiobag.data.store import Columns, DatasetInfo, Store, open_store, write_store
from audiobag.data.strong import StrongLabels, strong_labels
from audiobag.prepare.pipeline import prepare
from tests.conftest import make_store
from tests.oracles import strong as oracle

AUDIOSET = "segment_id\tstart_time_seconds\tend_time_seconds\tlabel\n"
FRAMED = "segment_id\tstart_time_seconds\tend_time_seconds\tlabel\tpresent\n"
DESED = "filename\tonset\toffset\tevent_label\n"
OWN = "video_id,start_seconds,end_seconds,label\n"
CLIPS = {"--4gqARaEJE": (0, 10), "--BfvyPmVMo": (20, 10), "--U7joUcTCo": (0, 10), "-0DLPzsiXXE": (30, 1)}
"""Video id, start in seconds and number of frames of some clips of AudioSet's eval split; the last is shortened."""
NAMES = {"Speech": "/m/09x0r", "Vacuum cleaner": "/m/0d31p", "Animal": "/m/0jbk", "Vehicle": "/m/07yv9"}


@pytest.fixture
def clips(tmp_path: Path) -> Store:
    start = np.array([first for first, _ in CLIPS.values()], np.float32)
    lengths = np.array([length for _, length in CLIPS.values()])
    columns = Columns(
        offsets=np.append(0, lengths.cumsum()),
        label_ids=np.zeros(len(CLIPS), np.int16),
        label_offsets=np.arange(len(CLIPS) + 1),
        video_id=np.array(list(CLIPS), np.bytes_),
        start_seconds=start,
        end_seconds=start + 10,
    )
    info = DatasetInfo(tuple(NAMES), tuple(NAMES.values()), 1.0, 1 / 128, -1.0, "made by hand")
    frames = np.zeros((lengths.sum(), 3), np.uint8)
    path = tmp_path / "eval.h5"
    write_store(path, frames=[frames], dim=3, dtype=frames.dtype, columns=columns, description=info)
    return open_store(path)


def written(folder: Path, text: str) -> Path:
    path = folder / "events.tsv"
    path.write_text(text, encoding="utf-8")
    return path


def shown(found: StrongLabels) -> dict[tuple[int, int], list[int]]:
    """Return the frames of each clip of the store and class."""
    truth = found.truth
    return {
        (int(found.rows[clip]), int(label)): np.flatnonzero(shows & valid).tolist()
        for clip, label, shows, valid in zip(truth.clip, truth.label, truth.shows, truth.valid, strict=True)
    }


def test_audioset_strong(clips: Store, tmp_path: Path) -> None:
    text = (
        "--4gqARaEJE_0\t0.000\t10.000\t/m/09x0r\n"
        "--4gqARaEJE_0\t2.345\t4.600\t/m/0d31p\n"
        "--BfvyPmVMo_20000\t9.000\t10.000\t/m/09x0r\n"
        "-0DLPzsiXXE_30000\t0.100\t0.900\t/m/09x0r\n"  # a clip of one frame
        "--BfvyPmVMo_20000\t1.000\t2.000\t/t/dd99999\n"  # a label outside of the classes
        "zzzzzzzzzzz_30000\t1.000\t2.000\t/m/09x0r\n"  # a clip without features
        "--U7joUcTCo_5000\t1.000\t2.000\t/m/09x0r\n"  # another part of the video
    )
    found = strong_labels(clips, written(tmp_path, AUDIOSET + text))
    assert found.rows.tolist() == [0, 1, 3]
    assert shown(found) == {(0, 0): list(range(10)), (0, 1): [2, 3, 4], (1, 0): [9], (3, 0): [0]}
    assert found.counts == {
        "clips": 3,
        "clips_without_strong": 1,
        "pairs": 4,
        "pairs_everywhere": 2,
        "clips_not_in_store": 2,
        "events": 4,
        "events_of_unknown_labels": 1,
        "unknown_labels": 1,
        "events_outside": 0,
    }


@pytest.mark.parametrize(
    ("events", "frames"),
    [
        ([(0.9, 2.1)], [0, 1, 2]),  # a tenth of a frame is enough
        ([(0.901, 2.099)], [1]),
        ([(0.95, 1.02)], [0]),  # less than a tenth of any frame: the one it overlaps most
        ([(3.1, 3.1)], []),  # an event without duration
        ([(1.0, 1.05), (1.2, 1.25)], [1]),
        ([(4.0, 4.06), (4.0, 4.06), (3.5, 4.06)], [3, 4]),  # each second counts once
        ([(3.5, 4.06), (4.02, 4.06)], [3, 4]),  # the second event marks a frame of its own
        ([(0.0, 99.0)], list(range(10))),
        ([(11.0, 12.0)], []),
    ],
)
def test_a_frame_shows_a_class_that_covers_a_tenth_of_it(
    events: list[tuple[float, float]], frames: list[int], clips: Store, tmp_path: Path
) -> None:
    rows = "".join(f"--4gqARaEJE,{start},{end},Speech\n" for start, end in events)
    found = strong_labels(clips, written(tmp_path, OWN + rows))
    assert shown(found).get((0, 0), []) == frames
    assert np.flatnonzero(oracle.shows(events, 10)).tolist() == frames
    assert found.counts["events_outside"] == (0 if frames else len(events))


def test_many_events_equal_the_rule_in_milliseconds(tmp_path: Path) -> None:
    store = make_store(tmp_path / "eval.h5")
    rng = np.random.default_rng(0)
    events = defaultdict(list)
    rows = []
    for n, k in rng.integers(0, (len(store), store.classes), (600, 2)).tolist():
        start, length = rng.integers(0, 10_000) / 1000, rng.choice([30, 90, 500, 3000]) / 1000
        events[n, k].append((start, start + length))
        rows.append(f"clip{n:06d},{start:.3f},{start + length:.3f},class {k}\n")
    found = shown(strong_labels(store, written(tmp_path, OWN + "".join(rows))))
    lengths = store.columns.lengths
    limited = {
        pair: np.flatnonzero(oracle.shows([(s, min(e, lengths[pair[0]])) for s, e in each], lengths[pair[0]])).tolist()
        for pair, each in events.items()
    }
    assert found == {pair: frames for pair, frames in limited.items() if frames}


def test_desed(clips: Store, tmp_path: Path) -> None:
    rows = (
        "Y--BfvyPmVMo_20.000_30.000.wav\t0.5\t1.5\tVacuum_cleaner\n"
        "Y--4gqARaEJE_0.000_10.000.wav\t\t\t\n"  # a clip without events
        "--U7joUcTCo.wav\t3\t4\tspeech\n"
        "--U7joUcTCo.wav\t3\t4\tDishes\n"
    )
    found = strong_labels(clips, written(tmp_path, DESED + rows))
    assert found.rows.tolist() == [0, 1, 2]
    assert shown(found) == {(1, 1): [0, 1], (2, 0): [3]}
    assert found.counts["unknown_labels"] == 1


def test_explicit_negatives_leave_the_rest_unknown(clips: Store, tmp_path: Path) -> None:
    rows = (
        "--4gqARaEJE_0\t0.960\t1.920\t/m/09x0r\tPRESENT\n"
        "--4gqARaEJE_0\t2.880\t5.760\t/m/09x0r\tNOT_PRESENT\n"
        "--BfvyPmVMo_20000\t0.000\t9.600\t/m/09x0r\tNOT_PRESENT\n"
    )
    found = strong_labels(clips, written(tmp_path, FRAMED + rows))
    assert shown(found) == {(0, 0): [1], (1, 0): []}
    assert [np.flatnonzero(v).tolist() for v in found.truth.valid] == [[1, 3, 4], list(range(9))]
    assert found.counts["pairs_everywhere"] == 0


def test_labels_outside_of_the_classes_stand_for_their_nearest_ancestors(clips: Store, tmp_path: Path) -> None:
    graph = {"root": ["/m/0jbk", "/m/07yv9"], "/m/0jbk": ["dog"], "/m/07yv9": ["bark"], "dog": ["bark", "howl"]}
    path = tmp_path / "ontology.json"
    path.write_text(json.dumps([{"id": name, "child_ids": children} for name, children in graph.items()]))
    rows = "".join(
        f"--4gqARaEJE_0\t{t}.0\t{t + 1}.0\t{label}\n" for t, label in enumerate(["dog", "bark", "howl", "root", "else"])
    )
    events = written(tmp_path, AUDIOSET + rows)
    found = strong_labels(clips, events, path)
    assert shown(found) == {(0, 2): [0, 2], (0, 3): [1]}
    assert found.counts["unknown_labels"] == 2
    assert strong_labels(clips, events).counts["unknown_labels"] == 5


def test_planted_witnesses(tmp_path: Path) -> None:
    prepare("synthetic", tmp_path, size="tiny")
    store = open_store(tmp_path / "eval.h5")
    found = strong_labels(store, "planted")
    assert found.counts["clips"] == len(store)
    assert found.counts["clips_without_strong"] == 0
    columns, frames = store.columns, shown(found)
    assert columns.witness_frames is not None
    assert columns.witness_offsets is not None
    for j in np.random.default_rng(0).integers(0, len(columns.label_ids), 50):
        n = int(np.searchsorted(columns.label_offsets, j, side="right")) - 1
        own: NDArray[np.int32] = columns.witness_frames[columns.witness_offsets[j] : columns.witness_offsets[j + 1]]
        assert frames[n, int(columns.label_ids[j])] == own.tolist()


def test_a_store_without_witnesses_is_refused(clips: Store) -> None:
    with pytest.raises(ValueError, match=r"^strong must be a file of events, since .* has no strong labels of its own"):
        strong_labels(clips, "planted")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "first line names its columns"),
        (AUDIOSET + "--4gqARaEJE_0\tx\t1\t/m/09x0r\n", "line 2: could not convert"),
        (AUDIOSET + "--4gqARaEJE\t0\t1\t/m/09x0r\n", "expected a video id, _ and the start"),
        (OWN + "--4gqARaEJE,2,1,Speech\n", "Speech from 2 to 1 s"),
        (OWN + "--4gqARaEJE,-1,1,Speech\n", "Speech from -1 to 1 s"),
        (OWN + "--4gqARaEJE,0,nan,Speech\n", "Speech from 0 to nan s"),
        (OWN + "--4gqARaEJE,0,1,\n", "an event without a label"),
        (OWN + "--4gqARaEJE,0\n", "line 2: it has fewer cells than the first line"),
        (FRAMED + "--4gqARaEJE_0\t0\t1\t/m/09x0r\tMAYBE\n", "present is 'MAYBE'"),
        (AUDIOSET + "zzzzzzzzzzz_0\t0\t1\t/m/09x0r\n", "none of whose 1 clips it has"),
        (AUDIOSET, "none of whose 0 clips it has"),
    ],
)
def test_bad_files_are_refused(text: str, message: str, clips: Store, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"^strong .*{re.escape(message)}"):
        strong_labels(clips, written(tmp_path, text))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^strong must be a file of events, got .*missing"):
        read_events(tmp_path / "missing.tsv")
