"""Searches with Optuna that keep their trials in a storage: the same command continues them."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from hydra.utils import instantiate
from omegaconf import DictConfig

from audiobag.sweep.jobs import only_copy
from audiobag.utils.errors import ExitCode, InputError

_LOG = logging.getLogger(__name__)
_FOLDER = "folder"  # attribute of a study: the folder of the sweep that works on it


class ContinueSearch(Callback):
    """Hydra callback that continues a search where it stopped, if `hydra.sweeper.storage` keeps its trials.

    The study has the name of the sweep's folder, unless the user names it. Of `n_trials`, those that are complete are
    not run again; those that were interrupted or failed are run first, with the same values, so that their jobs
    continue in the same folders. The seed of the sampler grows with the number of earlier trials, since the same seed
    would propose the first trials again.

    A study that another folder works on is left as it is: several sweeps can share a study.
    """

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Prepare the study, and set the number of trials that remain."""
        sweeper, folder = config.hydra.sweeper, Path(config.hydra.sweep.dir).resolve()
        if "study_name" not in sweeper:  # another sweeper
            return
        _quiet()
        if not sweeper.get("storage"):
            return
        sweeper.study_name = sweeper.study_name or folder.name
        try:
            with only_copy(folder):
                complete, asked = _continue(_study(sweeper), folder)
        except InputError as error:  # Hydra would turn what a callback raises into a warning
            sys.stderr.write(f"audiobag: {error}\n")
            raise SystemExit(ExitCode.USER) from None
        if asked:
            _LOG.info("%s: continuing the search, %d of %d trials are complete", folder, complete, sweeper.n_trials)
            sweeper.n_trials = max(0, sweeper.n_trials - complete)
            if isinstance(sweeper.sampler.get("seed"), int):
                sweeper.sampler.seed += asked


def _quiet() -> None:
    """Silence the messages of Optuna and its sweeper about each trial, which the sweep shows itself."""
    import optuna

    optuna.logging.set_verbosity(logging.WARNING)
    logging.getLogger("hydra_plugins.hydra_optuna_sweeper").setLevel(logging.WARNING)


def nothing_complete(error: Exception) -> bool:
    """Return whether Optuna has ended a search because all of its trials have failed."""
    return isinstance(error, ValueError) and str(error).startswith("No trials are completed yet")


def _study(sweeper: DictConfig) -> Any:
    """Return the study, which is created if needed.

    Raises:
        ValueError: the storage cannot be opened.
    """
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    storage = sweeper.storage if isinstance(sweeper.storage, str) else instantiate(sweeper.storage)
    given = sweeper.direction if isinstance(sweeper.direction, Sequence | DictConfig) else [sweeper.direction]
    directions: list[Any] = [given] if isinstance(given, str) else [getattr(one, "name", one) for one in given]
    try:
        return optuna.create_study(
            study_name=sweeper.study_name, storage=storage, directions=directions, load_if_exists=True
        )
    except (SQLAlchemyError, ValueError, ImportError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"hydra.sweeper.storage must be the address of a database that can be written to, such as"
            f" sqlite:///study.db, got {sweeper.storage} ({reason})"
        ) from error


def _continue(study: Any, folder: Path) -> tuple[int, int]:
    """Queue the trials of an earlier start that are not complete; return the number of complete trials, and of all."""
    import optuna
    from optuna.trial import TrialState

    if study.user_attrs.get(_FOLDER, str(folder)) != str(folder):
        return 0, 0
    study.set_user_attr(_FOLDER, str(folder))
    trials = study.get_trials(deepcopy=False)
    complete = [trial.params for trial in trials if trial.state is TrialState.COMPLETE]
    queued = [trial.system_attrs.get("fixed_params") for trial in trials if trial.state is TrialState.WAITING]
    for trial in trials:
        if trial.state is TrialState.RUNNING:
            study.tell(trial.number, state=TrialState.FAIL)
        if trial.state in (TrialState.RUNNING, TrialState.FAIL) and trial.params not in complete + queued:
            with warnings.catch_warnings():
                # Experimental in Optuna 2, which the sweeper needs; unchanged in later versions.
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                study.enqueue_trial(trial.params)
            queued.append(trial.params)
    return len(complete), len(trials)
