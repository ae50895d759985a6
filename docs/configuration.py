"""A hook of MkDocs that writes the tables of `configuration.md` from the YAML files and their comments.

A comment above a key explains the key, and the comment on top of a file explains the option. An option without a
comment has the first sentence of its class.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

CONF = Path(__file__).parents[1] / "conf"
_KEY = re.compile(r"^(\s*)(?:- )?([\w/]+):(?:\s+(.*))?$")
_GROUPS = (
    "data",
    "schedule",
    "sampler",
    "embedding",
    "pooling",
    "loss",
    "augment",
    "optimizer",
    "lr_scheduler",
    "trainer",
    "callbacks",
    "logger",
    "experiment",
    "sweep",
    "debug",
    "hydra/launcher",
    "encoder",
)
_LONGEST = 60


class Key(NamedTuple):
    """A key of a YAML file, with its default as text and the comment above it."""

    name: str
    default: str
    comment: str


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return the page with its tables."""
    if page.file.src_uri != "configuration.md":
        return markdown
    return markdown.replace("<!-- commands -->", "\n".join(commands())).replace("<!-- groups -->", "\n".join(groups()))


def commands() -> Iterator[str]:
    """Yield a table of keys for each command."""
    for path in sorted(CONF.glob("*.yaml")):
        yield f"### audiobag-{path.stem}\n\n| key | default | meaning |\n| --- | --- | --- |"
        for key in keys(path.read_text(encoding="utf-8")):
            if key.comment or not key.default.startswith(("{", "-")):
                yield f"| `{key.name}` | {_code(key.default)} | {_cell(key.comment)} |"
        yield ""


def groups() -> Iterator[str]:
    """Yield a table of options for each configuration group."""
    for group in _GROUPS:
        yield f"### {group}\n\n| option | keys | meaning |\n| --- | --- | --- |"
        for path in sorted((CONF / group).rglob("*.yaml")):
            text = path.read_text(encoding="utf-8")
            name = path.relative_to(CONF / group).with_suffix("").as_posix()
            found = keys(text)
            first = found[0].comment if found and text.startswith("#") else ""
            about = [top(text) or first or target(text)]
            about += [f"`{key.name}`: {key.comment}" for key in found if key.comment and key.comment not in about]
            listed = ", ".join(_code(f"{key.name}={key.default}") for key in found if _plain(key.default))
            yield f"| `{group}={name}` | {listed} | {_cell(' '.join(about))} |"
        yield ""


def keys(text: str) -> list[Key]:
    """Return the keys of a file that a user sets, nested ones with dots; not those of Hydra."""
    found: list[Key] = []
    comment: list[str] = []
    parents: list[tuple[int, str]] = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("#"):
            comment.append(stripped.removeprefix("#").strip())
            continue
        match = _KEY.match(line)
        if match is None or line.lstrip().startswith("- "):
            comment = []
            continue
        indent, name, value = len(match[1]), match[2], (match[3] or "").partition(" #")[0].strip()
        parents = [(at, parent) for at, parent in parents if at < indent]
        dotted = ".".join([*(parent for _, parent in parents), name])
        if not value:
            parents.append((indent, name))
        if not dotted.startswith(("hydra", "defaults", "_", "override")) and "._" not in dotted and value:
            found.append(Key(dotted, value, " ".join(comment)))
        comment = []
    return found


def top(text: str) -> str:
    """Return the comment on top of a file that stands apart from its first key."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# "))
    return (
        ""
        if lines and lines[0].startswith("@package") and len(lines) == 1
        else " ".join(line for line in lines if not line.startswith("@package"))
    )


def target(text: str) -> str:
    """Return the first sentence of the class or function that a file makes; empty if it makes none of this package."""
    content = yaml.safe_load(text) or {}
    name = str(content.get("_target_", ""))
    if not name.startswith("audiobag."):
        return f"`{name}`" if name else ""
    if name.endswith(".Expectation"):  # what tells expectations apart is their measure
        name = str(content["measure"]["_target_"])
    module, _, attribute = name.rpartition(".")
    text = inspect.getdoc(getattr(importlib.import_module(module), attribute)) or ""
    return text.partition("\n\n")[0].replace("\n", " ")


def _plain(value: str) -> bool:
    return not value.startswith(("{", "$")) and len(value) <= _LONGEST


def _code(text: str) -> str:
    short = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    return f"`{_cell(short)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
