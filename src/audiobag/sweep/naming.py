"""Names of sweeps and of their jobs, which depend on the command alone, so that it finds the same folders again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hydra import compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from audiobag.runs import RunDirectory, hashed_config
from audiobag.runs.finding import run_folders
from audiobag.sweep import outcome
from audiobag.utils.configs import quoted, value_at
from audiobag.utils.errors import InputError
from audiobag.utils.files import short_name

_PARENT: Final = "outputs/sweeps"
_NAMED: Final = ("sweep", "data")  # which the name of a sweep has anyway
_LONGEST_TRIAL: Final = 60
LONGEST = 100  # characters in the name of a folder; file systems allow 255
_OWN = ("hydra_plugins.audiobag_launcher.PoolLauncher", "hydra_plugins.audiobag_launcher.SlurmLauncher")
_HAND_OVER = "hydra_plugins.audiobag_launcher.HandOverLauncher"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def folder_name(text: str) -> str:
    """Return `text` as the name of a folder, such as `pooling-max__seed-0`.

    Letters, digits, dots, dashes and underscores stay; `/` and `+` become dashes. If other characters had to be
    replaced, or the name is too long, it ends in a hash of the text, so that different texts have different names.
    """
    plain = text.replace("/", "-").replace("+", "-") or "job"
    name = _UNSAFE.sub("-", plain)
    return name if name == plain and len(name) <= LONGEST else short_name(text, name, LONGEST)


OmegaConf.register_new_resolver("folder_name", folder_name, replace=True)


def is_search(hydra: DictConfig) -> bool:
    """Return whether the jobs of a sweep depend on the results of earlier ones."""
    return "basic_sweeper" not in str(hydra.sweeper.get("_target_"))


def trial_name(text: str) -> str:
    """Return a short name for a trial of a search, whose values have many digits, such as `lr-0.000816-…-1f0c8e2a`."""
    parts = []
    for part in text.split("__"):
        key, dash, value = part.partition("-")
        parts.append(f"{key.rpartition('.')[2]}{dash}{_rounded(value)}")
    return short_name(text, folder_name("__".join(parts)), _LONGEST_TRIAL)


def _rounded(value: str) -> str:
    try:
        return f"{float(value):.3g}" if "." in value else value
    except ValueError:
        return value


class NameSweep(Callback):
    """Hydra callback that names the folder of a sweep by what is swept and what differs from the defaults.

    `hydra.sweep.dir=auto` becomes outputs/sweeps/NAME-DATA__DIFFERENCES, where NAME is the preset or else the swept
    keys, and DIFFERENCES are the other options of the command that change a result: the same grid with another option
    has a folder of its own. If nothing differs, or the folder without differences holds runs that were started with the
    same options, as audiobag 0.1 named it, the folder is NAME-DATA.

    A job is named by its swept overrides alone: keys with one value in the whole sweep are added to the keys that Hydra
    leaves out of a job's name. The names are added to the Hydra overrides of the sweep, from which every launcher
    composes the configurations of the jobs. A launcher of another package is wrapped in one that hands over the
    configurations of the jobs, see `sweep.handover`.
    """

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Add the names to the configuration of the sweep."""
        outcome.multirun = True
        hydra = config.hydra
        given = OverridesParser.create().parse_overrides(list(hydra.overrides.task))
        swept = [o.key_or_group for o in given if o.is_sweep_override()]
        constant = [o for o in given if not o.is_sweep_override()]
        keys = [o.key_or_group for o in constant]
        swept += [k for k in hydra.sweeper.get("params") or {} if k not in keys]
        pinned = [f"hydra.job.config.override_dirname.exclude_keys=[{','.join(map(quoted, keys))}]"]
        if hydra.sweep.dir == "auto":
            choices = hydra.runtime.choices
            name = choices.get("sweep") or "+".join(sorted(swept)) or "one"
            hydra.sweep.dir = sweep_folder(f"{name}-{choices.get('data')}", options_of(config, constant, swept))
            pinned.append(f"hydra.sweep.dir={quoted(hydra.sweep.dir)}")
        hydra.overrides.hydra.extend(pinned)
        if hydra.launcher.get("_target_") not in _OWN:
            with open_dict(hydra):
                hydra.launcher = {"_target_": _HAND_OVER, "_recursive_": False, "launcher": hydra.launcher}


def sweep_folder(name: str, options: Options) -> str:
    """Return the folder of a sweep."""
    plain = Path(_PARENT, folder_name(name))
    if not options.different or _made_with(plain, options):
        return str(plain)
    whole = "__".join([name, *(one.replace("=", "-") for one in options.different)])
    if len(whole) <= LONGEST:
        return str(Path(_PARENT, folder_name(whole)))
    last_parts = (
        f"{key.rpartition('.')[2]}-{value}" for key, _, value in (o.partition("=") for o in options.different)
    )
    return str(Path(_PARENT, short_name(whole, folder_name("__".join([name, *last_parts])), LONGEST)))


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a sweep that have one value.

    Attributes:
        different: those that change a result, since they are not the defaults; sorted.
        given: all of them.
        swept: the other keys of the command.
    """

    different: Sequence[str]
    given: Sequence[str]
    swept: Sequence[str]


def options_of(config: DictConfig, constant: Sequence[Override], swept: Sequence[str]) -> Options:
    """Return the options of a sweep, those that differ from what the command would be without them apart."""
    chosen = config.hydra.runtime.choices
    told = [o for o in constant if not _harmless(o.key_or_group)]
    found = []
    if told:
        named = [str(o.input_line) for o in constant if o.key_or_group in _NAMED]
        base = compose(config.hydra.job.config_name, named, return_hydra_config=True)
        choices = base.hydra.runtime.choices
        for override in told:
            key = override.key_or_group
            if choices.get(key) != chosen.get(key) if key in chosen else _value(base, key) != _value(config, key):
                found.append(_phrase(override))
    return Options(sorted(found), [_phrase(override) for override in constant], swept)


def _made_with(folder: Path, options: Options) -> bool:
    """Return whether a run in a folder was started with the same options, as its record tells."""
    if not folder.is_dir():
        return False
    for run in run_folders(folder):
        with suppress(InputError, HydraException):
            recorded = OverridesParser.create().parse_overrides(list(RunDirectory(run).config().overrides))
            phrases = {_phrase(o) for o in recorded if o.key_or_group not in options.swept}
            others = {phrase for phrase in phrases - {*options.given} if not _harmless(phrase.split("=")[0])}
            return not others and phrases >= {*options.different}
    return False


def _harmless(key: str) -> bool:
    """Return whether an option changes no result, or the name of the sweep has it anyway."""
    config: Any = True
    for name in reversed(key.split(".")):
        config = {name: config}
    return key in _NAMED or key.startswith("hydra") or value_at(hashed_config(config), key) is None


def _phrase(override: Override) -> str:
    if override.is_delete():
        return f"no-{override.key_or_group}"
    return f"{override.key_or_group}={override.get_value_element_as_str()}"


def _value(config: DictConfig, key: str) -> Any:
    """Return the value of a key, resolved where that is possible before the jobs are composed; None if missing."""
    with suppress(OmegaConfBaseException):
        value = OmegaConf.select(config, key)
        return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
    return value_at(OmegaConf.to_container(config, enum_to_str=True), key)
