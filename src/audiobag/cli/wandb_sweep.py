"""`audiobag-train --wandb-sweep ...`: a search of Hydra as the YAML of a W&B sweep, for `wandb sweep` and the agent.

Each run of the agent is one `audiobag-train` with the values that W&B has drawn. Its folder has the id of the W&B run,
so a run that was preempted and is given out again continues there.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException
from omegaconf import OmegaConf

from audiobag.sweep.naming import folder_name, is_search
from audiobag.tracking.wandb import OBJECTIVE
from audiobag.utils.errors import InputError


def show(root: str, overrides: Sequence[str]) -> None:
    """Print the YAML.

    Raises:
        ValueError: nothing is searched, or an agent cannot hand over one of the values.
    """
    given = OverridesParser.create().parse_overrides(list(overrides))
    swept = [override for override in given if override.is_sweep_override()]
    constant = [str(override.input_line) for override in given if not override.is_sweep_override()]
    with hydra.initialize_config_module("audiobag.conf", version_base="1.3"):
        config = hydra.compose(root, constant, return_hydra_config=True)
    choices, sweeper = config.hydra.runtime.choices, config.hydra.sweeper
    own = [override.key_or_group for override in given]
    preset = {key: value for key, value in (sweeper.get("params") or {}).items() if key not in own}
    parameters = {override.key_or_group: _parameter(override) for override in swept}
    parameters |= {key: _parameter(_parsed(key, value)) for key, value in preset.items()}
    if not parameters:
        raise InputError("--wandb-sweep needs something to search: add sweep=search_attention, or key=value1,value2")
    name = folder_name(f"{choices.get('sweep') or '+'.join(sorted(parameters))}-{choices.get('data')}")
    content: dict[str, Any] = {
        "name": name,
        "program": "audiobag-train",
        "method": "bayes" if is_search(config.hydra) else "grid",
        # The final val/mAP; W&B keeps the best and the last one of the curve under val/mAP itself.
        "metric": {"name": OBJECTIVE, "goal": "maximize"},
        **({"run_cap": int(sweeper.n_trials)} if sweeper.get("n_trials") else {}),
        "parameters": parameters,
        "command": [
            "${env}",
            "audiobag-train",
            "${args_no_hyphens}",
            *constant,
            *(["hydra.mode=RUN"] if choices.get("sweep") else []),
            *([] if any(one.startswith("logger=") for one in constant) else ["logger=wandb"]),
            f"logger.wandb.group={name}",
            f"hydra.run.dir={Path('outputs/sweeps', name)}/${{oc.env:WANDB_RUN_ID}}",
        ],
    }
    # The references are W&B's and the run's, and must not be resolved here.
    text = OmegaConf.to_yaml(OmegaConf.create(content))
    sys.stdout.write(
        "# wandb sweep FILE prints the id of the sweep; wandb agent --forward-signals ID runs it, on any number of"
        f" machines.\n{text}"
    )


def _parsed(key: str, value: Any) -> Override:
    try:
        override: Override = OverridesParser.create().parse_override(f"{key}={value}")
    except HydraException as error:
        raise InputError(f"{key}={value} cannot be read as values to search") from error
    return override


def _parameter(override: Override) -> dict[str, Any]:
    """Return W&B's form of the values of a key."""
    key, value = override.key_or_group, override.value()
    if isinstance(value, IntervalSweep):
        log, whole = "log" in value.tags, {type(value.start), type(value.end)} == {int}
        if whole and not log:
            return {"distribution": "int_uniform", "min": value.start, "max": value.end}
        ends = {"min": float(value.start or 0), "max": float(value.end or 0)}
        return {"distribution": ("q_" if whole else "") + ("log_uniform_values" if log else "uniform"), **ends}
    if isinstance(value, ChoiceSweep | RangeSweep):
        return {"values": [_element(key, one) for one in override.sweep_iterator()]}
    return {"value": _element(key, value)}


def _element(key: str, value: Any) -> Any:
    """Return a value that an agent hands over as it is: as text after `key=`."""
    plain = getattr(value, "text", value)  # Hydra's own class for quoted texts
    if plain is None or not isinstance(plain, str | int | float | bool):
        raise InputError(f"{key} cannot be {plain} in a sweep of W&B, whose agent hands over numbers and words alone")
    if isinstance(plain, str) and _parsed(key, plain).value() != plain:
        raise InputError(f"{key} cannot be {plain!r} in a sweep of W&B, whose agent sets no quotes: use plain words")
    return plain
