"""Runs to systems: those that differ in nothing but their seed are one, and each gets a name that tells it apart."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiobag.errors import UserError
from audiobag.report.collect import LeftOut, Run
from audiobag.report.paper import Published, published
from audiobag.runs import decisive

# What the name of an experiment does not decide, and what its name already says.
_NO_NAME = ("experiment=", "seed=", "hydra", "paths.", "logger", "threads=", "data.root=")


@dataclass(frozen=True, slots=True)
class System:
    """Runs of one configuration on one data set, one a seed.

    Attributes:
        name: unique in its report.
        runs: in the order of their seeds; never empty.
        differences: where its configuration is not that of all systems, by dotted key.
    """

    name: str
    runs: tuple[Run, ...]
    differences: Mapping[str, str]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, ascending."""
        return tuple(run.seed for run in self.runs)

    @property
    def published(self) -> Published | None:
        """The paper's row, where the system is one of the paper's."""
        return published(self.runs[0].choices)

    @property
    def average_precision(self) -> NDArray[np.float64]:
        """[K], AP of each class, the mean over seeds, of the final weights."""
        mean: NDArray[np.float64] = np.mean([run.classes.average_precision for run in self.runs], axis=0)
        return mean

    def values(self, scored: str, metric: str) -> list[float]:
        """Return a metric of each seed that has it; `scored` is test or test_averaged."""
        found = (run.metrics.get(scored, {}).get(metric) for run in self.runs)
        return [float(value) for value in found if value is not None]


def group(runs: Iterable[Run]) -> tuple[list[System], list[LeftOut]]:
    """Return the systems in the order of their mAP, and the runs that repeat a seed of their system."""
    members: dict[str, dict[int, Run]] = defaultdict(dict)
    repeats = []
    for run in runs:
        same = members[_identity(run)]
        if run.seed in same:
            reason = f"seed {run.seed} of {same[run.seed].directory.path} once more: a seed counts once"
            repeats.append(LeftOut(run.directory.path, reason))
        else:
            same[run.seed] = run
    groups = [tuple(same[seed] for seed in sorted(same)) for same in members.values()]
    configs = [flatten(decisive(runs[0].config)) for runs in groups]
    names = _names([runs[0] for runs in groups], configs)
    systems = [System(name, runs, own) for name, runs, own in zip(names, groups, differing(configs), strict=True)]
    return sorted(systems, key=lambda s: (np.mean(s.values("test", "mAP") or [0]), s.name)), repeats


def choose(systems: Sequence[System], wanted: str | None) -> System:
    """Return the baseline: by its name, by its name's last part, or where none is wanted, average pooling.

    Raises:
        UserError: no system, or more than one, is meant.
    """
    if wanted is None:
        plain = [s for s in systems if s.runs[0].choices.get("pooling") == "average"]
        return next((s for s in plain if s.runs[0].choices.get("sampler") == "balanced"), (plain or [*systems])[0])
    meant = [s for s in systems if s.name == wanted] or [s for s in systems if s.name.rpartition("/")[2] == wanted]
    if len(meant) == 1:
        return meant[0]
    names = ", ".join(s.name for s in systems)
    raise UserError(f"baseline={wanted} names {'more than one' if meant else 'none'} of the systems: choose of {names}")


def flatten(value: Any, prefix: str = "") -> dict[str, str]:
    """Return nested containers as dotted keys with their values in JSON; a list is one value."""
    if isinstance(value, Mapping) and value:
        return {k: v for key, inner in value.items() for k, v in flatten(inner, f"{prefix}{key}.").items()}
    return {prefix.rstrip("."): value if isinstance(value, str) else json.dumps(value)}


def differing(configs: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return of each configuration the keys that not all have with the same value; a missing one reads `-`."""
    keys = sorted({key for config in configs for key in config})
    varied = [key for key in keys if len({config.get(key) for config in configs}) > 1]
    return [{key: config.get(key, "-") for key in varied} for config in configs]


def _identity(run: Run) -> str:
    return json.dumps([decisive(run.config), dict(run.stores)], sort_keys=True)


def _names(runs: Sequence[Run], configs: Sequence[Mapping[str, str]]) -> list[str]:
    """Name each system by its experiment, or by the choices that differ, and by what else it takes to be unique."""
    chosen = differing([dict(run.choices) for run in runs])
    shared = set.intersection(*(set(run.directory.overrides()) for run in runs))
    names = []
    for run, own in zip(runs, chosen, strict=True):
        if experiment := run.choices.get("experiment"):
            changes = [o for o in run.directory.overrides() if o not in shared and not o.startswith(_NO_NAME)]
            names.append(" ".join([experiment, *changes]))
        else:
            parts = [value for key, value in own.items() if key != "experiment"]
            names.append(" + ".join(parts) or run.choices.get("pooling", "run"))
    names = _tell_apart(names, [{k: v for k, v in c.items() if not k.endswith("_target_")} for c in configs])
    return _tell_apart(names, [{name: value[:8] for name, value in run.stores.items()} for run in runs])


def _tell_apart(names: Sequence[str], details: Sequence[Mapping[str, str]]) -> list[str]:
    """Add to names that occur more than once the details that differ among their systems."""
    out = list(names)
    for name in {n for n in names if names.count(n) > 1}:
        same = [i for i, n in enumerate(names) if n == name]
        for i, own in zip(same, differing([details[i] for i in same]), strict=True):
            out[i] = " ".join([name, *(f"{key}={value}" for key, value in own.items())])
    return out
