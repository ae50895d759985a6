"""Draw the chosen clips of a stream: one picture per clip."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from itertools import chain, islice, zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audiobag.pictures.clips import ClipPicture, clip_picture, draw_clips
from audiobag.prediction.choice import Choice, Highest
from audiobag.prediction.clips import Clips, no_clip
from audiobag.prediction.stream import Predicted
from audiobag.prediction.tables import Content, file_name, text
from audiobag.prepare.records import Clip
from audiobag.report.clip_selection import class_index, clip_loss
from audiobag.utils.errors import InputError
from audiobag.utils.files import atomic, whole_folder
from audiobag.utils.plotting import cut, png

MOST_CLASSES = 30

Picture = tuple[bytes, ClipPicture]
"""The video id of a clip, and the clip."""


class Pictures:
    """Collects the chosen clips from batches of predictions; holds no more clips than are drawn.

    Args:
        choice: which clips to draw.
        content: what to draw of each clip.
        clips: the source of the clips.

    Raises:
        ValueError: the class does not exist, or the choice needs labels and the source has none.
    """

    def __init__(self, choice: Choice, content: Content, clips: Clips) -> None:
        self._choice, self._content, self._clips = choice, content, clips
        name = choice.class_name
        self._class = None if name is None else class_index(content.names, name, "class_name")
        self._wanted = {i.encode(): n for n, i in enumerate(choice.ids or ())}
        self._labelled = False
        self._order = 0
        size = choice.at_most if choice.ids is None else max(choice.at_most, len(choice.ids))
        self._chosen, self._mistaken = Highest[Picture](size), Highest[Picture](size)
        if choice.most_wrong and not content.labels:
            raise self._unlabelled()

    def stream(self) -> Iterable[Clip]:
        """Return the clips that have to be predicted to make the choice."""
        if self._wanted:
            return (clip for clip in self._clips if clip.video_id in self._wanted)
        searching = self._class is not None or self._choice.most_wrong
        return self._clips if searching else islice(self._clips, self._choice.at_most)

    def add(self, batch: Predicted) -> None:
        """Add a batch of predictions."""
        positive = np.zeros(batch.probability.shape, bool)
        if self._content.labels:
            for row, clip in zip(positive, batch.clips, strict=True):
                row[list(clip.label_ids)] = True
        self._labelled = self._labelled or bool(positive.any())
        for i in range(len(batch)):
            into, score, why = self._judge(batch, i, positive[i])
            into.offer(score, self._order, partial(self._show, batch, i, why))
            self._order += 1

    def write(self, folder: Path) -> int:
        """Draw the chosen clips, one file each, and return their number.

        Args:
            folder: folder to write; must not exist.

        Raises:
            ValueError: an id was not found, there was no clip, or labels are needed and no clip had one.
        """
        chosen = self._picked()
        with whole_folder(folder) as temporary:
            for n, (video_id, shown) in enumerate(chosen, 1):
                name = f"{n:0{len(str(len(chosen)))}d}-{file_name(video_id)}.png"
                with atomic(temporary / name) as file:
                    file.write_bytes(png(draw_clips([shown])))
        return len(chosen)

    def _judge(self, batch: Predicted, i: int, positive: NDArray[np.bool_]) -> tuple[Highest[Picture], float, str]:
        """Return the list that clip i of a batch belongs to, its score there, and a note for its title."""
        F, k = batch.probability[i], self._class
        if self._wanted:
            return self._chosen, -float(self._wanted[batch.clips[i].video_id]), ""
        if k is not None and self._choice.most_wrong:
            name = cut(self._content.names[k])
            if positive[k]:
                return self._chosen, -float(F[k]), f"missed: {name}"
            return self._mistaken, float(F[k]), f"false alarm: {name}"
        if k is not None:
            return self._chosen, float(F[k]), ""
        if self._choice.most_wrong:
            loss = float(clip_loss(F[None], positive[None])[0])
            return self._chosen, loss, f"loss {loss:.4f}"
        return self._chosen, -float(self._order), ""

    def _picked(self) -> list[Picture]:
        chosen, mistaken = self._chosen.sorted(), self._mistaken.sorted()
        found = {video_id for video_id, _ in chosen}
        if missing := [i for i in self._wanted if i not in found]:
            raise InputError(f"no clip of {self._clips.path} has the id {text(missing[0])!r}: ids must match exactly")
        if not chosen and not mistaken:
            raise no_clip(self._clips.path)
        if self._choice.most_wrong and not self._labelled:
            raise self._unlabelled()
        if self._wanted:
            return chosen
        alternating = chain.from_iterable(zip_longest(chosen, mistaken))
        return [one for one in alternating if one is not None][: self._choice.at_most]

    def _show(self, batch: Predicted, i: int, why: str) -> Picture:
        content, clip = self._content, batch.clips[i]
        f, p = batch.frames(i)
        title = text(clip.video_id) + (f" - {why}" if why else "")
        shown = clip_picture(
            title,
            content.names,
            batch.probability[i],
            f,
            p,
            seconds=content.frame_seconds,
            start=content.start(clip),
            labels=clip.label_ids if content.labels else None,
            also=() if self._class is None else (self._class,),
            count=content.top_k or MOST_CLASSES,
        )
        return clip.video_id, shown

    def _unlabelled(self) -> InputError:
        return InputError(
            f"most_wrong needs labels of the model's classes, and {self._clips.path} has none: give a labelled source,"
            " or choose by clips or class_name"
        )
