"""Build the classes that a checkpoint or an exported model names, without running code that the file brings.

Hydra's `instantiate` calls any function that is named. That is right for what users compose on their own command line,
and unsafe for the configuration inside a file.
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
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from audiobag.model import BagClassifier, build_model
from audiobag.utils.errors import InputError
from audiobag.utils.values import listed

_TRUSTED = ("audiobag", "torch")
_LARGEST = 10_000_000  # far above any width, depth or number of steps in a model
_FREE = 2**24  # a model of so many numbers fits into any memory
_KINDS = (nn.Module, Optimizer, LRScheduler)


def safe_instantiate(config: Mapping[str, Any], *, allow: Sequence[str] = (), **arguments: Any) -> Any:
    """Build the object that `config` describes.

    The target must be a class derived from nn.Module, Optimizer or LRScheduler and defined in audiobag, torch or a
    package of `allow`. The package that defines the class decides, not the name under which it is reached. No module
    outside these packages is imported.

    Args:
        config: `_target_`, its arguments and, to return a factory instead of an object, `_partial_: true`. Arguments
            may be such configurations themselves.
        allow: a further package or several, whose code the user trusts.
        arguments: further arguments of the outermost target.

    Raises:
        ValueError: a class is refused, or does not accept its arguments.
    """
    own = {k: v for k, v in config.items() if k not in ("_target_", "_partial_")}
    if refused := [k for k in own if str(k).startswith("_")]:
        raise InputError(f"the file's configuration uses {refused[0]}, which is refused: expected plain arguments")
    built = {str(k): _value(v, allow) for k, v in {**own, **arguments}.items()}
    target = config.get("_target_")
    kind = _resolve(target, (*_TRUSTED, *map(str, listed(allow))))
    factory = functools.partial(kind, **built)
    if config.get("_partial_"):
        return factory
    try:
        return factory()
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{target} of the file's configuration cannot be built ({error})") from error


def restore_model(
    path: Path,
    embedding: Mapping[str, Any],
    pooling: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    *,
    dim: int,
    classes: int,
    scale: float,
    offset: float,
    allow: Sequence[str] = (),
) -> BagClassifier:
    """Build the model that a file describes and load the file's weights into it.

    Raises:
        ValueError: a class is refused, or the weights do not fit the model.
    """
    build = functools.partial(
        build_model,
        functools.partial(safe_instantiate, embedding, allow=allow),
        functools.partial(safe_instantiate, pooling, allow=allow),
        dim=dim,
        classes=classes,
        scale=scale,
        offset=offset,
    )
    try:
        _check_size(path, build, weights)
        model = build()
        model.load_state_dict(weights)
    except RecursionError as error:
        raise InputError(f"the configuration in {path} is nested too deeply") from error
    except RuntimeError as error:
        first = str(error).splitlines()[1:2] or [str(error)]
        raise InputError(f"{path}: its weights do not fit the model that it describes ({first[0].strip()})") from error
    return model


def _check_size(path: Path, build: Callable[[], nn.Module], weights: Mapping[str, Tensor]) -> None:
    """Refuse a configuration whose model is larger than the weights that came with it, before it takes memory.

    Weights count as large as the memory they occupy, since a tensor that repeats one number can claim any size.
    """
    most = 2 * len(weights) + 100
    count = 0

    def refuse_many(module: nn.Module, name: str, parameter: Tensor) -> None:
        nonlocal count
        count += 1
        if count > most:  # a depth of millions takes memory even where tensors take none
            raise InputError(f"it has more than {most} parameters, its file holds {len(weights)}")

    with torch.device("meta"), register_module_parameter_registration_hook(refuse_many):
        claimed = sum(x.numel() for x in build().state_dict().values())
    there = sum(min(x.numel(), x.untyped_storage().nbytes() // x.element_size()) for x in weights.values())
    if claimed > max(there, _FREE):
        raise InputError(
            f"the configuration in {path} describes a model of {claimed:,} numbers, its weights are {there:,}"
        )


def _value(value: Any, allow: Sequence[str]) -> Any:
    if isinstance(value, Mapping):
        if "_target_" in value:
            return safe_instantiate(value, allow=allow)
        return {k: _value(v, allow) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_value(v, allow) for v in value]
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise InputError(f"the file's configuration asks for {value:,}, which is refused: {_LARGEST:,} is the most")
    return value


def _resolve(target: object, packages: Sequence[str]) -> type:
    if not isinstance(target, str) or not _within(target, packages):
        raise _refusal(target, packages)
    # Importing runs code: a module is imported only if its name lies in a trusted package.
    first, *names = target.split(".")
    path, found = first, _module(first, target, packages)
    for name in names:
        path = f"{path}.{name}"
        if isinstance(found, ModuleType) and not hasattr(found, name):
            found = _module(path, target, packages)
        else:
            found = getattr(found, name, None)
    if not isinstance(found, type) or not issubclass(found, _KINDS) or not _within(found.__module__, packages):
        raise _refusal(target, packages)
    return found


def _module(name: str, target: str, packages: Sequence[str]) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise _refusal(target, packages) from error


def _within(name: str, packages: Sequence[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def _refusal(target: object, packages: Sequence[str]) -> InputError:
    return InputError(
        f"the file's configuration names {target!r}; expected a class of modules, optimizers or schedulers from"
        f" {', '.join(packages)}: if you trust the package it comes from, add it to allow=[...]"
    )
