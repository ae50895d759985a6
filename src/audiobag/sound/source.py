"""Recordings as a source of clips, as `audiobag.prepare` takes sources."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from audiobag.data.store import DatasetInfo
from audiobag.prepare.labels import Labels
from audiobag.prepare.records import Clip
from audiobag.prepare.source import Advance, Part, Rejects
from audiobag.sound.cutting import Cut, Cutter, Heard
from audiobag.sound.encoder import Encoder
from audiobag.sound.reading import SoundFile, library
from audiobag.sound.windows import PRECISIONS, End, Window, encoded, windows
from audiobag.utils.errors import InputError
from audiobag.utils.values import check_choice, check_whole

CHANNELS = ("mix", "each")


@dataclass(frozen=True, slots=True)
class Reading:
    """How recordings are read and encoded.

    Attributes:
        channels: "mix" for their mean, "each" for clips of each, whose names end in #1, #2, ...
        pad_short: fill recordings that are shorter than a window with silence; otherwise they are bad.
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

    def place(self) -> torch.device:
        """Return the device.

        Raises:
            ValueError: there is no such device.
        """
        wanted = self.device or ("cuda" if torch.cuda.is_available() else "cpu")
        try:
            device = torch.device(wanted)
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"device must be one that is there, such as cpu or cuda, got {wanted} ({reason})"
            ) from error
        return device


class Recordings:
    """Recordings that are read, encoded and cut into clips one after another, in memory that does not grow with them.

    Args:
        recordings: what to read.
        encoder: makes the frames.
        cut: how to cut.
        splits: split of each recording, by name.
        labels: labels of each recording; None for none.
        source: name of the source, recorded in the stores.
        reading: how to read.
        record: of the encoder; None to make it here.
        heard: called with the events of each clip that have times.
    """

    paths: tuple[Path, ...] = ()

    def __init__(
        self,
        recordings: Sequence[SoundFile],
        encoder: Encoder,
        cut: Cut,
        splits: Mapping[str, str],
        labels: Labels | None,
        source: str,
        reading: Reading,
        *,
        record: Mapping[str, Any] | None = None,
        heard: Callable[[list[Heard]], object] = lambda events: None,
    ) -> None:
        library()
        self.files, self._encoder, self._cut = tuple(recordings), encoder, cut
        self._splits, self._labels, self._source, self._heard = splits, labels, source, heard
        self._reading = reading
        self._record = dict(encoder.record() if record is None else record)
        if cut.frames is not None:
            self._record["clip_seconds"] = cut.frames * cut.frame_seconds
        self.size = sum(recording.size for recording in recordings)
        self.seconds = 0.0
        self._indices = {} if labels is None else labels.indices()

    @property
    def fingerprint(self) -> str:
        """Hash of the encoder, the cut, the labels, and of names and sizes of the recordings."""
        what = [self._record, [self._cut.frames, self._cut.hop], self._reading.channels, self._reading.pad_short]
        digest = hashlib.sha256(json.dumps([*what, self._reading.precision], sort_keys=True, default=str).encode())
        for recording in self.files:
            name = recording.name
            known = "" if self._labels is None else repr(self._labels.of.get(name))
            changed = _modified(recording.path)
            digest.update(f"\n{name!r} {recording.size} {changed} {self._splits[name]} {known}".encode())
        return digest.hexdigest()

    @property
    def dim(self) -> int:
        """Numbers of a frame."""
        return self._encoder.dim

    @property
    def description(self) -> DatasetInfo:
        """Classes, dequantisation, duration of a frame, and the encoder."""
        encoder = self._encoder
        names, mids = ((), ()) if self._labels is None else (self._labels.class_names, self._labels.class_mids)
        return DatasetInfo(names, mids, encoder.hop_seconds, encoder.scale, encoder.offset, self._source, self._record)

    def parts(self, rejects: Rejects, advance: Advance) -> Iterator[Part]:
        """Yield a part for each split."""
        device = self._reading.place()
        self._encoder.eval().to(device)
        for split in sorted(set(self._splits.values())):
            mine = [one for one in self.files if self._splits[one.name] == split]
            clips = self._clips(split, mine, device, rejects, advance)
            yield Part(split, self._source, clips, self._encoder.dim, self._encoder.numpy_dtype, self.description)

    def _clips(
        self, split: str, recordings: Sequence[SoundFile], device: torch.device, rejects: Rejects, advance: Advance
    ) -> Iterator[tuple[int, Clip]]:
        reading, sounding = self._reading, set[int]()

        def items() -> Iterator[tuple[int, Window | End]]:
            for number, recording in enumerate(recordings):
                mix, pad = reading.channels == "mix", reading.pad_short
                for item in windows(recording, self._encoder, mix=mix, pad=pad, advance=advance):
                    if not isinstance(item, End) and item.any():
                        sounding.add(number)
                    yield number, item

        vectors = encoded(
            items(), self._encoder, batch_size=reading.batch_size, device=device, precision=reading.precision
        )
        count = 0
        pending: list[tuple[Clip, list[Heard]]] = []  # of a recording that has been silent so far
        cutters: list[Cutter] = []
        for number, value in vectors:
            name = recordings[number].name
            if isinstance(value, End):
                self.seconds += value.seconds
                finding = value.finding
                if finding is None and value.silent:
                    finding = f"it is silent, all samples of its {value.seconds:.2f} s are 0"
                if finding is None:
                    pending += [clip for cutter in cutters for clip in cutter.end(value.seconds)]
                elif value.silent:
                    pending = []
                last, pending, cutters = pending, [], []
                for clip, events in last:
                    count += 1
                    self._heard(events)
                    yield count, clip
                if finding is not None:
                    rejects.add(split, name, None, finding)
                continue
            if not cutters:
                cutters = [self._cutter(name, c if len(value) > 1 else None) for c in range(len(value))]
            pending += [clip for cutter, frame in zip(cutters, value, strict=True) for clip in cutter.add(frame)]
            if number in sounding:
                ready, pending = pending, []
                for clip, events in ready:
                    count += 1
                    self._heard(events)
                    yield count, clip

    def _cutter(self, name: str, channel: int | None) -> Cutter:
        events = () if self._labels is None or name not in self._labels.of else self._labels.of[name].events
        called = name if channel is None else f"{name}#{channel + 1}"
        return Cutter(called, events, self._indices, self._cut)


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
