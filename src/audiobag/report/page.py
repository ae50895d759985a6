"""The page: one HTML file that needs no network and no other file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from audiobag.pictures.browser import FILES, clips_file
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
        plot: the same picture on the page, for plotly.js; None for one of clips.
        clips: the same clips on the page, for clips.js, see `clip_values`.
    """

    name: str
    title: str
    caption: str
    png: bytes | None
    wide: bool = False
    plot: Plot | None = None
    clips: tuple[Mapping[str, Any], ...] = ()


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
        sounds: where the page may load sounds from, see `Listening.server`.
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
    sounds: str


def page(content: Content) -> str:
    """Return the page: one file, which loads no other."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["number"] = _number
    environment.filters["short"] = short
    environment.filters["place"] = place
    template = (files("audiobag.report") / "page.html.j2").read_text(encoding="utf-8")
    shown = (content.forest, *content.search, *content.pictures)
    plots = any(picture is not None and picture.plot for picture in shown)
    clips = any(picture is not None and picture.clips for picture in shown)
    return environment.from_string(template).render(
        {field.name: getattr(content, field.name) for field in fields(content)},
        labels={system.name: system.label for system in content.systems},
        plotly=plotly() if plots else "",
        drawing={name: clips_file(name) if clips else "" for name in FILES},
    )


def place(path: Path) -> str:
    """Return the folder of a run within that of its sweep; a published page does not show further parent folders."""
    return f"{path.parent.name}/{path.name}"


def _number(value: object, digits: int = 3) -> str:
    if value is None:
        return NONE
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value)
