"""What a search shows: which values lead to which score, and which options matter; as pictures for plotly.js too."""

from __future__ import annotations

import importlib.util
import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from audiobag.pictures.browser import rounded
from audiobag.report.interactive import Plot, axis, trace
from audiobag.report.systems import System
from audiobag.utils.plotting import cut

_LEAST = 8


def is_search(systems: Sequence[System]) -> bool:
    """Return whether there are many systems that differ in two options or more."""
    return len(systems) >= _LEAST and len(systems[0].options) >= 2


def objective(systems: Sequence[System]) -> tuple[str, list[float]]:
    """Return the score that a search looks at: the mAP on the hold-out, or on the eval set if some have no hold-out."""
    held_out = [s.values("val", "mAP") for s in systems]
    if all(held_out):
        return "val/mAP", [float(np.mean(values)) for values in held_out]
    return "mAP", [s.mAP for s in systems]


def columns(systems: Sequence[System]) -> dict[str, list[str]]:
    """Return the values of each option, a value for each system."""
    return {name: [s.options[name] for s in systems] for name in systems[0].options}


def importances(systems: Sequence[System]) -> dict[str, float] | None:
    """Return the importance of each option for the score, by Optuna; None without Optuna and scikit-learn.

    The importance of an option is how much a random forest that predicts the score from the options reduces its error
    by splitting at it; the sum is 1.
    """
    if importlib.util.find_spec("optuna") is None or importlib.util.find_spec("sklearn") is None:
        return None
    _, values = objective(systems)
    if len(set(values)) == 1:
        return None
    with warnings.catch_warnings():
        # Experimental in Optuna 2, which the sweeper needs and which SQLAlchemy warns about; unchanged later.
        warnings.simplefilter("ignore")
        import optuna
        from optuna.importance import MeanDecreaseImpurityImportanceEvaluator, get_param_importances

        parameters = {name: _parameter(texts) for name, texts in columns(systems).items()}
        level = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(logging.WARNING)
        try:
            study = optuna.create_study(direction="maximize")
            for i, value in enumerate(values):
                of = {name: choices[i] for name, (choices, _) in parameters.items()}
                distributions = {name: distribution for name, (_, distribution) in parameters.items()}
                study.add_trial(optuna.trial.create_trial(params=of, distributions=distributions, value=value))
            found = get_param_importances(study, evaluator=MeanDecreaseImpurityImportanceEvaluator(seed=0))
        finally:
            optuna.logging.set_verbosity(level)
    return {str(name): float(share) for name, share in found.items()}


def _parameter(texts: Sequence[str]) -> tuple[list[Any], Any]:
    """Return the values of an option and a distribution that has them."""
    from optuna.distributions import CategoricalDistribution, UniformDistribution

    try:
        numbers = [json.loads(text) for text in texts]
    except ValueError:
        numbers = []
    if numbers and all(type(n) in (int, float) for n in numbers) and len(set(numbers)) > 1:
        return [float(n) for n in numbers], UniformDistribution(float(min(numbers)), float(max(numbers)))
    return list(texts), CategoricalDistribution(sorted(set(texts)))


def parallel(columns: Mapping[str, Sequence[str]], values: Sequence[float], what: str) -> Plot:
    """Return parallel coordinates of a search: a line for each system through its options to its score.

    Args:
        columns: the value of each system, as text, for each option.
        values: the score of each system.
        what: name of the score.
    """
    low, high = min(values), max(values)
    placed = {name: _placed(texts) for name, texts in columns.items()}
    score = [(v - low) / (high - low or 1) for v in values]
    heads = [*columns, what]
    data: list[dict[str, Any]] = []
    for i in sorted(range(len(values)), key=lambda i: values[i]):
        named = "<br>".join(f"{name} {texts[i]}" for name, texts in columns.items())
        data.append(
            trace(
                "lines",
                list(range(len(heads))),
                [*(at[i] for at in placed.values()), score[i]],
                line={"color": _scale(score[i]), "width": 1.2 + 2 * score[i] ** 3},
                opacity=0.35 + 0.65 * score[i],
                hovertemplate=f"{named}<br><b>{what} {values[i]:.4f}</b><extra></extra>",
            )
        )
    ticks = [(x, _ticks(at, columns[name])) for x, (name, at) in enumerate(placed.items())]
    notes = [(x, at, text) for x, of in ticks for at, text in of]
    notes += [(len(heads) - 1, 0.0, f"{low:.4f}"), (len(heads) - 1, 1.0, f"{high:.4f}")]
    place = {"showarrow": False, "xanchor": "left", "xshift": 4, "font": {"size": 11}}
    ends = [-0.2, len(heads) - 0.7]
    layout = {
        "height": 400,
        "hovermode": "closest",
        "margin": {"l": 40, "r": 50, "t": 20, "b": 60},
        "xaxis": {"tickvals": list(range(len(heads))), "ticktext": heads, "showgrid": True, "range": ends},
        "yaxis": {"visible": False, "range": [-0.06, 1.06]},
        "annotations": [{"x": x, "y": y, "text": cut(text, 14), **place} for x, y, text in notes],
    }
    return {"data": data, "layout": layout}


def bars(shares: Mapping[str, float], xlabel: str) -> Plot:
    """Return horizontal bars, the first on top."""
    data = [
        {
            "type": "bar",
            "orientation": "h",
            "x": rounded(np.array([*shares.values()])[::-1]),
            "y": [*shares][::-1],
            "marker": {"color": "#0072B2"},
            "hovertemplate": "%{y}: %{x:.2f}<extra></extra>",
        }
    ]
    layout = {
        "height": 110 + 30 * len(shares),
        "margin": {"l": 10, "r": 12, "t": 8, "b": 45},
        "xaxis": axis(xlabel, rangemode="tozero"),
        "yaxis": {"automargin": True, "type": "category"},
    }
    return {"data": data, "layout": layout}


def _placed(texts: Sequence[str]) -> list[float]:
    """Return a place between 0 and 1 for each value: numbers by size, logarithmic if they span much; others by rank."""
    try:
        numbers = np.array([float(text) for text in texts])
    except ValueError:
        order = sorted(set(texts))
        return [order.index(text) / max(len(order) - 1, 1) for text in texts]
    if numbers.min() > 0 and numbers.max() >= 8 * numbers.min():
        numbers = np.log(numbers)
    span = float(np.ptp(numbers)) or 1.0
    return [float(v) for v in (numbers - numbers.min()) / span]


def _ticks(places: Sequence[float], texts: Sequence[str]) -> list[tuple[float, str]]:
    """Return place and text of each value if there are few, otherwise of the lowest and the highest."""
    every = sorted(dict(zip(texts, places, strict=True)).items(), key=lambda tick: tick[1])
    return [(at, text) for text, at in (every if len(every) <= 6 else (every[0], every[-1]))]


def _scale(share: float) -> str:
    """Return a colour between grey and blue."""
    one, other = np.array([170, 178, 184]), np.array([0, 114, 178])
    r, g, b = (one + (other - one) * share).astype(int).tolist()
    return f"rgb({r},{g},{b})"
