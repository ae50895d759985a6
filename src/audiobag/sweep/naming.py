"""Names of sweeps and of their jobs, which depend on the command alone, so that it finds the same folders again."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict

from audiobag.sweep import outcome
from audiobag.utils.configs import quoted

LONGEST = 100  # characters in the name of a folder; file systems allow 255
_POOL = "hydra_plugins.audiobag_launcher.PoolLauncher"
_HAND_OVER = "hydra_plugins.audiobag_launcher.HandOverLauncher"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def folder_name(text: str) -> str:
    """Return `text` as the name of a folder, such as `pooling-max__seed-0`.

    Letters, digits, dots, dashes and underscores stay; `/` and `+` become dashes. If other characters had to be
    replaced, or the name is too long, it ends in a hash of the text, so that different texts have different names.
    """
    plain = text.replace("/", "-").replace("+", "-") or "job"
    name = _UNSAFE.sub("-", plain)
    if name != plain or len(name) > LONGEST:
        name = f"{name[: LONGEST - 9]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    return name


OmegaConf.register_new_resolver("folder_name", folder_name, replace=True)


def is_search(hydra: DictConfig) -> bool:
    """Return whether the jobs of a sweep depend on the results of earlier ones."""
    return "basic_sweeper" not in str(hydra.sweeper.get("_target_"))


class NameSweep(Callback):
    """Hydra callback that names the folder of a sweep and each job by its swept overrides alone.

    `hydra.sweep.dir=auto` becomes outputs/sweeps/NAME-DATA, where NAME is the preset or else the swept keys. Keys with
    one value in the whole sweep are added to the keys that Hydra leaves out of a job's name. Both are added to the
    Hydra overrides of the sweep, from which every launcher composes the configurations of the jobs. A launcher other
    than `pool` is wrapped in one that hands over the configurations of the jobs, see `sweep.handover`.
    """

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Add the names to the configuration of the sweep."""
        outcome.multirun = True
        hydra = config.hydra
        given = OverridesParser.create().parse_overrides(list(hydra.overrides.task))
        swept = [o.key_or_group for o in given if o.is_sweep_override()]
        constant = [o.key_or_group for o in given if not o.is_sweep_override()]
        swept += [k for k in hydra.sweeper.get("params") or {} if k not in constant]
        pinned = [f"hydra.job.config.override_dirname.exclude_keys=[{','.join(map(quoted, constant))}]"]
        if hydra.sweep.dir == "auto":
            choices = hydra.runtime.choices
            name = choices.get("sweep") or "+".join(sorted(swept)) or "one"
            hydra.sweep.dir = "outputs/sweeps/" + folder_name(f"{name}-{choices.get('data')}")
            pinned.append(f"hydra.sweep.dir={quoted(hydra.sweep.dir)}")
        hydra.overrides.hydra.extend(pinned)
        if hydra.launcher.get("_target_") != _POOL:
            with open_dict(hydra):
                hydra.launcher = {"_target_": _HAND_OVER, "_recursive_": False, "launcher": hydra.launcher}
