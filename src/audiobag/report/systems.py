"""Grouping of runs into systems: runs that differ only in their seed are one system, which gets a unique name."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiobag.report.collect import LeftOut, Run
from audiobag.report.formats import NONE
from audiobag.report.options import differing, labels, options
from audiobag.report.paper import Published, published
from audiobag.runs import hashed_config
from audiobag.utils.configs import flatten
from audiobag.utils.errors import InputError

# Overrides that do not change the result, and the one that the name already contains.
_NO_NAME = ("experiment=", "seed=", "hydra", "paths.", "logger", "threads=", "tags=", "data.root=")


@dataclass(frozen=True, slots=True)
class System:
    """Runs of one configuration on one data set, one per seed.

    Attributes:
        name: unique in its report.
        runs: sorted by seed; at least one.
        differences: the keys of its configuration that differ between the systems of the report, with their values.
        options: the options that vary between the systems, with short names and values, see `report.options`.
        label: short name for pictures and tables, unique in its report.
    """

    name: str
    runs: tuple[Run, ...]
    differences: Mapping[str, str]
    options: Mapping[str, str] = field(default_factory=dict)
    label: str = ""

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, ascending."""
        return tuple(run.seed for run in self.runs)

    @property
    def published(self) -> Published | None:
        """The row of the paper for this system; None if the paper has none, or has it for other data or a recipe."""
        run = self.runs[0]
        return published(run.choices, run.config, run.classes.names)

    @property
    def steps(self) -> str:
        """The number of training steps; a range if the runs differ, as where some stopped early."""
        found = sorted({int(steps) for run in self.runs if (steps := run.metrics.get("train", {}).get("steps"))})
        return NONE if not found else "-".join(f"{steps:,}" for steps in dict.fromkeys((found[0], found[-1])))

    @property
    def seconds(self) -> float | None:
        """The duration of the training of a run in seconds, averaged over runs; None if unknown."""
        found = [float(seconds) for run in self.runs if (seconds := run.metrics.get("train", {}).get("seconds"))]
        return float(np.mean(found)) if found else None

    @property
    def average_precision(self) -> NDArray[np.float64]:
        """[K], AP of each class with the final weights, averaged over seeds."""
        mean: NDArray[np.float64] = np.mean([run.classes.average_precision for run in self.runs], axis=0)
        return mean

    @property
    def mAP(self) -> float:  # noqa: N802 - the field's name
        """The mAP of the final weights, averaged over seeds; 0 if unknown."""
        return float(np.mean(self.values("test", "mAP") or [0]))

    def by_seed(self, scored: str, metric: str) -> dict[int, float]:
        """Return a metric for each seed that has it; `scored` is test or test_averaged."""
        return _known((run.seed, run.metrics.get(scored, {}).get(metric)) for run in self.runs)

    def values(self, scored: str, metric: str) -> list[float]:
        """Return the values of `by_seed`."""
        return [*self.by_seed(scored, metric).values()]

    def localisation(self, kind: str, name: str) -> dict[int, float]:
        """Return a score of the seconds for each seed that has it."""
        return _known((run.seed, run.localised.scores.get(kind, {}).get(name)) for run in self.runs if run.localised)


def group(runs: Iterable[Run]) -> tuple[list[System], list[LeftOut]]:
    """Return the systems, sorted by mAP, and the runs that repeat a seed of their system."""
    members: dict[str, dict[int, Run]] = defaultdict(dict)
    repeats = []
    for run in runs:
        same = members[_identity(run)]
        if run.seed in same:
            reason = f"seed {run.seed} repeats {same[run.seed].directory.path}: each seed counts once"
            repeats.append(LeftOut(run.directory.path, reason))
        else:
            same[run.seed] = run
    groups = [tuple(same[seed] for seed in sorted(same)) for same in members.values()]
    configs = [config_texts(runs[0]) for runs in groups]
    names = _names([runs[0] for runs in groups], configs)
    varied = options([runs[0].choices for runs in groups], configs)
    parts = zip(names, groups, differing(configs), varied, strict=True)
    systems = sorted((System(*part) for part in parts), key=lambda s: (s.mAP, s.name))
    ranked = labels([s.name for s in reversed(systems)], [s.options for s in reversed(systems)])
    return [replace(s, label=label) for s, label in zip(systems, reversed(ranked), strict=True)], repeats


def choose(systems: Sequence[System], wanted: str | None) -> System:
    """Return the baseline.

    Args:
        systems: to choose from.
        wanted: name of the system, or the last part of its name; None for average pooling, or for the best system if
            no system, or several, have the paper's average pooling.

    Raises:
        ValueError: no system has the name, or several have it.
    """
    if wanted is None:
        return _plain(systems)
    named = (
        [s for s in systems if s.name == wanted]
        or [s for s in systems if s.name.rpartition("/")[2] == wanted]
        or [s for s in systems if s.label == wanted]
    )
    if len(named) == 1:
        return named[0]
    names = ", ".join(s.name for s in systems)
    raise InputError(f"baseline must name one of {names}, got {wanted}{', which names several' if named else ''}")


def _plain(systems: Sequence[System]) -> System:
    """Return a system of average pooling with balanced batches, if it can be a baseline; else the best system.

    Args:
        systems: sorted by mAP.
    """
    average = [s for s in systems if s.runs[0].choices.get("pooling") == "average"]
    balanced = [s for s in average if s.runs[0].choices.get("sampler") == "balanced"] or average
    return balanced[0] if len(balanced) == 1 or 0 < len(average) < len(systems) else systems[-1]


def _known(values: Iterable[tuple[int, Any]]) -> dict[int, float]:
    return {seed: float(value) for seed, value in values if value is not None}


def config_texts(run: Run) -> dict[str, str]:
    """Return the part of a configuration that can change a result, as dotted keys with their values as text."""
    values = flatten(hashed_config(run.config))
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}


def _identity(run: Run) -> str:
    return json.dumps([hashed_config(run.config), dict(run.stores)], sort_keys=True)


def _names(runs: Sequence[Run], configs: Sequence[Mapping[str, str]]) -> list[str]:
    """Name each system by its experiment, or by the choices that differ; add what else makes the name unique."""
    chosen = differing([dict(run.choices) for run in runs])
    shared = set.intersection(*(set(run.overrides) for run in runs))
    names = []
    for run, own in zip(runs, chosen, strict=True):
        if experiment := run.choices.get("experiment"):
            changes = [o for o in run.overrides if o not in shared and not o.startswith(_NO_NAME)]
            names.append(" ".join([experiment, *changes]))
        elif not run.choices:  # trained from Python objects
            names.append(run.directory.path.name)
        else:
            parts = [value for key, value in own.items() if key != "experiment"]
            names.append(" + ".join(parts) or run.choices.get("pooling", "run"))
    names = _tell_apart(names, [{k: v for k, v in c.items() if not k.endswith("_target_")} for c in configs])
    return _tell_apart(names, [{name: value[:8] for name, value in run.stores.items()} for run in runs])


def _tell_apart(names: Sequence[str], details: Sequence[Mapping[str, str]]) -> list[str]:
    """Add to each name that occurs more than once the details that differ between its systems."""
    out = list(names)
    for name in {n for n in names if names.count(n) > 1}:
        same = [i for i, n in enumerate(names) if n == name]
        for i, own in zip(same, differing([details[i] for i in same]), strict=True):
            out[i] = " ".join([name, *(f"{key}={value}" for key, value in own.items())])
    return out
