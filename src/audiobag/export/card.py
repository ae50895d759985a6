"""The model card: what a stranger must know before using the weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from audiobag.export.description import Description
from audiobag.export.evidence import SCORES, Evidence
from audiobag.runs import ClassScores

_EXTREMES = 5


def card(description: Description, evidence: Evidence, *, name: str, format: str, difference: float | None) -> str:  # noqa: A002
    """Return README.md, in Markdown with the front matter that hubs read.

    Args:
        description: of the model.
        evidence: what its run knows.
        name: of the folder.
        format: of the export.
        difference: the largest between the exported graph and PyTorch, where there is a graph.
    """
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, finalize=_text
    )
    template = (files("audiobag.export") / "card.md.j2").read_text(encoding="utf-8")
    config = description.training["config"]
    return environment.from_string(template).render(
        name=name,
        format=format,
        difference=difference,
        description=description,
        config=config,
        record=evidence.record or {},
        scored=evidence.scored,
        scores=_rows(evidence),
        best=_extremes(evidence.classes, best=True),
        worst=_extremes(evidence.classes, best=False),
        missing=evidence.missing,
        audioset=len(description.class_names) == 527,
        recipe=_recipe(config, description, evidence.record or {}),
        version=version("audiobag"),
    )


def _rows(evidence: Evidence) -> list[tuple[str, str, str]]:
    if evidence.record is None or not evidence.scored:
        return []
    rows = []
    for key, title in SCORES.items():
        value = evidence.record["test"][key]
        interval = evidence.intervals.get(key)
        low_high = f"{interval[0]:.4f} to {interval[1]:.4f}" if interval else "-"
        rows.append((title, "-" if value is None else f"{value:.4f}", low_high))
    return rows


def _extremes(classes: ClassScores | None, best: bool) -> list[tuple[str, int, float]]:
    """Return name, clips and AP of the classes at one end, the furthest first."""
    if classes is None:
        return []
    scored = np.flatnonzero(np.isfinite(classes.average_precision))
    AP = classes.average_precision[scored]
    order = scored[np.argsort(-AP if best else AP, kind="stable")][:_EXTREMES]
    return [(classes.names[k], int(classes.positives[k]), float(classes.average_precision[k])) for k in order]


def _recipe(config: Mapping[str, Any], description: Description, record: Mapping[str, Any]) -> dict[str, str]:
    """Return what was done, by what it is called."""
    chosen = record.get("choices", {})
    optimizer = {k: v for k, v in config["optimizer"].items() if not k.startswith("_")}
    recipe = {
        "experiment": chosen.get("experiment"),
        "embedding": _component(config["embedding"]),
        "pooling": _component(config["pooling"]),
        "sampler": _component(config["sampler"]),
        "loss": _component(config["loss"]),
        "optimizer": _component({"_target_": config["optimizer"]["_target_"], **optimizer}),
        "batch": f"{config['data']['batch_size']} clips",
        "steps": description.training["step"],
        "seed": config["seed"],
        "precision": config["trainer"]["precision"],
        "configuration": description.training["config_hash"],
        "code": record.get("git_revision"),
    }
    return {key: str(value) for key, value in recipe.items() if value is not None}


def _component(config: Mapping[str, Any] | None) -> str | None:
    """Return a component as it would be written in Python, parts of it inside."""
    if not config:
        return None
    inner = [
        _component(v) if isinstance(v, dict) and "_target_" in v else f"{k}={v}"
        for k, v in config.items()
        if not k.startswith("_")
    ]
    return f"{config['_target_'].rsplit('.', 1)[-1]}({', '.join(filter(None, inner))})"


def _text(value: object) -> object:
    """Escape what Markdown would read as anything but text, in all that is filled in: names are a stranger's."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return re.sub(r"([\\`*\[\]<>|])", r"\\\1", " ".join(value.splitlines()))
