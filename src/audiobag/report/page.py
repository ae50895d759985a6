"""The page: one HTML file that needs no network and no other file."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from audiobag.report.collect import LeftOut
from audiobag.report.compare import short
from audiobag.report.formats import NONE, Table
from audiobag.report.interactive import Plot, plotly
from audiobag.report.systems import System


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure with its caption.

    Attributes:
        name: name of the file, without `.png`.
        title: a few words.
        caption: explains the figure.
        png: content of the file; None for a picture that the page alone has.
        wide: True if it takes the whole width of the page.
        plot: the same picture for plotly.js, which the page shows instead.
        links: title and address of the clips in it that can be heard.
    """

    name: str
    title: str
    caption: str
    png: bytes | None
    wide: bool = False
    plot: Plot | None = None
    links: tuple[tuple[str, str], ...] = ()

    @property
    def inline(self) -> str:
        """The figure as a data URL."""
        return "data:image/png;base64," + base64.b64encode(self.png or b"").decode()


@dataclass(frozen=True, slots=True)
class Content:
    """What a page shows.

    Attributes:
        title: says what is compared.
        folders: where the runs are.
        verdict: sentences.
        forest: differences to the baseline; None if there is one system.
        systems: the systems, best first.
        tables: scores and differences.
        search: pictures of the options and their scores.
        pictures: figures, in this order.
        per_class: a row per class: its name, then numbers, None for a number that does not exist.
        notices: warnings about what makes the numbers hard to compare, or is missing.
        left_out: folders that are not in the report.
    """

    title: str
    folders: str
    verdict: Sequence[str]
    forest: Picture | None
    systems: Sequence[System]
    tables: Sequence[Table]
    search: Sequence[Picture]
    pictures: Sequence[Picture]
    per_class: Sequence[Mapping[str, object]]
    notices: Sequence[str]
    left_out: Sequence[LeftOut]


def page(content: Content) -> str:
    """Return the page: one file, which loads no other."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["number"] = _number
    environment.filters["short"] = short
    environment.filters["place"] = place
    template = (files("audiobag.report") / "page.html.j2").read_text(encoding="utf-8")
    shown = (content.forest, *content.search, *content.pictures)
    needed = any(picture is not None and picture.plot is not None for picture in shown)
    return environment.from_string(template).render(
        {field.name: getattr(content, field.name) for field in fields(content)},
        labels={system.name: system.label for system in content.systems},
        plotly=plotly() if needed else "",
    )


def place(path: Path) -> str:
    """Return the folder of a run within that of its sweep; a published page does not show further parent folders."""
    return f"{path.parent.name}/{path.name}"


def _number(value: object, digits: int = 3) -> str:
    if value is None:
        return NONE
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value)
