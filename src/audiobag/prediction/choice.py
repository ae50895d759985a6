"""Which clips of a stream to draw."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from audiobag.utils.errors import InputError
from audiobag.utils.values import check_whole

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Choice:
    """Which clips to draw: by id, by class, or by loss; by default the first of the source.

    Attributes:
        ids: clips with these video ids, in this order; None to choose by the other attributes.
        class_name: clips in which this class is most likely. With `most_wrong`, alternately clips that have the class
            with the lowest F, and clips that do not have it with the highest F.
        most_wrong: clips with the largest loss.
        at_most: number of clips; with `ids`, all of them are drawn.

    Raises:
        ValueError: the attributes contradict each other.
    """

    ids: Sequence[str] | None = None
    class_name: str | None = None
    most_wrong: bool = False
    at_most: int = 6

    def __post_init__(self) -> None:
        if self.ids is not None and (self.class_name is not None or self.most_wrong):
            raise InputError("clips cannot be combined with class_name or most_wrong: give one of them")
        if self.ids is not None and not self.ids:
            raise InputError("clips must have at least one video id, got []")
        check_whole("at_most", self.at_most)


class Highest(Generic[T]):
    """Keeps the `size` items with the highest scores; ties keep the item that was offered first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._heap: list[tuple[float, int, T]] = []

    def offer(self, score: float, order: int, make: Callable[[], T]) -> None:
        """Add an item if its score is high enough.

        Args:
            score: the item's score.
            order: number of the item, counted from the first; no two are equal.
            make: makes the item, which is called only if the item is kept.
        """
        key = (score, -order)
        if len(self._heap) < self._size:
            heapq.heappush(self._heap, (*key, make()))
        elif key > self._heap[0][:2]:
            heapq.heapreplace(self._heap, (*key, make()))

    def sorted(self) -> list[T]:
        """Return the items, highest score first."""
        return [item for _, _, item in sorted(self._heap, key=lambda x: x[:2], reverse=True)]
