"""The page: one HTML file that needs nothing else, no network and no neighbour."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from audiobag.report.collect import LeftOut
from audiobag.report.compare import short
from audiobag.report.systems import System
from audiobag.report.tables import NONE, Table


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture and what it shows.

    Attributes:
        name: of its file, without `.png`.
        title: a few words.
        caption: what is drawn, of what, and how.
        png: the file's content.
        wide: whether it takes the page's whole width.
    """

    name: str
    title: str
    caption: str
    png: bytes
    wide: bool = False

    @property
    def inline(self) -> str:
        """The picture itself, as an address."""
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
        title: what the report is of.
        systems: what it compares.
        tables: scores and differences.
        pictures: in their order.
        per_class: a row a class: name first, numbers after it; None where there is no number.
        notices: what makes the numbers hard to compare, or is missing.
        left_out: folders that are not in it.
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
    """Return a run's folder within its sweep's: a page that is published says nothing of the disk it was made on."""
    return f"{path.parent.name}/{path.name}"


def _number(value: object, digits: int = 3) -> str:
    if value is None:
        return NONE
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value)
