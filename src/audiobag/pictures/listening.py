"""Where a clip can be heard: its place in a video, or a file of the user's own."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

from audiobag.data.store import DatasetInfo, Store
from audiobag.labels import audioset_classes
from audiobag.utils.errors import InputError

_VIDEO: Final = re.compile(r"[A-Za-z0-9_-]{11}")
_SCHEMES: Final = ("http", "https", "file")


@dataclass(frozen=True, slots=True)
class Listening:
    """Addresses of clips.

    Attributes:
        pattern: an address with `{video_id}` and, if it needs them, `{start}` and `{end}` in seconds, such as
            `file:///data/{video_id}.wav`; None for videos.
        videos: whether ids are those of YouTube's videos.

    Raises:
        ValueError: the pattern has no `{video_id}`, or is not an address.
    """

    pattern: str | None = None
    videos: bool = False

    def __post_init__(self) -> None:
        if self.pattern is None:
            return
        if "{video_id}" not in self.pattern or urlsplit(self.pattern).scheme not in _SCHEMES:
            raise InputError(
                "audio_url must be an http, https or file address with {video_id} in it, such as"
                f" file:///data/{{video_id}}.wav, got {self.pattern}"
            )

    @property
    def server(self) -> str:
        """Where a page may load sounds from, as a source of a content security policy; empty for links to videos."""
        found = urlsplit(self.pattern or "")
        return f"{found.scheme}://{found.netloc}" if found.netloc else f"{found.scheme}:" if found.scheme else ""

    def address(self, video_id: bytes, start: float, end: float = math.nan) -> str | None:
        """Return the address of a clip; None if it is unknown, or if its id leads out of the folder of the pattern.

        A clip that `audiobag-embed` has cut from a recording, such as `street.wav@10s`, has that of the recording.

        Args:
            video_id: id of the clip.
            start: of the clip in its video in seconds; NaN if unknown.
            end: the same.
        """
        name = video_id.decode("utf-8", errors="replace")
        begin = start if math.isfinite(start) else 0.0
        if self.pattern is not None:
            stop = end if math.isfinite(end) else begin
            whole = name.removesuffix(f"@{begin:g}s")
            if ".." in whole.split("/"):
                return None
            filled = self.pattern.replace("{video_id}", quote(whole))
            return filled.replace("{start}", f"{begin:g}").replace("{end}", f"{stop:g}")
        if not (self.videos and _VIDEO.fullmatch(name)):
            return None
        return f"https://www.youtube.com/watch?v={name}&t={int(begin)}s"


def listening(description: DatasetInfo, pattern: str | None = None, synthetic: bool = False) -> Listening:
    """Return the addresses of the clips of a data set: videos if it has AudioSet's classes, or those of a pattern.

    Args:
        description: of the data set.
        pattern: see `Listening`.
        synthetic: whether the clips are generated, so that there is nothing to hear.

    Raises:
        ValueError: the pattern is not one.
    """
    return Listening(pattern, not synthetic and description.class_mids == audioset_classes().mids)


def listening_of(store: Store, pattern: str | None = None) -> Listening:
    """Return the addresses of the clips of a store, see `listening`."""
    return listening(store.description, pattern, store.columns.witness_frames is not None)
