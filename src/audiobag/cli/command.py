"""What all commands share: a Hydra root, the exit codes, one sentence for the user's mistakes."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable
from importlib.resources import files
from typing import Any
from uuid import uuid4

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from audiobag import interruption
from audiobag.errors import ExitCode, Interrupted, UserError
from audiobag.sweep import some_failed
from audiobag.sweep.child import PARENT, die_with_parent
from hydra_plugins.audiobag_launcher import PoolLauncher

# Hydra copies this singleton, which it only reads, for every configuration group that --help lists.
setattr(ConfigStore, "__deepcopy__", lambda self, memo: self)  # noqa: B010 - it has no such attribute to assign to
# Run directories named by the second alone collide.
OmegaConf.register_new_resolver("unique", lambda: uuid4().hex[:6], use_cache=True, replace=True)


def command(root: str, run: Callable[[dict[str, Any]], object]) -> Callable[[], None]:
    """Return a command's `main`.

    Args:
        root: the root configuration, `train` for conf/train.yaml.
        run: does the work, given the resolved configuration in plain containers.
    """

    def task(config: DictConfig) -> object:
        return _guarded(run, config)

    Plugins.instance().register(PoolLauncher)  # Hydra finds it by itself in a wheel, not in an editable install
    main = hydra.main(config_path="pkg://audiobag.conf", config_name=root, version_base="1.3")(task)

    def entry() -> None:
        interruption.install()
        die_with_parent()
        _refuse_no_option(sys.argv[1:])
        try:
            main()
        except SystemExit as end:
            raise SystemExit(_hydras_exit_code(end)) from None
        finally:
            os.environ.pop(PARENT, None)  # what this process starts from now on is not the command's
        if some_failed:
            raise SystemExit(ExitCode.SOME_JOBS_FAILED)

    return entry


def run_directory() -> str:
    """Return this run's own folder, wherever Hydra was told to put it."""
    return str(HydraConfig.get().runtime.output_dir)


def choices() -> dict[str, str]:
    """Return the option chosen of each configuration group, Hydra's own left out."""
    return {k: v for k, v in HydraConfig.get().runtime.choices.items() if "/" not in k and v and "hydra" not in k}


def _refuse_no_option(arguments: list[str]) -> None:
    """Refuse `group=null`, with which Hydra ends in a traceback."""
    for argument in arguments:
        group, _, options = argument.lstrip("+").partition("=")
        if "null" in options.split(",") and files("audiobag.conf").joinpath(group.partition("@")[0]).is_dir():
            _say(f"{argument}; expected an option of that group, --help lists them, or leave {group}= out")
            raise SystemExit(ExitCode.USER)


def _hydras_exit_code(end: SystemExit) -> int | str | None:
    """Return the exit code for what ended the command outside of its work, by the exception Hydra reported."""
    reported = end.__context__
    if end.code != 1 or reported is None:
        return end.code
    if isinstance(reported, hydra.errors.HydraException | OmegaConfBaseException):
        return ExitCode.USER  # it refuses an override, an option or a file
    # What else Hydra reports comes from a launcher: a job of its own that failed.
    return ExitCode.SOME_JOBS_FAILED if {"-m", "--multirun"} & set(sys.argv) else ExitCode.CRASH


def _guarded(run: Callable[[dict[str, Any]], object], config: DictConfig) -> object:
    """Run, and end the process with the exit code of whatever went wrong.

    By SystemExit, which Hydra lets pass: any exception would become exit code 1.
    """
    interruption.begin()
    try:
        return run(_plain(config))
    except Interrupted:
        # A rank that another process started leaves the verdict to that one, which would take it for a crash.
        started_by_a_rank = os.environ.get("LOCAL_RANK", "0") != "0"
        if not started_by_a_rank:
            _say(f"interrupted; continue with the same command and hydra.run.dir={run_directory()}")
        raise SystemExit(ExitCode.DONE if started_by_a_rank else ExitCode.INTERRUPTED) from None
    except Exception as error:
        mistake = _users_mistake(error)
        if mistake is None or os.environ.get("HYDRA_FULL_ERROR") == "1":
            traceback.print_exc()
        if mistake is None:
            raise SystemExit(ExitCode.CRASH) from None
        logging.getLogger(__name__).debug("refused", exc_info=error)
        _say(mistake)
        raise SystemExit(ExitCode.USER) from None


def _plain(config: DictConfig) -> dict[str, Any]:
    plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(plain, dict)
    return {str(k): v for k, v in plain.items()}


def _users_mistake(error: BaseException) -> str | None:
    """Return the sentence for an error that is the user's, None for one that is ours.

    Hydra wraps what a constructor raises, so the chain of causes is searched.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, UserError):
            return str(cause)
        if isinstance(cause, MissingMandatoryValue):
            return f"{cause.full_key} has no value and needs one: add {cause.full_key}=...; --help says what it takes"
        if isinstance(cause, OmegaConfBaseException):
            return f"{cause.full_key}: {str(cause).splitlines()[0]}" if cause.full_key else str(cause)
        cause = cause.__cause__
    if isinstance(error, hydra.errors.HydraException):
        return str(error).replace("\n", " ")
    return None


def _say(sentence: str) -> None:
    sys.stderr.write(f"audiobag: {sentence}\n")
