"""What all commands share: a Hydra root with a schema, the exit codes, one sentence for errors that a user can mend."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any, Generic, TypeVar
from uuid import uuid4

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError

from audiobag.cli import help, messages, schema  # noqa: A004 - the module
from audiobag.cli.folders import flags_first, name_folders, quote_paths
from audiobag.cli.keys import below_null
from audiobag.cli.options import names_of, options_of
from audiobag.cli.streams import survive_closed_streams
from audiobag.sweep import outcome
from audiobag.sweep.child import PARENT, die_with_parent
from audiobag.sweep.search import nothing_complete
from audiobag.training import interruption
from audiobag.utils.configs import resolved
from audiobag.utils.errors import ExitCode, InputError, Interrupted, causes
from audiobag.utils.files import folder_or_temporary
from audiobag.utils.processes import environment
from hydra_plugins.audiobag_launcher import (
    HandOverLauncher,
    PoolLauncher,
    SlurmLauncher,
    WorkingDirectorySearchPath,
)

T = TypeVar("T")
_TRACEBACK = "AUDIOBAG_TRACEBACK"
_FULL_ERROR = "HYDRA_FULL_ERROR"
_WANDB_SWEEP = "--wandb-sweep"
_REMEDY = "use the options that it was started with, or choose another folder: {}=..."

# Run directories that are named by the second alone collide.
OmegaConf.register_new_resolver("unique", lambda: uuid4().hex[:6], use_cache=True, replace=True)

# A command that writes its results elsewhere also works where the working directory cannot be written to.
OmegaConf.register_new_resolver(
    "log_folder", lambda folder, out="elsewhere": folder if out is None else folder_or_temporary(folder), replace=True
)


@dataclass(frozen=True, slots=True)
class Invocation(Generic[T]):
    """What a command was called with.

    Attributes:
        options: of the command.
        composed: the configuration as Hydra composed it, without Hydra's own part and with its references.
        config: the same configuration, resolved, in plain containers. It is resolved once, since a resolver may answer
            with something else each time.
    """

    options: T
    composed: DictConfig
    config: dict[str, Any]


def command(root: str, run: Callable[[Invocation[Any]], object], named: str | None = None) -> Callable[[], None]:
    """Return a command's `main`.

    Args:
        root: name of the root configuration, `train` for conf/train.yaml.
        run: does the work.
        named: key of the paths that may be given without a key; None for none.
    """

    def task(config: DictConfig) -> object:
        return guarded(root, run, config)

    schema.register(root)
    # Hydra finds plugins by itself in a wheel, and not in an editable install.
    for plugin in (PoolLauncher, SlurmLauncher, HandOverLauncher, WorkingDirectorySearchPath):
        Plugins.instance().register(plugin)
    main = hydra.main(config_path="pkg://audiobag.conf", config_name=root, version_base="1.3")(task)

    def entry() -> None:
        survive_closed_streams()
        interruption.install()
        die_with_parent()
        arguments = sys.argv[1:] if named is None else name_folders(sys.argv[1:], named)
        sys.argv[1:] = arguments = quote_paths(flags_first(arguments))
        if "--version" in arguments:
            sys.stdout.write(f"audiobag {version('audiobag')}\n")
            return
        try:
            with _hydra_raises():
                _refuse_options(arguments)
                _refuse_flags(root, arguments)
                overrides = [a for a in arguments if not a.startswith("-")]
                if help.wanted(arguments):
                    help.show(root, overrides)
                elif _WANDB_SWEEP in arguments and root == "train":
                    from audiobag.cli import wandb_sweep  # imports torch

                    wandb_sweep.show(root, overrides)
                else:
                    main()
        except Exception as error:
            if outcome.failed and nothing_complete(error):
                _say("no trial of the search is complete: mend what made the jobs fail, and give the same command")
                raise SystemExit(ExitCode.SOME_JOBS_FAILED) from None
            code = _report(_refusal(error, arguments, _defaults(root)), _defaults(root))
            # What a launcher raises under -m is a job of its own that failed.
            failed = code == ExitCode.CRASH and outcome.multirun
            raise SystemExit(ExitCode.SOME_JOBS_FAILED if failed else code) from None
        finally:
            os.environ.pop(PARENT, None)  # processes that are started from now on are not the command's
        if outcome.failed:
            raise SystemExit(ExitCode.SOME_JOBS_FAILED)

    return entry


def run_directory() -> str:
    """Return this run's own folder, wherever Hydra was told to put it."""
    return str(HydraConfig.get().runtime.output_dir)


def _refuse_options(arguments: list[str]) -> None:
    """Refuse `group=null`, on which Hydra crashes, several options for one component, and folders without a name."""
    for argument in arguments:
        group, _, chosen = argument.lstrip("+").partition("=")
        if group in messages.ONE_COMPONENT and chosen.startswith("[") and "," in chosen:
            raise InputError(
                f"{argument} has several options, expected one: {group}={chosen[1:-1]} with -m runs a job with each"
            )
        if group in ("hydra.run.dir", "hydra.sweep.dir") and not chosen:
            raise InputError(f"{argument} has no value and needs a folder, such as {group}=outputs/mine")
        if "null" in chosen.split(",") and files("audiobag.conf").joinpath(group.partition("@")[0]).is_dir():
            raise InputError(
                f"{argument}; expected an option of that group: --help lists them, {group}=[] is none, or leave"
                f" {group}= out"
            )


def _refuse_flags(root: str, arguments: list[str]) -> None:
    """Refuse `--key=value` and `--key value`."""
    for argument in arguments:
        key, _, value = argument.lstrip("-").partition("=")
        if argument.startswith("--") and key.split(".")[0] in names_of(root):
            raise InputError(f"{argument} is not a flag: options have no dashes, so write {key}={value or '...'}")


def _refusal(error: Exception, arguments: list[str], config: dict[str, Any]) -> Exception:
    """Return an error for the user in place of Hydra's about `a.b=value`, where `a` is null or of the swept options."""
    if any(argument in ("-m", "--multirun") or argument.startswith("sweep=") for argument in arguments):
        error = _for_swept_options(error, arguments, config)
    for argument in arguments if isinstance(error, AssertionError) else []:
        if (sentence := below_null(argument, config)) is not None:
            return InputError(sentence)
    return error


def _for_swept_options(error: Exception, arguments: list[str], config: dict[str, Any]) -> Exception:
    """Return an error that says how to give a key of the swept options, which Hydra does not know before the jobs."""
    unknown = [str(one.full_key) for one in causes(error) if isinstance(one, ConfigKeyError | ConfigAttributeError)]
    for argument in arguments:
        key, _, value = argument.partition("=")
        if not value or key not in unknown or key.startswith("hydra."):
            continue
        if (sentence := messages.message(error, config, "")) is not None:
            return InputError(f"{sentence}; if the swept options have it, write '{key}=choice({value})'")
    return error


def _hydra_raises() -> AbstractContextManager[None]:
    """Have Hydra raise its errors, which it otherwise prints and turns into exit code 1.

    The variable that does so is the user's way to ask for tracebacks too, and child processes inherit it: what the
    user asked for is kept in a variable of our own.
    """
    asked = os.environ.get(_TRACEBACK, "1" if os.environ.get(_FULL_ERROR) == "1" else "0")
    return environment({_FULL_ERROR: "1", _TRACEBACK: asked})


def guarded(root: str, run: Callable[[Invocation[Any]], object], config: DictConfig) -> object:
    """Run the work of a command; whatever ends it becomes an exit code.

    The exit code travels as SystemExit, which Hydra and its launchers let pass.
    """
    with exit_codes(config):
        plain = resolved(config)
        return run(Invocation(options_of(root, config, plain), config, plain))


@contextmanager
def exit_codes(config: DictConfig) -> Iterator[None]:
    """Turn whatever ends the work of a command into an exit code, after a sentence for the user.

    Args:
        config: of the command, in which the key of a refused argument is looked up.
    """
    interruption.begin()
    try:
        yield
    except Interrupted as error:
        # The process that started this rank reports the interruption, and takes a non-zero exit code for a crash.
        started_by_a_rank = os.environ.get("LOCAL_RANK", "0") != "0"
        if not started_by_a_rank:
            how = str(error) or f"continue with the same command and hydra.run.dir={run_directory()}"
            _say(f"interrupted; {how}")
        raise SystemExit(ExitCode.DONE if started_by_a_rank else ExitCode.INTERRUPTED) from None
    except interruption.Stopped:
        _say("interrupted; give the same command again")
        raise SystemExit(ExitCode.INTERRUPTED) from None
    except Exception as error:
        raise SystemExit(_report(error, OmegaConf.to_container(config))) from None


@cache
def _defaults(root: str) -> dict[str, Any]:
    """Return a root configuration without overrides, with Hydra's own part, for the keys that it has."""
    with suppress(Exception), hydra.initialize_config_module("audiobag.conf", version_base="1.3"):
        plain: Any = OmegaConf.to_container(hydra.compose(root, return_hydra_config=True))
        return {str(key): value for key, value in plain.items()}
    return {}


def _report(error: Exception, config: Any) -> int:
    """Print what ended the command and return its exit code."""
    remedy = _REMEDY.format("hydra.sweep.dir" if outcome.multirun else "hydra.run.dir")
    sentence = messages.message(error, config, remedy)
    if sentence is None or os.environ.get(_TRACEBACK, os.environ.get(_FULL_ERROR)) == "1":
        traceback.print_exception(error)
    if sentence is not None:
        logging.getLogger(__name__).debug("refused", exc_info=error)
        _say(sentence)
        return ExitCode.USER
    return ExitCode.CRASH


def _say(sentence: str) -> None:
    sys.stderr.write(f"audiobag: {sentence}\n")
