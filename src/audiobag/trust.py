"""Building what a configuration from a stranger's file names, without running the stranger's code.

A checkpoint or an exported model brings its configuration along, and a configuration names classes. Hydra's own
`instantiate` calls whatever is named; what users compose on their own command line is theirs, what comes inside a
file is not.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from audiobag.errors import UserError
from audiobag.values import listed

_TRUSTED = ("audiobag", "torch")
_LARGEST = 10_000_000  # no width, depth or number of steps in a model comes near it
_FREE = 2**24  # numbers of a model that nobody's memory minds
_KINDS = (nn.Module, Optimizer, LRScheduler)


def instantiate_trusted(config: Mapping[str, Any], *, allow: Sequence[str] = (), **arguments: Any) -> Any:
    """Build what `config` describes: `_target_`, its arguments, and `_partial_` for a factory instead of an object.

    A target must be a class derived from nn.Module, Optimizer or LRScheduler, defined in audiobag, torch or a package
    of `allow`; what decides is where the class was defined, not under which name it can be reached. Nothing outside
    of these packages is imported.

    Args:
        config: in plain containers; arguments may be such configurations themselves.
        allow: a further package or several, whose code the user trusts.
        arguments: further ones for the outermost target.

    Raises:
        UserError: names what is refused, or what the class does not take.
    """
    own = {k: v for k, v in config.items() if k not in ("_target_", "_partial_")}
    if strange := [k for k in own if str(k).startswith("_")]:
        raise UserError(f"the file's configuration uses {strange[0]}, which is refused: expected plain arguments")
    built = {str(k): _value(v, allow) for k, v in own.items()} | arguments
    target = config.get("_target_")
    kind = _resolve(target, (*_TRUSTED, *map(str, listed(allow))))
    factory = functools.partial(kind, **built)
    if config.get("_partial_"):
        return factory
    try:
        return factory()
    except (TypeError, ValueError) as error:
        raise UserError(f"{target} of the file's configuration cannot be built ({error})") from error


def check_size(path: Path, build: Callable[[], nn.Module], state: Mapping[str, Tensor]) -> None:
    """Refuse a configuration whose model is larger than the weights that came with it, before it takes memory.

    Weights count as large as the memory they came with: a tensor that repeats one number can claim any size too.

    Args:
        path: of the file, for the message.
        build: makes the model; called where tensors have a shape and no content.
        state: the weights.

    Raises:
        UserError: says by how much.
    """
    with torch.device("meta"):
        claimed = sum(x.numel() for x in build().state_dict().values())
    there = sum(min(x.numel(), x.untyped_storage().nbytes() // x.element_size()) for x in state.values())
    if claimed > max(there, _FREE):
        raise UserError(
            f"the configuration in {path} describes a model of {claimed:,} numbers, its weights are {there:,}"
        )


def _value(value: Any, allow: Sequence[str]) -> Any:
    if isinstance(value, Mapping):
        if "_target_" in value:
            return instantiate_trusted(value, allow=allow)
        return {k: _value(v, allow) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_value(v, allow) for v in value]
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise UserError(f"the file's configuration asks for {value:,}, which is refused: {_LARGEST:,} is the most")
    return value


def _resolve(target: object, packages: Sequence[str]) -> type:
    if not isinstance(target, str) or not _within(target, packages):
        raise _refusal(target, packages)
    # Importing runs code: a module is imported only where its name lies in a package that is trusted.
    found: Any = _module(target.split(".")[0], target, packages)
    path = target.split(".")[0]
    for name in target.split(".")[1:]:
        path = f"{path}.{name}"
        if isinstance(found, ModuleType) and not hasattr(found, name):
            found = _module(path, target, packages)
        else:
            found = getattr(found, name, None)
    if not isinstance(found, type) or not issubclass(found, _KINDS) or not _within(found.__module__, packages):
        raise _refusal(target, packages)
    return found


def _module(name: str, target: str, packages: Sequence[str]) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise _refusal(target, packages) from error


def _within(name: str, packages: Sequence[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def _refusal(target: object, packages: Sequence[str]) -> UserError:
    return UserError(
        f"the file's configuration names {target!r}; expected a class of modules, optimisers or schedules from"
        f" {', '.join(packages)}: if you trust the package it comes from, add it to allow=[...]"
    )
