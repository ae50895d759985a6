"""What a report found, in words: its title and a few sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath

from audiobag.pictures.forest import ForestRow
from audiobag.report.compare import Difference, differences, tied
from audiobag.report.evidence import Evidence
from audiobag.report.options import RANKED
from audiobag.report.statistics import RANGES, Ends, estimate, excludes_zero
from audiobag.report.systems import System

_NAMED = 4


def headline(systems: Sequence[System]) -> str:
    """Return a title that says what is compared.

    Args:
        systems: best first.
    """
    data = _listed(sorted({_data(s) for s in systems} - {""}))
    where = f" on {data}" if data else ""
    if len(systems) == 1:
        return f"{systems[0].label or systems[0].name}{where}"
    options = [*systems[0].options]
    if len(options) == 1:
        values = list(dict.fromkeys(s.options[options[0]] for s in systems))
        what = (
            f"{options[0]}: {', '.join(values[:_NAMED])}" if len(values) <= _NAMED else f"{len(values)} {options[0]}s"
        )
        return f"{what[0].upper()}{what[1:]}{where}"
    if not options or len(options) > _NAMED:
        return f"{len(systems)} systems{where}"
    what = _listed(options)
    return f"{what[0].upper()}{what[1:]}: {len(systems)} systems{where}"


def _data(system: System) -> str:
    """Return a name of the data set; that of its folder for data of the user's own."""
    chosen = system.runs[0].choices.get("data", "")
    root = (system.runs[0].config.get("data") or {}).get("root")
    return PurePath(str(root)).name if chosen == "own" and root else chosen


def verdict(systems: Sequence[System], baseline: System, evidence: Mapping[str, Evidence]) -> list[str]:
    """Return a sentence that says which system is best and by how much, and one that says which are as good.

    Args:
        systems: best first.
        baseline: the system to compare the best one with; the second best if it is the best.
        evidence: of each system, by name.
    """
    best = systems[0]
    found = estimate(best.values("test", "mAP"), *RANGES["mAP"])
    if found is None:
        return []
    if len(systems) == 1:
        ends = "" if found.low is None else f", 95 % {found.low:.4f} to {found.high:.4f} over {found.n} seeds"
        scores = {m: estimate(best.values("test", m)) for m in ("AUC", "d_prime")}
        AUC, d = ("unknown" if e is None else f"{e.mean:.{n}f}" for e, n in zip(scores.values(), (4, 3), strict=True))
        return [f"{best.label or best.name} reaches {found.mean:.4f} mAP{ends}, {AUC} AUC and a d' of {d}."]
    rival = systems[1] if baseline is best else baseline
    compared = next((d for d in differences([best], rival, evidence) if d.scored == "test"), None)
    sentences = [f"{best.label} has the highest mAP, {found.mean:.4f}."]
    if compared is not None:
        sentences = [_difference(best.label, rival.label, compared)]
    if best.label == RANKED.format(1):
        sentences.append(f"{best.label}: {_listed([f'{name} {value}' for name, value in best.options.items()])}.")
    same = tied(best, systems, "test", evidence)
    if names := [s.label for s in systems if s.name in same and s is not rival]:
        shown = names if len(names) <= _NAMED else [*names[: _NAMED - 1], f"{len(names) - _NAMED + 1} more"]
        sentences.append(f"{_listed(shown)} cannot be told from {best.label}: the interval contains 0.")
    return sentences


def _difference(best: str, rival: str, d: Difference) -> str:
    if d.interval is None:
        return f"{best} leads {rival} by {d.mean:.4f} mAP; there is no interval for the difference."
    (low, high), over = d.interval
    ends = f"95 % {low:.4f} to {high:.4f} over {over}"
    if d.tells:
        return f"{best} leads {rival} by {d.mean:.4f} mAP ({ends})."
    return f"{best} is {d.mean:.4f} mAP ahead of {rival}, but cannot be told from it ({ends})."


def forest_rows(systems: Sequence[System], baseline: System, compared: Sequence[Difference]) -> list[ForestRow]:
    """Return the difference of each other system to the baseline, for a forest plot.

    Args:
        systems: best first.
        baseline: the system that the differences are taken to.
        compared: differences to the baseline.
    """
    of = {d.system: d for d in compared if d.scored == "test"}
    shown = [(s.label, of[s.name]) for s in systems if s is not baseline and s.name in of]
    return [forest_row(label, d.mean, d.interval[0] if d.interval else None) for label, d in shown]


def forest_row(label: str, mean: float, ends: Ends) -> ForestRow:
    """Return a difference for a forest plot: in colour if its interval does not contain 0."""
    low, high = ends or (None, None)
    return ForestRow(label, mean, low, high, strong=excludes_zero(ends))


def _listed(names: Sequence[str]) -> str:
    """Return names as `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
