"""Options that are given on the command line and have no effect: refused, since ignoring them hides a mistake."""

from __future__ import annotations

from collections.abc import Iterable

from hydra.core.hydra_config import HydraConfig

from audiobag.cli.schema import KEYWORDS
from audiobag.utils.errors import InputError

_OFF = ("null", "false")


def refuse_unused(keys: Iterable[str], why: str) -> None:
    """Refuse options that are given on the command line, unless their value is null or false.

    Args:
        keys: of the options, dotted; a group stands for all of its keys.
        why: they have no effect, such as `without segments=true`.

    Raises:
        ValueError: one of them is given.
    """
    given = HydraConfig.get().overrides.task if HydraConfig.initialized() else []
    names = {attribute: key for key, attribute in KEYWORDS.items()}
    unused = [names.get(key, key) for key in keys]
    for override in given:
        key, _, value = override.lstrip("+~").partition("=")
        key = key.partition("@")[0]
        if value not in _OFF and any(f"{key}.".startswith(f"{one}.") for one in unused):
            raise InputError(f"{key} has no effect {why}: omit it")
