"""`--help`, from Hydra's help template.

Hydra copies its whole ConfigStore for each configuration group that its own help lists, which takes over a second.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

import hydra
from omegaconf import OmegaConf, open_dict


def wanted(arguments: Iterable[str]) -> bool:
    """Return whether some arguments ask for help and change nothing about where configurations are found."""
    flags = {argument for argument in arguments if argument.startswith("-")}
    return bool(flags) and flags <= {"-h", "--help"}


def show(root: str, overrides: list[str]) -> None:
    """Print the help of a command."""
    with hydra.initialize_config_module("audiobag.conf", version_base="1.3"):
        config = hydra.compose(root, overrides, return_hydra_config=True)
    template = config.hydra.help.template
    with open_dict(config):
        del config["hydra"]
    text = Template(template).safe_substitute(APP_CONFIG_GROUPS=_groups(), CONFIG=OmegaConf.to_yaml(config))
    sys.stdout.write(text.split("${hydra.help.footer}")[0].rstrip() + "\n")


def _groups() -> str:
    """Return a line a configuration group: those of the package and of `conf/` in the working directory."""
    found: dict[str, set[str]] = {}
    own = Path("conf")
    for top in (files("audiobag.conf"), *([own] if own.is_dir() else [])):
        _collect(top, "", found)
    return "\n".join(f"{name}: {', '.join(sorted(options))}" for name, options in sorted(found.items()))


def _collect(folder: Traversable, group: str, found: dict[str, set[str]]) -> None:
    for entry in folder.iterdir():
        name = entry.name
        if entry.is_dir() and not name.startswith("_"):
            _collect(entry, f"{group}/{name}" if group else name, found)
        elif group and name.endswith(".yaml"):
            found.setdefault(group, set()).add(name.removesuffix(".yaml"))
