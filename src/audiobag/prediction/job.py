"""A model and the clips to predict with it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from audiobag.export import load
from audiobag.pictures.listening import Listening, listening
from audiobag.prediction.clips import open_clips, open_recordings
from audiobag.prediction.stream import Predicted, predict_bags
from audiobag.prediction.tables import Content
from audiobag.prepare.records import Clip
from audiobag.runs import resolve_checkpoint
from audiobag.sound import Encoder, Reading
from audiobag.sound.files import is_sound
from audiobag.sound.segments import Rule
from audiobag.training.devices import set_threads, torch_device
from audiobag.utils.errors import InputError
from audiobag.utils.values import check_choice, check_whole


@dataclass(frozen=True, slots=True)
class SoundOptions:
    """The options of recordings, see `open_recordings`; None for its defaults."""

    encoder: Encoder | None = None
    clip_seconds: float | None = None
    reading: Reading | None = None

    def given(self) -> dict[str, Any]:
        """Return those that are not None."""
        named = {"encoder": self.encoder, "clip_seconds": self.clip_seconds, "reading": self.reading}
        return {name: value for name, value in named.items() if value is not None}


class Job:
    """Loads a model and opens the clips of a source; see `predict_to_file` for the arguments.

    Raises:
        ValueError: an argument cannot be used, or the clips do not fit the model.
    """

    def __init__(
        self,
        checkpoint: str | Path,
        source: str | Path,
        times: str,
        batch_size: int,
        threads: int | None,
        device: str | None,
        on_error: str,
        allow: Sequence[str],
        audio_url: str | None,
        sound: SoundOptions,
    ) -> None:
        Listening(audio_url)
        check_choice("times", times, ("video", "clip"))
        check_whole("batch_size", batch_size)
        self._times, self._batch_size = times, batch_size
        set_threads(threads, devices=1)
        self.checkpoint = resolve_checkpoint(checkpoint)
        self.tagger = load(self.checkpoint, allow=allow).to(torch_device(device))
        self.recordings = is_sound(source)
        if self.recordings:
            sound = replace(sound, reading=replace(sound.reading or Reading(), device=device))
            self.clips = open_recordings(self.tagger, source, on_error, allow=allow, **sound.given())
        elif given := sound.given():
            raise InputError(f"{next(iter(given))} is for recordings, and {source} is none: omit it")
        else:
            self.clips = open_clips(Path(source), on_error)
        self.clips.check(self.tagger)
        self._heard = listening(self.clips.description, audio_url, self.clips.synthetic)

    def content(self, top_k: int | None, *, frames: bool = False, rule: Rule | None = None) -> Content:
        """Return what is written about each clip."""
        info, names = self.clips.description, self.tagger.class_names
        labels = info.class_names == names
        return Content(
            names, top_k, frames, rule, info.frame_seconds, self._times, labels, self.recordings, self._heard
        )

    def run(self, stream: Iterable[Clip], add: Callable[[Predicted], object]) -> int:
        """Predict a stream of the source's clips, and return the number of clips.

        Args:
            stream: some or all of the clips.
            add: called with each batch of predictions.

        Raises:
            ValueError: a record is bad.
        """
        console = Console(stderr=True)
        columns = (
            TextColumn("predicting"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[clips]:,} clips"),
        )
        count = 0
        with Progress(*columns, TimeRemainingColumn(), console=console, disable=not sys.stderr.isatty()) as progress:
            task = progress.add_task("", total=self.clips.size, clips=0)
            for batch in predict_bags(self.tagger, stream, self._batch_size):
                add(batch)
                count += len(batch)
                progress.update(task, completed=self.clips.done, clips=count)
            progress.update(task, completed=self.clips.size)
        return count

    def notices(self) -> tuple[str, ...]:
        """Return warnings about the source: the bad records that were left out."""
        bad = self.clips.rejected
        if not bad:
            return ()
        where = bad[0].file if bad[0].record is None else f"{bad[0].file}, record {bad[0].record}"
        return (f"{len(bad):,} bad records were left out, the first is {where}: {bad[0].finding}",)
