from __future__ import annotations

import hashlib
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from audiobag.labels import audioset_classes
from audiobag.prepare.source import Rejects
from audiobag.prepare.synthetic import GENERATOR_VERSION, SIZES, Synthetic
from audiobag.prepare.synthetic_classes import CLASSES, DIM, MAX_FRAMES, sounds
from audiobag.prepare.synthetic_model import CHUNK_CLIPS, SPLITS, Chunk, make_chunk

SPEECH, MUSIC = 0, 137
chunk_of = cache(make_chunk)


def presence(chunk: Chunk) -> NDArray[np.bool_]:
    """Return [N, K], true if the clip has the label."""
    present = np.zeros((len(chunk.lengths), CLASSES), np.bool_)
    present[np.repeat(np.arange(len(present)), np.diff(chunk.label_offsets)), chunk.label_ids] = True
    return present


def showing(chunk: Chunk) -> NDArray[np.bool_]:
    """Return [N, T, K], true if the frame shows the label."""
    shows = np.zeros((*chunk.frames.shape[:2], CLASSES), np.bool_)
    clip = np.repeat(np.arange(len(shows)), np.diff(chunk.label_offsets))
    times = np.diff(chunk.witness_offsets)
    shows[np.repeat(clip, times), chunk.witness_frames, np.repeat(chunk.label_ids, times)] = True
    return shows


def real(chunk: Chunk) -> NDArray[np.bool_]:
    """Return [N, T], false after the end of a bag."""
    return np.arange(MAX_FRAMES) < chunk.lengths[:, None]


def same(a: Chunk, b: Chunk) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_a_chunk_does_not_depend_on_other_chunks() -> None:
    alone = make_chunk(0, "eval", 3)
    after = [make_chunk(0, "eval", i) for i in range(4)]
    assert same(alone, after[3])
    assert not any(np.array_equal(alone.frames, other.frames) for other in after[:3])


@pytest.mark.parametrize("other", [(1, "eval", 0), (0, "bal_train", 0), (0, "eval", 1)])
def test_seed_split_and_chunk_change_the_frames(other: tuple[int, str, int]) -> None:
    assert not np.array_equal(chunk_of(0, "eval", 0).frames, chunk_of(*other).frames)


def test_shapes_follow_the_lengths() -> None:
    chunk = chunk_of(0, "bal_train", 0)
    assert chunk.frames.shape == (CHUNK_CLIPS, MAX_FRAMES, DIM)
    assert chunk.frames.dtype == np.uint8
    assert (chunk.frames[real(chunk)].max(1) > 0).all()
    assert not chunk.frames[~real(chunk)].any()
    assert chunk.label_offsets[-1] == len(chunk.label_ids) == len(chunk.witness_offsets) - 1
    assert chunk.witness_offsets[-1] == len(chunk.witness_frames)


def test_bags_have_1_to_10_frames_and_most_have_10() -> None:
    lengths = np.concatenate([chunk_of(0, "unbal_train", i).lengths for i in range(3)])
    assert set(lengths.tolist()) == set(range(1, 11))
    assert np.mean(lengths == 10) == pytest.approx(0.98, abs=0.01)


def test_class_frequencies_resemble_audioset() -> None:
    rate = np.mean([presence(chunk_of(0, "eval", i)).mean(0) for i in range(3)], axis=0)
    ranked = np.sort(rate)[::-1]
    assert set(np.argsort(-rate)[:2].tolist()) == {SPEECH, MUSIC}
    assert ranked[0] == pytest.approx(0.28, abs=0.04)
    assert 0.025 < ranked[2] < 0.06
    assert 0.008 < ranked[10] < 0.03
    assert 0.0015 < ranked[100] < 0.005


@pytest.mark.parametrize("split", ["bal_train", "eval"])
def test_every_class_is_in_every_chunk_of_the_curated_splits(split: str) -> None:
    assert SIZES["small"][split] >= CHUNK_CLIPS
    assert presence(chunk_of(0, split, 0)).sum(0).min() >= 2


def test_the_unbalanced_split_has_a_longer_tail() -> None:
    balanced, unbalanced = (presence(chunk_of(0, split, 0)).sum(0) for split in ("bal_train", "unbal_train"))
    assert (balanced == 0).sum() == 0
    assert (unbalanced == 0).sum() > 100


def test_parents_are_labelled_with_their_children() -> None:
    present = presence(chunk_of(0, "bal_train", 0))
    assert present.any(1).all()
    assert 2.2 < present.sum(1).mean() < 3.2
    parent = sounds().parent
    clip, label = np.nonzero(present)
    child = parent[label] != label
    assert np.mean(present[clip[child], parent[label[child]]]) > 0.7


def test_families_are_runs_that_start_with_their_parent() -> None:
    parent = sounds().parent
    assert (np.diff(parent) >= 0).all()
    assert (parent[parent] == parent).all()
    assert (parent <= np.arange(CLASSES)).all()
    assert parent[MUSIC] == MUSIC
    assert audioset_classes().names[MUSIC] == "Music"


def test_witness_frames_are_frames_of_their_bag() -> None:
    chunk = chunk_of(0, "bal_train", 0)
    times = np.diff(chunk.witness_offsets)
    assert times.min() >= 1
    clip = np.repeat(np.arange(CHUNK_CLIPS), np.diff(chunk.label_offsets))
    assert (chunk.witness_frames >= 0).all()
    assert (chunk.witness_frames < np.repeat(chunk.lengths[clip], times)).all()
    assert np.array_equal(showing(chunk).any(1), presence(chunk))


def test_most_classes_are_brief_and_some_last() -> None:
    chunk = chunk_of(0, "eval", 0)
    extent = np.minimum(sounds().longest[chunk.label_ids], MAX_FRAMES)
    clip = np.repeat(np.arange(CHUNK_CLIPS), np.diff(chunk.label_offsets))
    share = np.diff(chunk.witness_offsets) / chunk.lengths[clip]
    # Music lasts throughout, unless it is labelled only as the parent of another sound.
    assert np.mean(share[chunk.label_ids == MUSIC] == 1) > 0.9
    childless = np.bincount(sounds().parent, minlength=CLASSES)[chunk.label_ids] == 0
    brief = childless & (extent == 3) & (chunk.lengths[clip] == MAX_FRAMES)
    assert share[brief].max() < 0.7
    assert share[brief].mean() < 0.35
    assert np.mean(sounds().longest == 3) > 0.5
    assert 0.05 < np.mean(sounds().longest == MAX_FRAMES) < 0.25


def test_a_matched_filter_finds_the_witness_frames() -> None:
    """A matched filter, w_k = S^-1 d_k with covariance S, ranks the witnesses of a class above other frames."""
    chunk = chunk_of(0, "eval", 0)
    frames = chunk.frames[real(chunk)].astype(float)
    filters = np.linalg.solve(np.cov(frames.T), sounds().direction.T.astype(float))
    shows = showing(chunk)
    clip, label = np.nonzero(real(chunk).all(1)[:, None] & shows.any(1) & ~shows.all(1))
    scores = np.einsum("ptd,dp->pt", chunk.frames[clip] - frames.mean(0), filters[:, label])
    scores /= np.sqrt(np.einsum("kd,dk->k", sounds().direction, filters))[label, None]
    assert roc_auc_score(shows[clip, :, label].ravel(), scores.ravel()) > 0.9


def test_only_sounds_of_one_family_are_similar() -> None:
    model = sounds()
    unit = model.direction / np.linalg.norm(model.direction, axis=1, keepdims=True)
    alike = unit @ unit.T
    family = model.parent[:, None] == model.parent
    np.fill_diagonal(alike, np.nan)
    assert np.nanmean(alike[family]) > 0.3
    assert abs(np.nanmean(alike[~family])) < 0.05


def test_statistics_of_frames_resemble_the_release() -> None:
    """In the real eval split, components have means of 87 to 165 and spreads of 58 to 91."""
    chunk = chunk_of(0, "eval", 0)
    whole = chunk.frames[chunk.lengths == MAX_FRAMES].astype(float)
    mean, spread = whole.mean((0, 1)), whole.std((0, 1))
    assert 70 < mean.min() < mean.max() < 185
    assert 45 < spread.min() < spread.max() < 105
    assert spread[:32].mean() + 5 < spread[-32:].mean()
    within = whole.std(1).mean(0) / spread
    assert within[:32].mean() + 0.03 < within[-32:].mean() < 0.9
    assert 0.02 < np.mean((whole == 0) | (whole == 255)) < 0.25


def test_video_ids_are_unique() -> None:
    ids = [make_id for split in SPLITS for i in range(2) for make_id in chunk_of(0, split, i).video_id.tolist()]
    assert len(set(ids)) == 6 * CHUNK_CLIPS
    assert {len(video_id) for video_id in ids} == {11}
    first, second = (chunk_of(0, "eval", i).video_id for i in range(2))
    assert max(first.tolist()) < min(second.tolist())


def test_the_full_size_has_as_many_clips_as_audioset() -> None:
    assert sum(SIZES["full"].values()) == 2_084_320
    assert max(SIZES["full"].values()) / CHUNK_CLIPS < 4096


def test_generated_clips_change_only_with_the_version() -> None:
    """A changed generator needs a new GENERATOR_VERSION, or stores of the old one are accepted."""
    chunk = chunk_of(0, "bal_train", 0)
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(column).tobytes() for column in chunk))
    assert (GENERATOR_VERSION, digest.hexdigest()[:16]) == (1, "f50239d8179ffcaa")


def test_synthetic_clips_have_the_form_of_published_records() -> None:
    parts = list(Synthetic("tiny").parts(Rejects("stop"), lambda size: None))
    assert [part.file for part in parts] == ["bal_train/0000.tfrecord", "eval/0000.tfrecord"]
    chunk = chunk_of(0, "eval", 0)
    clips = [clip for _, clip in parts[1].clips]
    assert len(clips) == SIZES["tiny"]["eval"]
    shows = showing(chunk)
    for i, clip in enumerate(clips):
        assert clip.video_id == chunk.video_id[i]
        assert np.array_equal(clip.frames, chunk.frames[i, : chunk.lengths[i]])
        assert clip.end_seconds - clip.start_seconds == chunk.lengths[i]
        assert clip.witness is not None
        told = {(label, t) for label, frames in zip(clip.label_ids, clip.witness, strict=True) for t in frames}
        assert told == {(label, t) for t, label in np.argwhere(shows[i]).tolist()}


def test_an_unknown_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^size must be one of tiny, small, full, got huge$"):
        Synthetic("huge")
