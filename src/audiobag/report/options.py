"""What varies between systems: a column for each option, and short labels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from audiobag.utils.plotting import cut

# Groups that change no result, or that a column of their own shows.
_NOT_SHOWN: Final = {"experiment", "paths", "logger", "debug", "schedule", "trainer", "sweep"}
_STEPS: Final = ("schedule.", "trainer.max_steps", "lr_scheduler.steps")
_LONGEST: Final = 30
RANKED: Final = "#{}"
"""The label of a system with too many options to name."""

Texts = Mapping[str, str]


def differing(configs: Sequence[Texts]) -> list[dict[str, str]]:
    """Return for each configuration the keys whose values are not all the same; `-` stands for a missing key.

    An empty configuration, as of the choices of an ensemble, makes no key vary.
    """
    keys = sorted({key for config in configs for key in config})
    varied = [key for key in keys if len({config.get(key) for config in configs if config}) > 1]
    return [{key: config.get(key, "-") for key in varied} for config in configs]


def options(choices: Sequence[Texts], configs: Sequence[Texts]) -> list[dict[str, str]]:
    """Return for each system the options that vary between the systems, with short names and values.

    An option is a configuration group with different choices, or a key with different values under the same choice.
    Numbers have three significant digits.

    Args:
        choices: the option chosen of each configuration group, for each system.
        configs: the dotted keys of each configuration, with their values as text.
    """
    if any(choices):  # an ensemble has members in place of options
        configs = [config if own else {} for own, config in zip(choices, configs, strict=True)]
    groups = [key for key in differing(choices)[0] if key not in _NOT_SHOWN] if choices else []
    keys = [key for key in differing(configs)[0] if _is_option(key) and _varies_within(key, choices, configs)]
    columns: dict[tuple[str, ...], str] = {}
    for key in groups:
        columns.setdefault(tuple(cut(own.get(key, "-"), 24) for own in choices), key)
    for key in sorted(keys, key=lambda k: (k.count("."), k)):
        columns.setdefault(tuple(_short(own.get(key, "-")) for own in configs), key)
    columns = {values: key for values, key in columns.items() if len(set(values)) > 1}
    names = _names([*columns.values()])
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)] or [{} for _ in choices]


def labels(names: Sequence[str], found: Sequence[Texts]) -> list[str]:
    """Return a short label for each system, all different: its name, its options, or its rank.

    Args:
        names: of the systems, best first.
        found: their options.
    """
    heads = [name.partition(" ") for name in names]
    if len({head.rpartition("/")[0] for head, *_ in heads}) == 1:
        heads = [(head.rpartition("/")[2], space, rest) for head, space, rest in heads]
    short = ["".join(head) for head in heads]
    spelt = [" ".join(v if k in _SPEAKING else f"{k}={v}" for k, v in own.items()) for own in found]
    if len(names) == 1:
        return list(names)
    for candidate in (short, spelt):
        if len(set(candidate)) == len(candidate) and all(0 < len(c) <= _LONGEST for c in candidate):
            return candidate
    return [RANKED.format(rank) for rank in range(1, len(names) + 1)]


_SPEAKING: Final = {"pooling", "embedding", "sampler", "loss", "data", "optimizer", "augment"}


def _is_option(key: str) -> bool:
    return not key.startswith(_STEPS) and not key.rpartition(".")[2].startswith("_")


def _varies_within(key: str, choices: Sequence[Texts], configs: Sequence[Texts]) -> bool:
    """Return whether systems with the same choice of the key's group have different values."""
    group = key.partition(".")[0]
    values: dict[str | None, set[str | None]] = {}
    for own, config in zip(choices, configs, strict=True):
        values.setdefault(own.get(group), set()).add(config.get(key))
    return any(len(of_choice) > 1 for of_choice in values.values())


def _short(value: str) -> str:
    try:
        number = json.loads(value)
    except ValueError:
        return cut(value, 24)
    if isinstance(number, float):
        return f"{number:.3g}"
    return "none" if number is None else cut(value, 24)


def _names(keys: Sequence[str]) -> list[str]:
    """Return the last parts of dotted keys, as many as tell them apart."""
    parts = [key.split(".") for key in keys]
    for depth in range(1, max(map(len, parts), default=1) + 1):
        names = [".".join(p[-depth:]) for p in parts]
        if len(set(names)) == len(names):
            return names
    return list(keys)
