from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiobag.prepare.layout import learn_layout
from audiobag.prepare.messages import FeatureLists, Features, Halves, SequenceExample
from audiobag.prepare.parse import Parser
from audiobag.prepare.records import Clip, serialise
from audiobag.prepare.source import BadRecord

DIM, CLASSES = 4, 527


def in_order(clip: Clip, order: tuple[str, ...]) -> bytes:
    """Return the payload of a clip with the entries of its context in this order."""
    plain = SequenceExample.FromString(serialise(clip))
    entries = (Features(feature={name: plain.context.feature[name]}).SerializeToString() for name in order)
    lists = plain.feature_lists.SerializeToString()
    return Halves(context=b"".join(entries), feature_lists=lists).SerializeToString()


@st.composite
def clips(draw: st.DrawFn) -> Clip:
    n = draw(st.integers(1, 3))
    frames = np.frombuffer(draw(st.binary(min_size=n * DIM, max_size=n * DIM)), np.uint8).reshape(n, DIM)
    labels = draw(st.lists(st.sampled_from([0, 1, 127, 128, 300, 526, 527, -1, 2**40]), max_size=3))
    seconds = draw(st.sampled_from([0.0, -0.0, 30.0, 1e-3]))
    return Clip(draw(st.sampled_from([b"a", b"bb", b"video_id"])), frames, labels, seconds, seconds + 1)


ORDERS = list(itertools.permutations(("video_id", "start_time_seconds", "end_time_seconds", "labels")))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(clips(), st.sampled_from(ORDERS[:3])), min_size=2, max_size=30))
def test_layouts_and_protobuf_agree(items: list[tuple[Clip, tuple[str, ...]]]) -> None:
    by_layout = Parser(DIM, CLASSES)
    for clip, order in items:
        payload = in_order(clip, order)
        # A new parser has no layouts and uses protobuf.
        assert outcome(by_layout, payload) == outcome(Parser(DIM, CLASSES), payload)


def outcome(parser: Parser, payload: bytes) -> object:
    try:
        clip = parser(payload)
    except BadRecord as finding:
        return str(finding)
    return clip._replace(frames=(clip.frames.shape, clip.frames.dtype, clip.frames.tobytes()))  # type: ignore[arg-type]


CLIP = Clip(b"abc", np.arange(12, dtype=np.uint8).reshape(3, DIM), (1, 128), 1.0, 2.0)


@pytest.mark.parametrize("order", ORDERS)
def test_the_layout_of_one_record_cuts_up_others_of_its_kind(order: tuple[str, ...]) -> None:
    layout = learn_layout(in_order(CLIP, order), CLIP)
    assert layout is not None
    other = CLIP._replace(video_id=b"xyz", frames=CLIP.frames[::-1] + 100, label_ids=(200, 3), start_seconds=7.0)
    cut = layout.cut(in_order(other, order))
    assert cut is not None
    assert cut[:4] == (b"xyz", 7.0, 2.0, b"\xc8\x01\x03")
    np.testing.assert_array_equal(cut[4], other.frames)


def test_a_layout_does_not_fit_another_order() -> None:
    layout = learn_layout(in_order(CLIP, ORDERS[0]), CLIP)
    assert layout is not None
    assert layout.cut(in_order(CLIP, ORDERS[1])) is None


@pytest.mark.parametrize("place", range(5, len(serialise(CLIP)), 7))
def test_layouts_and_protobuf_agree_on_damaged_records(place: int) -> None:
    parser = Parser(DIM, CLASSES)
    parser(serialise(CLIP))
    for bit in range(8):
        damaged = bytearray(serialise(CLIP))
        damaged[place] ^= 1 << bit
        assert outcome(parser, bytes(damaged)) == outcome(Parser(DIM, CLASSES), bytes(damaged))


@pytest.mark.parametrize(
    "packed", [b"\x80" * 11 + b"\0", b"\x80" * 9 + b"\0\1\2", b"\1" * 11 + b"\x80", b"\x8f\x04" * 6]
)
def test_layouts_and_protobuf_agree_on_unusual_labels(packed: bytes) -> None:
    parser = Parser(DIM, CLASSES)
    payload = serialise(CLIP._replace(label_ids=range(12)))
    parser(payload)
    odd = payload.replace(bytes(range(12)), packed)
    assert odd != payload
    assert outcome(parser, odd) == outcome(Parser(DIM, CLASSES), odd)


def test_unusual_encodings_are_parsed() -> None:
    payload = serialise(CLIP)
    parser = Parser(DIM, CLASSES)
    parser(payload)
    example = SequenceExample.FromString(payload)
    example.context.feature["extra"].int64_list.value.append(1)
    example.feature_lists.feature_list["rgb"].feature.add().bytes_list.value.append(b"x")
    halves = Halves.FromString(payload)
    # Messages that occur twice are merged: here the feature lists are in two parts.
    first, second = FeatureLists(), FeatureLists()
    first.feature_list["other"].feature.add()
    second.MergeFromString(halves.feature_lists)
    twice = (
        Halves(context=halves.context, feature_lists=first.SerializeToString()).SerializeToString()
        + Halves(feature_lists=halves.feature_lists).SerializeToString()
    )
    for unusual in (example.SerializeToString(), twice):
        assert outcome(parser, unusual) == outcome(parser, payload)


def test_witness_frames_are_sorted_with_their_labels() -> None:
    clip = CLIP._replace(label_ids=(128, 1, 128), witness=[[2], [1], [0, 2]])
    found = Parser(DIM, CLASSES)(serialise(clip))
    assert found.label_ids == (1, 128)
    assert found.witness == [[1], [0, 2]]


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (lambda e: e.context.feature.pop("labels"), "no labels"),
        (lambda e: e.context.feature.pop("video_id"), "no video_id"),
        (lambda e: e.context.feature["labels"].bytes_list.value.append(b"1"), "labels is a bytes_list"),
        (lambda e: e.context.feature["video_id"].bytes_list.value.append(b"2"), "video_id has 2 values"),
        (lambda e: e.context.feature["labels"].int64_list.value.append(527), "label 527 is outside 0..526"),
        (lambda e: e.context.feature["labels"].int64_list.value.append(-3), "label -3 is outside 0..526"),
        (lambda e: e.ClearField("feature_lists"), "no audio_embedding"),
        (lambda e: embedding(e).add(), "frame 3 of audio_embedding has 0 values"),
        (lambda e: embedding(e)[1].bytes_list.value.__setitem__(0, b"abc"), "frame 1 .* has 3 bytes, expected .* 4"),
        (lambda e: witness(e, [0]), "1 lists of witness frames for 2 labels"),
        (lambda e: witness(e, [0], [3]), "witness frame 3 is outside the clip, which has 3 frames"),
    ],
)
def test_bad_records_are_refused(change, finding: str) -> None:
    example = SequenceExample.FromString(serialise(CLIP))
    change(example)
    with pytest.raises(BadRecord, match=finding):
        Parser(DIM, CLASSES)(example.SerializeToString())


def test_missing_times_are_nan() -> None:
    example = SequenceExample.FromString(serialise(CLIP))
    example.context.feature.pop("start_time_seconds")
    assert np.isnan(Parser(DIM, CLASSES)(example.SerializeToString()).start_seconds)


def test_labels_may_be_missing_if_they_are_not_required() -> None:
    example = SequenceExample.FromString(serialise(CLIP))
    example.context.feature.pop("labels")
    parser = Parser(DIM, CLASSES, labelled=False)
    found = parser(example.SerializeToString())
    assert found.label_ids == ()
    np.testing.assert_array_equal(found.frames, CLIP.frames)
    assert parser(serialise(CLIP)).label_ids == tuple(sorted(CLIP.label_ids))


def embedding(example):
    return example.feature_lists.feature_list["audio_embedding"].feature


def witness(example, *shown_by: list[int]) -> None:
    for frames in shown_by:
        example.feature_lists.feature_list["witness"].feature.add().int64_list.value.extend(frames)
