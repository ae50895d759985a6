"""Clips of a stream as pictures: those asked for, those of a class, or those that the model gets most wrong."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiobag.choosing import class_index, clip_loss
from audiobag.errors import UserError
from audiobag.files import atomic, whole_folder
from audiobag.pictures import Shown, cut, draw_clips, png, show
from audiobag.predicting.clips import Clips
from audiobag.predicting.stream import Predicted
from audiobag.predicting.tables import Content, file_name, text
from audiobag.prepare.records import Clip
from audiobag.values import check_whole, listed

_MOST_CLASSES = 30


@dataclass(frozen=True, slots=True)
class Choice:
    """Which clips to draw.

    Attributes:
        ids: those of these video ids, in their order; None: by what follows.
        class_name: those in which the class is likeliest, or with `most_wrong` those that have it and do not show
            it, and those that show it and do not have it, in turns.
        most_wrong: those of the largest loss; with neither, the first of the source.
        at_most: how many; of ids, all.
    """

    ids: tuple[str, ...] | None
    class_name: str | None
    most_wrong: bool
    at_most: int

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Choice:
        """Return what conf/predict.yaml's options ask for.

        Raises:
            UserError: they contradict each other.
        """
        ids, name = config["clips"], config["class"]
        chosen = None if ids is None else tuple(map(str, listed(ids)))
        choice = cls(chosen, None if name is None else str(name), config["most_wrong"], config["at_most"])
        if not config["picture"]:
            given = [key for key in ("clips", "class", "most_wrong") if config[key]]
            if given:
                raise UserError(f"{given[0]} chooses the clips to draw: add picture=true, or leave it out")
            return choice
        if ids is not None and (name is not None or choice.most_wrong):
            raise UserError("clips names the clips to draw, class and most_wrong search for them: give one of the two")
        if chosen == ():
            raise UserError("clips=[] names no clip to draw: give video ids, or leave it out")
        check_whole("at_most", choice.at_most)
        if config["top_k"] is None or config["top_k"] > _MOST_CLASSES:
            raise UserError(f"top_k={config['top_k']}; a picture shows {_MOST_CLASSES} classes at most")
        for key in ("format", "frames", "segments"):
            if config[key]:
                raise UserError(f"picture=true writes pictures alone, {key} is of other outputs: run the command twice")
        return choice


class Pictures:
    """Takes batches, and keeps what the pictures of the chosen clips show: never more of them than are drawn.

    Args:
        choice: which clips.
        content: what is written of each.
        clips: where they come from.

    Raises:
        UserError: there is no such class, or labels are needed and there are none.
    """

    def __init__(self, choice: Choice, content: Content, clips: Clips) -> None:
        self._choice, self._content, self._clips = choice, content, clips
        name = choice.class_name
        self._class = None if name is None else class_index(content.names, name, "class")
        self._wanted = {i.encode(): n for n, i in enumerate(choice.ids or ())}
        self._labelled = False
        self._order = 0
        size = choice.at_most if choice.ids is None else max(choice.at_most, len(choice.ids))
        self._chosen, self._mistaken = _Highest(size), _Highest(size)
        if choice.most_wrong and not content.labels:
            raise self._unlabelled()

    def stream(self) -> Iterable[Clip]:
        """Return the clips that are to be predicted."""
        if self._wanted:
            return (clip for clip in self._clips if clip.video_id in self._wanted)
        searching = self._class is not None or self._choice.most_wrong
        return self._clips if searching else islice(self._clips, self._choice.at_most)

    def add(self, batch: Predicted) -> None:
        """Take a batch."""
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
        """Draw the clips, a file each in the order of their choice, and return how many.

        Raises:
            UserError: a clip that was asked for did not come, no clip came, or none that came had a label.
        """
        chosen = self._picked()
        with whole_folder(folder) as temporary:
            for n, (video_id, shown) in enumerate(chosen, 1):
                name = f"{n:0{len(str(len(chosen)))}d}-{file_name(video_id)}.png"
                with atomic(temporary / name) as file:
                    file.write_bytes(png(draw_clips([shown])))
        return len(chosen)

    def _judge(self, batch: Predicted, i: int, positive: NDArray[np.bool_]) -> tuple[_Highest, float, str]:
        """Return where clip i of a batch belongs, how much it is wanted there, and what is to be said of it."""
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

    def _picked(self) -> list[tuple[bytes, Shown]]:
        chosen, mistaken = self._chosen.sorted(), self._mistaken.sorted()
        found = {video_id for video_id, _ in chosen}
        if missing := [i for i in self._wanted if i not in found]:
            raise UserError(
                f"no clip of {self._clips.path} has the id {text(missing[0])!r}: ids are matched letter by letter"
            )
        if not chosen and not mistaken:
            raise UserError(f"{self._clips.path} holds no clip that can be read: give another source")
        if self._choice.most_wrong and not self._labelled:
            raise self._unlabelled()
        if self._wanted:
            return chosen
        turns = chain.from_iterable(zip_longest(chosen, mistaken))
        return [one for one in turns if one is not None][: self._choice.at_most]

    def _show(self, batch: Predicted, i: int, why: str) -> tuple[bytes, Shown]:
        content, clip = self._content, batch.clips[i]
        f, p = batch.frames(i)
        title = text(clip.video_id) + (f" - {why}" if why else "")
        shown = show(
            title,
            content.names,
            batch.probability[i],
            f,
            p,
            seconds=content.frame_seconds,
            start=content.start(clip),
            labels=clip.label_ids if content.labels else None,
            also=() if self._class is None else (self._class,),
            count=content.top_k or _MOST_CLASSES,
        )
        return clip.video_id, shown

    def _unlabelled(self) -> UserError:
        return UserError(
            f"most_wrong=true needs labels of the model's classes, and {self._clips.path} has none: give a labelled"
            " source, or choose with clips or class"
        )


class _Highest:
    """The `size` highest of what is offered; of equals, the first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._heap: list[tuple[float, int, tuple[bytes, Shown]]] = []

    def offer(self, score: float, order: int, make: Callable[[], tuple[bytes, Shown]]) -> None:
        key = (score, -order)
        if len(self._heap) < self._size:
            heapq.heappush(self._heap, (*key, make()))
        elif key > self._heap[0][:2]:
            heapq.heapreplace(self._heap, (*key, make()))

    def sorted(self) -> list[tuple[bytes, Shown]]:
        return [one for _, _, one in sorted(self._heap, key=lambda x: x[:2], reverse=True)]
