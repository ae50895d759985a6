"""Recordings as a source of clips, as `audiobag.prepare` takes sources."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from audiobag.data.store import DatasetInfo
from audiobag.prepare.labels import NO_LABELS, Labels
from audiobag.prepare.records import Clip
from audiobag.prepare.source import Advance, Part, Rejects
from audiobag.sound.cutting import Cut, Cutter, Heard
from audiobag.sound.encoder import Encoder
from audiobag.sound.kept import Item, Kept, Of, groups
from audiobag.sound.reading import SoundFile, library
from audiobag.sound.windows import HALF, PRECISIONS, End, Window, encoded, windows
from audiobag.training.devices import torch_device
from audiobag.utils.values import check_choice, check_whole

CHANNELS = ("mix", "each")


@dataclass(frozen=True, slots=True)
class Reading:
    """How recordings are read and encoded.

    Attributes:
        channels: "mix" for their mean, "each" for clips of each, whose names end in #1, #2, ...
        pad_short: fill recordings that are shorter than half a window with silence too; otherwise they are bad.
        batch_size: the most windows that the encoder takes at once.
        device: of the encoder; None for a GPU if there is one.
        precision: "fp32", or "bf16" for the network in half the bits.

    Raises:
        ValueError: an attribute is out of range.
    """

    channels: str = "mix"
    pad_short: bool = False
    batch_size: int = 64
    device: str | None = None
    precision: str = "fp32"

    def __post_init__(self) -> None:
        check_choice("channels", self.channels, CHANNELS)
        check_choice("precision", self.precision, PRECISIONS)
        check_whole("batch_size", self.batch_size)


class Recordings:
    """Recordings that are read, encoded and cut into clips one after another, in memory that does not grow with them.

    Args:
        recordings: what to read.
        encoder: makes the frames.
        cut: how to cut.
        splits: split of each recording, by name.
        labels: labels of each recording; `NO_LABELS` for none.
        source: name of the source, recorded in the stores.
        reading: how to read.
        heard: called with the events of each clip that have times.
        keep: folder in which vectors are kept until `remove_kept`, so that an interrupted run continues; None for none.

    Attributes:
        seconds: duration of the recordings that have been encoded.
        taken_over: number of recordings whose vectors an earlier run has kept.
        done: number of recordings whose vectors are kept now.
    """

    paths: tuple[Path, ...] = ()

    def __init__(
        self,
        recordings: Sequence[SoundFile],
        encoder: Encoder,
        cut: Cut,
        splits: Mapping[str, str],
        labels: Labels,
        source: str,
        reading: Reading,
        *,
        heard: Callable[[list[Heard]], object] = lambda events: None,
        keep: Path | None = None,
    ) -> None:
        library()
        self.files, self._encoder, self._cut = tuple(recordings), encoder, cut
        self._splits, self._labels, self._source, self._heard = splits, labels, source, heard
        self._reading, self._keep = reading, keep
        self._kept: Kept | None = None
        self._record = encoder.record()
        if cut.frames is not None:
            self._record["clip_seconds"] = cut.frames * cut.frame_seconds
        self.size = sum(recording.size for recording in recordings)
        self.seconds, self.taken_over, self.done = 0.0, 0, 0
        self._indices = labels.indices()

    @property
    def fingerprint(self) -> str:
        """Hash of the encoder, the cut, the labels, and of names and sizes of the recordings."""
        cut, reading = self._cut, self._reading
        what = [self._record, [cut.frames, cut.hop], reading.channels, reading.pad_short, reading.precision, HALF]
        digest = hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode())
        for recording in self.files:
            name = recording.name
            known = "" if self._labels is NO_LABELS else repr(self._labels.of.get(name))
            file = f"{name!r} {recording.size} {recording.modified}"
            digest.update(f"\n{file} {self._splits[name]} {known}".encode())
        return digest.hexdigest()

    @property
    def dim(self) -> int:
        """Numbers of a frame."""
        return self._encoder.dim

    @property
    def description(self) -> DatasetInfo:
        """Classes, dequantisation, duration of a frame, and the encoder."""
        encoder = self._encoder
        classes = self._labels.class_names, self._labels.class_mids
        return DatasetInfo(*classes, encoder.hop_seconds, encoder.scale, encoder.offset, self._source, self._record)

    def parts(self, rejects: Rejects, advance: Advance) -> Iterator[Part]:
        """Yield a part for each split."""
        device = torch_device(self._reading.device)
        self._encoder.eval().to(device)
        if self._keep is not None:
            self._kept = Kept(self._keep, self._way(device), self._encoder.dim, self._encoder.numpy_dtype)
        for split in sorted(set(self._splits.values())):
            mine = [one for one in self.files if self._splits[one.name] == split]
            clips = self._clips(split, mine, device, rejects, advance)
            yield Part(split, self._source, clips, self._encoder.dim, self._encoder.numpy_dtype, self.description)

    def remove_kept(self) -> None:
        """Remove the vectors that were kept."""
        if self._kept is not None:
            self._kept.remove()

    def _way(self, device: torch.device) -> list[Any]:
        """Return what the vectors of a recording depend on, other than the recording."""
        record = {name: value for name, value in self._record.items() if name != "clip_seconds"}
        return [record, asdict(self._reading), device.type, HALF]

    def _clips(
        self, split: str, recordings: Sequence[SoundFile], device: torch.device, rejects: Rejects, advance: Advance
    ) -> Iterator[tuple[int, Clip]]:
        cut = self._cut_up(split, recordings, device, rejects, advance)
        for count, (clip, events) in enumerate(cut, 1):
            self._heard(events)
            yield count, clip

    def _cut_up(
        self, split: str, recordings: Sequence[SoundFile], device: torch.device, rejects: Rejects, advance: Advance
    ) -> Iterator[tuple[Clip, list[Heard]]]:
        """Yield clips with their events; a recording that is silent as a whole is rejected."""
        pending: list[tuple[Clip, list[Heard]]] = []  # of a recording that has been silent so far
        cutters: list[Cutter] = []
        for of, value in self._vectors(recordings, device, advance):
            name = of.recording.name
            if isinstance(value, End):
                finding = value.finding
                if finding is None and value.silent:
                    finding = f"it is silent, all samples of its {value.seconds:.2f} s are 0"
                pending += [clip for cutter in cutters for clip in cutter.end(value.seconds, whole=finding is None)]
                if not value.silent:
                    yield from pending
                pending, cutters = [], []
                if finding is not None:
                    rejects.add(split, name, None, finding)
                continue
            if not cutters:
                names = [f"{name}#{c + 1}" for c in range(len(value))] if len(value) > 1 else [name]
                events = self._labels.events(name)
                cutters = [Cutter(one, events, self._indices, self._cut) for one in names]
            pending += [clip for cutter, frame in zip(cutters, value, strict=True) for clip in cutter.add(frame)]
            if of.sounds:
                yield from pending
                pending = []

    def _vectors(self, recordings: Sequence[SoundFile], device: torch.device, advance: Advance) -> Iterator[Item]:
        """Yield the vectors [C, D] of windows, and the ends of recordings; what is kept is not encoded again."""
        reading = self._reading
        for group in groups(recordings, reading.batch_size):
            if self._kept is not None and (kept := self._kept.read(group)) is not None:
                yield from kept
                advance(sum(recording.size for recording in group))
                self.taken_over += len(group)
            else:
                vectors: Iterator[Item] = encoded(
                    self._windows(group, advance),
                    self._encoder,
                    batch_size=reading.batch_size,
                    device=device,
                    precision=reading.precision,
                )
                yield from vectors if self._kept is None else self._kept.write(group, vectors)
            self.done += len(group)

    def _windows(self, recordings: Sequence[SoundFile], advance: Advance) -> Iterator[tuple[Of, Window | End]]:
        mix, pad = self._reading.channels == "mix", self._reading.pad_short
        for recording in recordings:
            sounds = False
            for item in windows(recording, self._encoder, mix=mix, pad=pad, advance=advance):
                if isinstance(item, End):
                    self.seconds += item.seconds
                else:
                    sounds = sounds or bool(item.any())
                yield Of(recording, sounds), item
