"""The model card: data, recipe, scores and limits of the weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined, UndefinedError
from markupsafe import Markup

from audiobag.export.evidence import SCORES, Evidence
from audiobag.export.model_config import ModelConfig
from audiobag.report.formats import NONE, ends_text
from audiobag.runs import ClassScores
from audiobag.utils.errors import InputError

_EXTREMES = 5


def card(
    model_config: ModelConfig,
    evidence: Evidence,
    *,
    name: str,
    format: str,  # noqa: A002
    difference: float | None,
    measure: bool,
) -> str:
    """Return README.md, in Markdown with the front matter that hubs read.

    Args:
        model_config: configuration of the model and of its training.
        evidence: scores of the weights.
        name: name of the export folder.
        format: format of the export.
        difference: largest difference between the graph's predictions and PyTorch's; None without a graph.
        measure: the model has a measure.

    Raises:
        ValueError: the configuration of the training lacks a key that the card shows.
    """
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, finalize=_text
    )
    template = (files("audiobag.export") / "card.md.j2").read_text(encoding="utf-8")
    members = model_config.members or (model_config,)
    config = members[0].training["config"]
    record = evidence.record or {}
    try:
        return environment.from_string(template).render(
            name=name,
            format=format,
            difference=difference,
            measure=measure,
            model=model_config,
            config=config,
            record=record,
            scored=evidence.scored,
            scores=_rows(evidence),
            best=_extremes(evidence.classes, best=True),
            worst=_extremes(evidence.classes, best=False),
            missing=evidence.missing,
            audioset=len(model_config.class_names) == 527,
            recipes=[_recipe(one.training["config"], one.training, record, evidence.command) for one in members],
            version=version("audiobag"),
        )
    except (UndefinedError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"the configuration or the scores of the training are incomplete ({error})") from error


def _rows(evidence: Evidence) -> list[tuple[str, str, str]]:
    if evidence.record is None or not evidence.scored:
        return []
    rows = []
    for key, title in SCORES.items():
        value = evidence.record["test"][key]
        rows.append((title, NONE if value is None else f"{value:.4f}", ends_text(evidence.intervals.get(key))))
    return rows


def _extremes(classes: ClassScores | None, best: bool) -> list[tuple[str, int, float]]:
    """Return name, clips and AP of the classes with the highest or the lowest AP, in that order."""
    if classes is None:
        return []
    scored = np.flatnonzero(np.isfinite(classes.average_precision))
    AP = classes.average_precision[scored]
    order = scored[np.argsort(-AP if best else AP, kind="stable")][:_EXTREMES]
    return [(classes.names[k], int(classes.positives[k]), float(classes.average_precision[k])) for k in order]


def _recipe(
    config: Mapping[str, Any], training: Mapping[str, Any], record: Mapping[str, Any], command: str | None
) -> dict[str, str]:
    """Return the rows of the table of the training's configuration."""
    chosen = record.get("choices") or {}
    optimizer = {k: v for k, v in config["optimizer"].items() if not k.startswith("_")}
    recipe = {
        "experiment": chosen.get("experiment"),
        "embedding": _component(config["embedding"]),
        "pooling": _component(config["pooling"]),
        "sampler": _component(config["sampler"]),
        "loss": _component(config["loss"]),
        "optimizer": _component({"_target_": config["optimizer"]["_target_"], **optimizer}),
        "batch": f"{config['data']['batch_size']} clips",
        "steps": training["step"],
        "seed": config["seed"],
        "precision": config["trainer"]["precision"],
        "configuration": training["config_hash"],
        "command": command,
        "code": record.get("git_revision"),
    }
    return {key: str(value) for key, value in recipe.items() if value is not None}


def _component(config: Mapping[str, Any] | None) -> str | None:
    """Return a component as a Python expression, with its own components nested."""
    if not config:
        return None
    inner = [
        _component(v) if isinstance(v, dict) and "_target_" in v else f"{k}={v}"
        for k, v in config.items()
        if not k.startswith("_")
    ]
    return f"{config['_target_'].rsplit('.', 1)[-1]}({', '.join(filter(None, inner))})"


def _text(value: object) -> object:
    """Escape Markdown in every text that is filled in, since names come from other people's files."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return re.sub(r"([\\`*\[\]<>|])", r"\\\1", " ".join(value.splitlines()))
