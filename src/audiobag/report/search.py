"""What a search shows: which values lead to which score, and which options matter."""

from __future__ import annotations

import importlib.util
import json
import logging
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from audiobag.report.systems import System

_LEAST = 8


def is_search(systems: Sequence[System]) -> bool:
    """Return whether there are many systems that differ in two options or more."""
    return len(systems) >= _LEAST and len(systems[0].options) >= 2


def objective(systems: Sequence[System]) -> tuple[str, list[float]]:
    """Return the score that a search looks at: the mAP on the hold-out, or on the eval set if some have no hold-out."""
    held_out = [s.values("val", "mAP") for s in systems]
    if all(held_out):
        return "val/mAP", [float(np.mean(values)) for values in held_out]
    return "mAP", [float(np.mean(s.values("test", "mAP") or [0.0])) for s in systems]


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
