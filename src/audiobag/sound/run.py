"""`embed`: from recordings to stores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.text import Text

from audiobag.prepare.labels import NO_LABELS, Labels, read_labels
from audiobag.prepare.locate import Located
from audiobag.prepare.pipeline import write_stores
from audiobag.prepare.splits import assign
from audiobag.prepare.summary import Summary
from audiobag.sound.cutting import Cut, Heard
from audiobag.sound.encoder import Encoder
from audiobag.sound.files import SYNTHETIC_SOUNDS, find_files
from audiobag.sound.kept import FOLDER
from audiobag.sound.logmel import LogMel
from audiobag.sound.source import Reading, Recordings
from audiobag.sound.synthetic import write_recordings
from audiobag.training.devices import set_threads
from audiobag.training.interruption import Stopped
from audiobag.utils.errors import InputError, Interrupted
from audiobag.utils.files import check_writable, write_rows
from audiobag.utils.times import duration
from audiobag.utils.values import listed


@dataclass(frozen=True, slots=True)
class Embedded:
    """What `embed` wrote; rich renders it.

    Attributes:
        summary: of the stores.
        recordings: number of recordings.
        taken_over: number of those that an interrupted run had encoded already.
        audio_seconds: duration of those that were encoded now; 0 if nothing had to be done.
        encoder: name of the encoder.
        strong: file of the events; None if the labels have no times.
        notices: warnings for the user.
    """

    summary: Summary
    recordings: int
    taken_over: int
    audio_seconds: float
    encoder: str
    strong: Path | None
    notices: tuple[str, ...]

    @property
    def speed(self) -> float:
        """Seconds of audio per second."""
        return self.audio_seconds / self.summary.seconds

    def __rich__(self) -> RenderableType:
        lines = [self.summary.__rich__()]
        if not self.summary.unchanged:
            encoded = self.recordings - self.taken_over
            what = f"{encoded:,} recording{'' if encoded == 1 else 's'}"
            line = f"{what}, {duration(self.audio_seconds)} of audio by {self.encoder}"
            lines.append(Text(f"{line}: {self.speed:,.0f} s of audio per second"))
            if self.taken_over:
                lines.append(Text(f"{self.taken_over:,} recordings were taken over from an interrupted run"))
        if self.strong is not None:
            lines.append(Text(f"When each class is heard: {self.strong}"))
        return Group(*lines, *(Text(f"Note, {notice}", style="yellow") for notice in self.notices))


def embed(
    source: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    encoder: Encoder | None = None,
    labels: str | Path | Sequence[str | Path] | None = None,
    split: str | None = None,
    eval_fold: str | int | None = None,
    eval_fraction: float = 0.2,
    clip_seconds: float | None = None,
    clip_hop_seconds: float | None = None,
    reading: Reading | None = None,
    size: str = "small",
    threads: int | None = None,
    on_error: str = "stop",
    force: bool = False,
    console: Console | None = None,
) -> Embedded:
    """Read recordings, encode them, and write one store per split; do nothing if these stores exist already.

    Recordings of any length are read in blocks, and all stores are written or none. Until then, the vectors are kept in
    `<out>/.embedded`: the same call continues an interrupted one. Clips whose labels have times are also listed in
    `<out>/strong.csv`, in the format that `audiobag-evaluate strong=` takes.

    Args:
        source: sound files, as `audiobag.sound.files.find_files` takes them; or "synthetic-sounds", which are generated
            in `<out>/recordings` first.
        out: folder for the stores.
        encoder: makes the frames; None for `LogMel()`.
        labels: as `audiobag.prepare.labels.read_labels` takes them; None for none.
        split: one split for all recordings.
        eval_fold: see `audiobag.prepare.splits.assign`.
        eval_fraction: see `audiobag.prepare.splits.assign`.
        clip_seconds: duration of a clip; None for a clip of each recording.
        clip_hop_seconds: from the start of a clip to the start of the next; None for clips end to end.
        reading: how to read and encode; None for `Reading()`.
        size: of the synthetic sounds: "tiny" or "small".
        threads: CPU threads; None for torch's choice.
        on_error: "stop" at the first bad file, or "skip" bad files and list them in `<out>/rejected.csv`. Clips of a
            long recording before the damage are kept.
        force: write again even if nothing has changed.
        console: shows the progress; standard error by default.

    Returns:
        What was written.

    Raises:
        ValueError: there is no sound, a file is bad, or an argument cannot be used.
        Interrupted: a signal came to a command; what has been encoded is kept.

    Example:
        >>> embed("recordings", "data/mine", labels="labels.csv")  # doctest: +SKIP
    """
    out = Path(out)
    encoder = LogMel() if encoder is None else encoder
    reading = Reading() if reading is None else reading
    cut = Cut.of(clip_seconds, clip_hop_seconds, encoder.hop_seconds)
    set_threads(threads, devices=1)
    if str(source) == SYNTHETIC_SOUNDS:
        if labels is not None:
            raise InputError(f"labels must be null for {SYNTHETIC_SOUNDS}, which have their own, got {labels}")
        check_writable(out)
        source, labels = write_recordings(out / "recordings", size, console), out / "recordings" / "labels.csv"
    files = find_files(source)
    known = NO_LABELS
    if labels is not None:
        root = Path(source) if isinstance(source, str | Path) else Path()
        known = read_labels(listed(labels), {file.name: file.path for file in files}, root)
        files = [file for file in files if file.name in known.of]
    splits = assign([file.name for file in files], known, split=split, eval_fold=eval_fold, eval_fraction=eval_fraction)
    events: list[Heard] = []
    recordings = Recordings(
        files, encoder, cut, splits, known, str(source), reading, heard=events.extend, keep=out / FOLDER
    )
    located = Located(recordings.fingerprint, lambda *_: recordings)
    try:
        summary = write_stores(located, out, force=force, on_error=on_error, console=console)
    except Stopped:
        done = f"{recordings.done:,} of {len(files):,} recordings are encoded"
        raise Interrupted(f"{done}, and the same command continues") from None
    strong = out / "strong.csv"
    if not summary.unchanged:
        rows = [(one.video_id, f"{one.start_seconds:.3f}", f"{one.end_seconds:.3f}", one.label) for one in events]
        write_rows(strong, Heard._fields, rows)
        recordings.remove_kept()
    return Embedded(
        summary,
        len(files),
        recordings.taken_over,
        recordings.seconds,
        encoder.name,
        strong if strong.is_file() else None,
        _notices(known),
    )


def _notices(labels: Labels) -> tuple[str, ...]:
    notices = []
    for names, what in (
        (labels.without_file, "rows of the labels without a recording"),
        (labels.without_labels, "recordings without a row in the labels, which were left out"),
    ):
        if names:
            notices.append(f"{what}: {len(names):,}; the first is {names[0]}")
    return tuple(notices)
