"""Configurations of runs of audiobag 0.1, which have `.hydra/` and no config.json.

The files may come from other people. They are read as plain YAML; resolvers (`${name:...}`), which could read the
environment, are not called; nesting and repetition are limited, since a few lines can otherwise fill any memory.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from yaml import YAMLError

from audiobag.utils.configs import flatten
from audiobag.utils.errors import InputError
from audiobag.utils.files import read_json

_REFERENCE: Final = re.compile(r"\$\{([^${}]*)\}")
_YAML: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C parser, if PyYAML was built with it
_DEEPEST: Final = 100  # the C parser crashes on deep nesting
_LARGEST: Final = 10_000_000  # letters, and 100 for each value


def read_first_version(folder: Path) -> dict[str, Any]:
    """Return the configuration of a run, as fields of `RunConfig` with the keys of the first schema.

    Resolvers give None, except for `${hydra:...}`, whose values are in hydra.yaml.

    Raises:
        ValueError: a file is missing, damaged, or too large when it is resolved.
    """
    source = folder / ".hydra"
    try:
        own, hydra = _load_yaml(source / "config.yaml", dict), _load_yaml(source / "hydra.yaml", dict)
        resolve = _Resolver({**own, **hydra})
        config = {str(key): resolve(value) for key, value in own.items()}
        overrides = source / "overrides.yaml"
        given = _load_yaml(overrides, list) if overrides.is_file() else []
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, YAMLError) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(f"{folder} does not hold a run's configuration ({reason})") from error
    return {
        "config": config,
        "overrides": [str(one) for one in given],
        "choices": read_json(folder / "metrics.json").get("choices"),
        "follows_seed": ["seed", *(key for key, value in flatten(own).items() if value == "${seed}")],
        "threads": read_json(folder / "run.json").get("threads"),
    }


def _load_yaml(path: Path, kind: type) -> Any:
    text = path.read_text(encoding="utf-8")
    depth = 0
    for event in yaml.parse(text, _YAML):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"{path.name} repeats parts of itself by reference")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise ValueError(f"{path.name} is nested too deeply")
    content = yaml.load(text, _YAML)
    if not isinstance(content, kind):
        raise TypeError(f"{path.name} is not a {kind.__name__}")
    return content


class _Resolver:
    """Replaces references by the values that they refer to."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root = root
        self.left = _LARGEST

    def __call__(self, value: Any, open_keys: tuple[str, ...] = ()) -> Any:
        self.left -= 100 + (len(value) if isinstance(value, str) else 0)
        if self.left < 0:
            raise ValueError("it repeats parts of itself by reference")
        if isinstance(value, Mapping):
            return {str(k): self(v, open_keys) for k, v in value.items()}
        if isinstance(value, list):
            return [self(v, open_keys) for v in value]
        if not isinstance(value, str):
            return value
        if whole := _REFERENCE.fullmatch(value):
            return self._referred(whole[1], open_keys)
        return _REFERENCE.sub(lambda match: str(self._referred(match[1], open_keys)), value)

    def _referred(self, reference: str, open_keys: tuple[str, ...]) -> Any:
        key = reference.replace("hydra:", "hydra.", 1) if reference.startswith("hydra:") else reference
        if ":" in key:
            return None
        if key in open_keys:
            raise ValueError(f"{key} refers to itself")
        node: Any = self.root
        for part in key.split("."):
            node = node[part]
        return self(node, (*open_keys, key))
