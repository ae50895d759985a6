"""Differences between systems, and warnings about systems that are hard to compare."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from audiobag.report.collect import SCORED, Run
from audiobag.report.evidence import Evidence
from audiobag.report.statistics import Ends, bootstrap_mean, excludes_zero, interval, over_seeds
from audiobag.report.systems import System


@dataclass(frozen=True, slots=True)
class Difference:
    """mAP of a system minus mAP of the baseline, both averaged over seeds.

    Attributes:
        system: name of the system.
        baseline: name of the baseline.
        scored: test or test_averaged.
        mean: the difference.
        seeds: 95 % interval of the mean difference of runs with the same seed; None with fewer than two shared seeds.
        clips: 95 % interval from a bootstrap over the scored clips, the same for both; None if it is unknown.
        classes: 95 % interval from a bootstrap over the classes; for the final weights only.
        better: number of classes with a higher AP, for the final weights.
        worse: number of classes with a lower AP.
        shared: number of seeds that both have.
    """

    system: str
    baseline: str
    scored: str
    mean: float
    seeds: Ends
    clips: Ends
    classes: Ends
    better: int | None
    worse: int | None
    shared: int = 0

    @property
    def interval(self) -> tuple[tuple[float, float], str] | None:
        """The interval to judge by, and over what: three seeds or more, else clips, else two seeds, else classes."""
        seeds = (self.seeds, f"{self.shared} seeds")
        rest = [(self.clips, "clips"), seeds, (self.classes, "classes")]
        ordered = [seeds, *rest] if self.shared > 2 else rest
        return next(((ends, over) for ends, over in ordered if ends is not None), None)

    @property
    def tells(self) -> bool:
        """True if an interval says which system is better."""
        return self.interval is not None and excludes_zero(self.interval[0])


def differences(systems: Sequence[System], baseline: System, evidence: Mapping[str, Evidence]) -> list[Difference]:
    """Compare each other system with the baseline, for each of test and test_averaged that both have."""
    out = []
    for scored in SCORED:
        for system in systems:
            ours, theirs = system.values(scored, "mAP"), baseline.values(scored, "mAP")
            if system is not baseline and ours and theirs:
                out.append(_difference(system, baseline, scored, float(np.mean(ours) - np.mean(theirs)), evidence))
    return out


def pairwise(systems: Sequence[System], evidence: Mapping[str, Evidence]) -> list[Difference]:
    """Compare each pair of systems: the later one in `systems` minus the earlier one."""
    pairs = [(one, other) for i, other in enumerate(systems) for one in systems[i + 1 :]]
    return [d for one, other in pairs for d in differences([one], other, evidence)]


def _difference(
    system: System, baseline: System, scored: str, mean: float, evidence: Mapping[str, Evidence]
) -> Difference:
    ours, theirs = (evidence[s.name].mAP.get(scored) if s.name in evidence else None for s in (system, baseline))
    seeds, shared = over_seeds(*(s.by_seed(scored, "mAP") for s in (system, baseline)))
    same_clips = _scored_store(system) == _scored_store(baseline)
    clips = interval(mean, ours - theirs) if ours is not None and theirs is not None and same_clips else None
    if scored != "test" or not comparable(system, baseline):
        return Difference(system.name, baseline.name, scored, mean, seeds, clips, None, None, None, shared)
    gain = system.average_precision - baseline.average_precision
    gain = gain[np.isfinite(gain)]
    classes = interval(float(gain.mean()), bootstrap_mean(gain)) if len(gain) > 1 else None
    better, worse = int((gain > 0).sum()), int((gain < 0).sum())
    return Difference(system.name, baseline.name, scored, mean, seeds, clips, classes, better, worse, shared)


def comparable(system: System, baseline: System) -> bool:
    """Return True if both were scored on the same classes."""
    return system.runs[0].classes.names == baseline.runs[0].classes.names


def best(systems: Sequence[System], baseline: System) -> System | None:
    """Return the other system with the highest mAP, to compare with the baseline; None if there is none."""
    others = [s for s in systems if s is not baseline and comparable(s, baseline) and s.values("test", "mAP")]
    return max(others, key=lambda s: s.mAP, default=None)


def tied(best: System, systems: Sequence[System], scored: str, evidence: Mapping[str, Evidence]) -> set[str]:
    """Return the names of the systems whose difference to the best one has an interval that contains 0."""
    compared = [d for d in differences(systems, best, evidence) if d.scored == scored]
    return {d.system for d in compared if d.interval is not None and not d.tells}


def flags(systems: Sequence[System]) -> list[str]:
    """Return a warning for everything that makes the rows of one table hard to compare."""
    runs = [run for system in systems for run in system.runs]
    sentences = []
    for name in sorted({name for run in runs for name in run.stores}):
        versions = _who([(run, run.stores[name]) for run in runs if name in run.stores])
        if len(versions) > 1:
            listed = "; ".join(f"{checksum[:8]}: {who}" for checksum, who in versions.items())
            sentences.append(f"Mixed data: {len(versions)} different contents of {name} ({listed}).")
    parts = _who([(run, " + ".join(run.stores)) for run in runs])
    if len(parts) > 1:
        sentences.append(f"Mixed data: {'; '.join(f'{what}: {who}' for what, who in parts.items())}.")
    revisions = _who([(run, run.revision or "unknown") for run in runs])
    if len(revisions) > 1:
        listed = "; ".join(f"{short(revision)}: {who}" for revision, who in revisions.items())
        sentences.append(f"Mixed code: {len(revisions)} revisions ({listed}).")
    if dirty := [run.directory.path.name for run in runs if (run.revision or "").endswith("-dirty")]:
        sentences.append(f"Uncommitted code: {_some(dirty)}.")
    if len({system.seeds for system in systems}) > 1:
        listed = "; ".join(f"{system.name}: {', '.join(map(str, system.seeds))}" for system in systems)
        sentences.append(f"Uneven seeds: {listed}.")
    return sentences


def short(revision: str) -> str:
    """Return the first eight digits of a revision, with `-dirty` where it has uncommitted changes."""
    commit, dash, dirty = revision.partition("-")
    return commit[:8] + dash + dirty


def _scored_store(system: System) -> str | None:
    run = system.runs[0]
    return run.stores.get(run.config.get("data", {}).get("test", "eval"))


def _who(pairs: Iterable[tuple[Run, str]]) -> dict[str, str]:
    members: dict[str, list[str]] = defaultdict(list)
    for run, value in pairs:
        members[value].append(run.directory.path.name)
    return {value: _some(names) for value, names in sorted(members.items())}


def _some(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{names[0]} and {len(names) - 1} more"
