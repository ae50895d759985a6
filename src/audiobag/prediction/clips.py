"""Clips to predict, as a stream from a store or from anything that audiobag-prepare reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import h5py

from audiobag.data.store import DatasetInfo, Store, open_store
from audiobag.export import Tagger
from audiobag.export.recordings import recordings_of
from audiobag.prepare.locate import open_source
from audiobag.prepare.records import Clip
from audiobag.prepare.source import Part, Rejection, Rejects, Source
from audiobag.sound import Encoder, Reading
from audiobag.utils.errors import InputError
from audiobag.utils.files import check_readable
from audiobag.utils.hdf5 import open_hdf5
from audiobag.utils.values import check_choice


@dataclass
class Clips:
    """An iterator over the clips of a source, which can be used once.

    Attributes:
        path: the source.
        dim: D, the numbers of a frame.
        description: classes, dequantisation and duration of the frames; the classes are empty if the source has none.
        size: bytes to read.
        done: bytes read so far.
        synthetic: whether the clips are generated.
    """

    path: Path
    dim: int
    description: DatasetInfo
    size: int
    _stream: Iterator[Clip]
    _rejects: Rejects
    done: int = 0
    synthetic: bool = False

    def __iter__(self) -> Iterator[Clip]:
        return self._stream

    @property
    def rejected(self) -> list[Rejection]:
        """Bad records that were left out so far."""
        return self._rejects.found

    def check(self, tagger: Tagger) -> None:
        """Check that the frames are like those that a model was trained on.

        Raises:
            ValueError: names the first difference.
        """
        tagger.model_config.check_frames(self.path, self.dim, self.description)


def open_clips(path: Path, on_error: str = "stop") -> Clips:
    """Open a store, published shards or an archive of them, packed features, or your own embeddings.

    Labels are optional. Clips are read while you iterate; only the columns of a store are read at once.

    Args:
        path: a file or a folder.
        on_error: "stop" at the first bad record, or "skip" it.

    Raises:
        ValueError: the path does not exist or is not a known kind of source; while iterating, a record is bad.
    """
    check_choice("on_error", on_error, ("stop", "skip"))
    check_readable(path)
    rejects = Rejects(on_error)
    if _is_store(path):
        store = open_store(path)
        clips = Clips(path, store.dim, store.description, store.frames.nbytes, iter(()), rejects)
        clips._stream = _stored(store, clips)
        clips.synthetic = store.columns.witness_frames is not None
        return clips
    if not path.exists():
        raise InputError(f"there is no source at {path}: give a store, a shard or a folder of them, an .h5 or an .npz")
    return clips_of(open_source(path, str(path), labelled=False), path, rejects)


def open_recordings(
    tagger: Tagger,
    source: str | Path | Sequence[str | Path],
    on_error: str = "stop",
    *,
    encoder: Encoder | None = None,
    clip_seconds: float | None = None,
    reading: Reading | None = None,
    allow: Sequence[str] = (),
) -> Clips:
    """Open recordings of any length as clips for a model. They are read, encoded and cut while you iterate.

    All clips of a recording have its name as their video id, and their start in it.

    Args:
        tagger: the model.
        source: sound files, as `audiobag.sound.files.find_files` takes them.
        on_error: "stop" at the first bad file, or "skip" it.
        encoder: the encoder; None for that of the model's record.
        clip_seconds: duration of a clip; None for that of the clips that the model was trained on, or else 10 s.
        reading: how to read and encode; None for `Reading()`.
        allow: further packages whose modules the record may name; see `audiobag.load`.

    Raises:
        ValueError: there is no sound, the model's record has no encoder, or `encoder` is another than the model's.
    """
    read = recordings_of(tagger, source, encoder=encoder, clip_seconds=clip_seconds, reading=reading, allow=allow)
    return clips_of(read, Path(str(source)), Rejects(on_error))


def clips_of(source: Source, path: Path, rejects: Rejects) -> Clips:
    """Return the clips of an opened source.

    Args:
        source: read once.
        path: of the source, for messages.
        rejects: where bad records go.

    Raises:
        ValueError: there is no clip.
    """
    counted: list[Clips] = []

    def advance(size: int) -> None:
        if counted:
            counted[0].done += size

    parts = source.parts(rejects, advance)
    first = next(parts, None)
    if first is None:
        raise no_clip(path)
    clips = Clips(path, first.dim, first.description, source.size, iter(()), rejects)
    clips._stream = _parts(chain([first], parts), first, path)
    counted.append(clips)
    return clips


def no_clip(path: Path) -> InputError:
    """Return the error for a source without a single good clip."""
    return InputError(f"{path} holds no readable clip: give another source")


def _is_store(path: Path) -> bool:
    if not h5py.is_hdf5(path):
        return False
    with open_hdf5(path) as file:
        return "format_version" in file.attrs


def _stored(store: Store, clips: Clips) -> Iterator[Clip]:
    columns = store.columns
    for i, video_id in enumerate(columns.video_id):
        frames = store.frames[columns.offsets[i] : columns.offsets[i + 1]]
        labels = columns.label_ids[columns.label_offsets[i] : columns.label_offsets[i + 1]].tolist()
        yield Clip(bytes(video_id), frames, labels, float(columns.start_seconds[i]), float(columns.end_seconds[i]))
        clips.done += frames.nbytes


def _parts(parts: Iterator[Part], first: Part, path: Path) -> Iterator[Clip]:
    def meaning(part: Part) -> tuple[object, ...]:
        of = part.description
        return part.dim, of.class_names, of.frame_seconds, of.scale, of.offset

    for part in parts:
        if meaning(part) != meaning(first):
            raise InputError(
                f"{part.file} and {first.file} in {path} hold different kinds of clips: predict them separately"
            )
        for _, clip in part.clips:
            yield clip
