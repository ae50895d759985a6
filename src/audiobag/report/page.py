"""The page: one HTML file that needs no network and no other file."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from audiobag.report.collect import LeftOut
from audiobag.report.compare import short
from audiobag.report.formats import NONE, Table
from audiobag.report.systems import System


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure with its caption.

    Attributes:
        name: name of the file, without `.png`.
        title: a few words.
        caption: explains the figure.
        png: content of the file.
        wide: True if it takes the whole width of the page.
    """

    name: str
    title: str
    caption: str
    png: bytes
    wide: bool = False

    @property
    def inline(self) -> str:
        """The figure as a data URL."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode()


def page(
    title: str,
    systems: Sequence[System],
    tables: Sequence[Table],
    pictures: Sequence[Picture],
    per_class: Sequence[Mapping[str, object]],
    notices: Sequence[str],
    left_out: Sequence[LeftOut],
) -> str:
    """Return the page.

    Args:
        title: of the page.
        systems: the systems compared.
        tables: scores and differences.
        pictures: figures, in this order.
        per_class: a row per class: its name, then numbers, None for a number that does not exist.
        notices: warnings about what makes the numbers hard to compare, or is missing.
        left_out: folders that are not in the report.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["number"] = _number
    environment.filters["short"] = short
    environment.filters["place"] = place
    template = (files("audiobag.report") / "page.html.j2").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        title=title,
        systems=systems,
        tables=tables,
        pictures=pictures,
        per_class=per_class,
        notices=notices,
        left_out=left_out,
    )


def place(path: Path) -> str:
    """Return the folder of a run within that of its sweep; a published page does not show further parent folders."""
    return f"{path.parent.name}/{path.name}"


def _number(value: object, digits: int = 3) -> str:
    if value is None:
        return NONE
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value)
