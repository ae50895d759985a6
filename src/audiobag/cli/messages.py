"""One sentence for each error that a user can mend: the key, what was found, what was expected, what to do."""

from __future__ import annotations

import errno
import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.errors import HydraException, InstantiationException, OverrideParseException
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from audiobag.cli.keys import RENAMED, missing_key
from audiobag.cli.schema import KEYWORDS
from audiobag.runs import OtherConfigurationError
from audiobag.utils.configs import flatten, quoted
from audiobag.utils.errors import InputError, causes
from audiobag.utils.files import check_writable

ONE_COMPONENT = ("data", "sampler", "embedding", "pooling", "loss", "optimizer", "lr_scheduler", "encoder")
"""Groups of which one option is chosen."""
# What the operating system says of a path that the user has to change.
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP}
_FULL = {errno.ENOSPC, errno.EDQUOT}
# Options of Hydra's plugins, the package of each, and what installs it.
_PLUGINS = {
    "hydra/sweeper/optuna": ("hydra-optuna-sweeper", "'audiobag[optuna]'"),
    "hydra/launcher/ray": ("hydra-ray-launcher", "'audiobag[ray]'"),
    "hydra/launcher/submitit": (
        "hydra-submitit-launcher",
        "hydra-submitit-launcher, or use hydra/launcher=slurm_gpu",
    ),
}
_FULL_KEY = re.compile(r"full_key: (\S+)")
_KEY = re.compile(r"[~+]{0,2}[\w./@:-]+", re.ASCII)
_IN_ROOT = re.compile(r"^In '\w+': ")
_OPTIONS = re.compile(r"'([^']+)' Available options in '([^']+)': ")
_NOT_LOADED = re.compile(r"Could not load '([^']+)'\.?")
_AMBIGUOUS = re.compile(r"Ambiguous value for argument '((.+?)=(.*))'")
_REFERENCE = re.compile(r"\$\{([\w.]+)\}")
_ENVIRONMENT = re.compile(r"\$\{oc\.env:.*\}")
_UNEXPECTED = re.compile(r"(\w+)(?:\.__init__)?\(\) got an unexpected keyword argument '(\w+)'")
_OTHER = re.compile(r"(?<![.\w])(\w+)=")
_ARGUMENT = re.compile(r"(\w+)(?:\[\d+\])? (?:must|needs|has|have|cannot|reaches)\b")


def message(error: BaseException, config: Mapping[str, Any], remedy: str) -> str | None:
    """Return the sentence for an error that the user can mend; None for a crash.

    Args:
        error: what ended the command.
        config: the composed configuration, in which the key of a refused argument is looked up.
        remedy: what to do where another configuration is in the run's folder.
    """
    for cause in causes(error):
        if isinstance(cause, OtherConfigurationError):
            return f"{cause}; {remedy}"
        if isinstance(cause, InputError):
            return _with_hint(with_key(str(cause), config), config)
        if isinstance(cause, MissingMandatoryValue):
            return f"{cause.full_key} has no value and needs one: add {cause.full_key}=...; --help says what it takes"
        if isinstance(cause, OmegaConfBaseException):
            return _omegaconf(cause, config)
        if isinstance(cause, OSError) and cause.filename and _is_refused(cause):
            path = Path(cause.filename).absolute()
            return f"{path} cannot be used ({cause.strerror}): choose another path, or change its permissions"
        if _is_full(cause):
            return "no space is left to write to: free some, or choose another path, and give the same command again"
    if isinstance(error, OverrideParseException):
        return _unreadable(error, config)
    if isinstance(error, HydraException):
        if (missing := _missing_extra(str(error))) is not None:
            return missing
        if values := _AMBIGUOUS.match(str(error)):
            a_list = "" if values[2] in ONE_COMPONENT else f"write {values[2]}=[{values[3]}] for a list, or "
            return f"{values[1]} has several values: {a_list}add -m for one job each"
        text = _IN_ROOT.sub("", " ".join(str(error).partition("Config search path")[0].split()))
        text = _OPTIONS.sub(r"'\1': \2 has ", text)
        return _renamed(_NOT_LOADED.sub(r"Could not find '\1': --help lists the options", text))
    return None


def _missing_extra(text: str) -> str | None:
    """Return the sentence for an option of a plugin that is not installed; None if the text is about something else."""
    for option, (package, extra) in _PLUGINS.items():
        if re.search(rf"Could not (?:find|load) '{option}", text):
            group, _, name = option.rpartition("/")
            return f"{group}={name} needs {package}, which is not installed: pip install {extra}"
    return None


def component_error(key: str, config: Any, error: InstantiationException) -> InputError:
    """Return what is wrong with a component: its constructor's own words, with the component's key."""
    inner = _FULL_KEY.search(str(error))
    path = f"{key}.{inner[1]}" if inner else key
    chain = list(causes(error))
    cause = next((one for one in chain if isinstance(one, InputError)), chain[-1])
    text = " ".join(str(cause).split())

    def whole(argument: str) -> str:
        """Return the key of an argument, which may be that of a part: Hydra does not say so of a partial one."""
        keys = _keys_of(argument, flatten(config))
        return f"{key}.{keys[0]}" if len(keys) == 1 else f"{path}.{argument}"

    if argument := _ARGUMENT.match(text):
        return InputError(whole(argument[1]) + text.removeprefix(argument[1]))
    if unexpected := _UNEXPECTED.search(text):
        return InputError(f"{whole(unexpected[2])} is not an argument of {unexpected[1]}: --help lists the usual ones")
    return InputError(text if isinstance(cause, InputError) else f"{path}: {text}")


def _keys_of(argument: str, values: Mapping[str, Any]) -> list[str]:
    """Return the dotted keys that end in the name of an argument."""
    return [key for key in values if key.rpartition(".")[2] == argument]


def with_key(text: str, config: Mapping[str, Any]) -> str:
    """Return a message that starts with the name of an argument with the whole key of that argument instead.

    Only where exactly one key of the configuration ends in that name, or one of them whose value is in the message.
    Other arguments of the same component, written `name=value`, are replaced by their keys too, or by the keys that
    they refer to.
    """
    for key, attribute in KEYWORDS.items():
        if key in config:
            text = re.sub(rf"\b{attribute}\b", key, text)
    argument = _ARGUMENT.match(text)
    # The group `paths` is not an argument of anything.
    if argument is None or (argument[1] in config and argument[1] != "paths"):
        return text
    values = flatten(config)
    keys = _keys_of(argument[1], values)
    if len(keys) > 1:
        keys = [key for key in keys if isinstance(values[key], str) and values[key].rpartition("}")[2] in text]
    if len(keys) != 1:
        return text
    parent = keys[0].removesuffix(argument[1])

    def whole(other: re.Match[str]) -> str:
        key = f"{parent}{other[1]}"
        reference = _REFERENCE.fullmatch(str(values.get(key)))
        return f"{reference[1] if reference else key if key in values else other[1]}="

    return keys[0] + _OTHER.sub(whole, text.removeprefix(argument[1]))


def _is_refused(error: OSError) -> bool:
    """Return whether the path cannot be used. In a folder that takes no files, as in /proc, a new one is "missing"."""
    if error.errno != errno.ENOENT:
        return error.errno in _REFUSED
    try:
        check_writable(Path(error.filename).absolute().parent)
    except InputError:
        return True
    return False


def _is_full(error: BaseException) -> bool:
    """Return whether a disk or a quota is full. HDF5 and torch say so in an error of their own."""
    known = isinstance(error, OSError) and error.errno in _FULL
    return known or any(os.strerror(number) in str(error) for number in _FULL)


def _unreadable(error: OverrideParseException, config: Mapping[str, Any]) -> str:
    """Return the sentence for an override that Hydra's grammar does not allow, with the same override in quotes."""
    override = error.override
    key, equals, value = override.partition("=")
    if not equals:
        given = next((key for key in ("checkpoint", "source") if key in config and Path(override).exists()), None)
        hint = "--help lists the keys" if given is None else f"write {given}={override}"
        return f"{override} is not an option: expected key=value; {hint}"
    if not _KEY.fullmatch(key):
        return f"{key} is not a key that anything reads: --help lists the keys"
    reason = " ".join(str(error.message).partition("See https://")[0].split())
    # Hydra says no more than the place of the character, or all of the override again.
    reason = reason.removeprefix(f"Error parsing override '{override}'").strip()
    reason = "" if reason.startswith("LexerNoViableAlt") else f" ({reason})"
    if value.startswith("~/"):
        return f'{override} cannot be read{reason}: ~ stays as it is here, so write {key}="$HOME{value[1:]}"'
    plain = not set(value) & set("'\"\\")
    shell = f"""'{key}="{value}"'""" if plain else shlex.quote(f"{key}={quoted(value)}")
    return f"{override} cannot be read{reason}: a text with such characters needs two pairs of quotes, {shell}"


def _with_hint(text: str, config: Mapping[str, Any]) -> str:
    """Add how a number is taken from the environment to a message about a key whose value is text from there."""
    raw = flatten(config)
    key = text.partition(" ")[0]
    value = raw.get(key)
    while isinstance(value, str) and (reference := _REFERENCE.fullmatch(value)) and reference[1] in raw:
        key, value = reference[1], raw.pop(reference[1])
    if isinstance(value, str) and _ENVIRONMENT.fullmatch(value):
        number = f"""'{key}="${{oc.decode:{value}}}"'"""
        return f"{text}; the environment gives text, which oc.decode reads as a number: {number}"
    return text


def _omegaconf(error: OmegaConfBaseException, config: Mapping[str, Any]) -> str:
    first = str(error).splitlines()[0]
    key = error.full_key
    if not key:
        return _renamed(first)
    if first.startswith("Cannot convert 'list'"):
        return f"{key} must be one value, got the list {first.partition(': ')[2][1:-1]}"
    if "is not a ListConfig" in first:
        return f"{key} must be a list: write {key}=[value] or {key}=[value1,value2]"
    return missing_key(str(key), config) if "not in" in first else f"{key}: {first}"


def _renamed(text: str) -> str:
    for old, new in RENAMED.items():
        if f"'{old}" in text or f"'/{old}" in text:
            return f"{text} ({old} is now {new})"
    return text
