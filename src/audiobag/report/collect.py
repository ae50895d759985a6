"""Finding the complete runs below some folders, and the reason why each other folder is left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from audiobag.runs import ClassScores, RunConfig, RunDirectory
from audiobag.runs.finding import real_run_folders
from audiobag.utils.errors import InputError

SCORED = ("test", "test_averaged")
METRICS = ("mAP", "AUC", "d_prime")


@dataclass(frozen=True, slots=True)
class Localised:
    """Scores of the seconds against strong labels, by the run itself or by an evaluation of it.

    Attributes:
        directory: folder of the run or of the evaluation.
        checkpoint: what the evaluation scored; the folder of the run if it scored itself.
        counts: of its strong labels, see `strong_labels`.
        scores: by kind and name.
    """

    directory: RunDirectory
    checkpoint: Path
    counts: Mapping[str, int]
    scores: Mapping[str, Mapping[str, float | None]]


@dataclass(frozen=True, slots=True)
class Run:
    """One complete training run.

    Attributes:
        directory: its folder.
        metrics: content of metrics.json.
        config: the resolved configuration, with None for the seed and for what is derived from it.
        overrides: the overrides given on the command line, or to this job by its sweep.
        choices: the option chosen of each configuration group.
        classes: per_class.csv, for the final weights.
        localised: scores of the seconds; those of an evaluation come before its own. None without strong labels.
    """

    directory: RunDirectory
    metrics: Mapping[str, Any]
    config: Mapping[str, Any]
    overrides: Sequence[str]
    choices: Mapping[str, str]
    classes: ClassScores
    localised: Localised | None = None

    @property
    def seed(self) -> int:
        """The seed, which tells the runs of one system apart."""
        return int(self.metrics["seed"])

    @property
    def stores(self) -> Mapping[str, str]:
        """The checksum of each store, by name."""
        stores: Mapping[str, str] = self.metrics["stores"]
        return stores

    @property
    def revision(self) -> str | None:
        """The revision of the code; None if unknown."""
        revision: str | None = self.metrics.get("git_revision")
        return revision


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A folder that looks like a run but is not in the report, and the reason."""

    path: Path
    reason: str


def collect(folders: Iterable[Path]) -> tuple[list[Run], list[LeftOut]]:
    """Return the runs at and below some folders, each once, sorted by path.

    Raises:
        ValueError: there are no folders, one does not exist, or there is no complete run.
    """
    folders = list(folders)
    if not folders:
        raise InputError("runs must have at least one folder, of a run or of a sweep")
    runs: list[Run] = []
    left_out: list[LeftOut] = []
    localised: list[Localised] = []
    for path in real_run_folders(folders):
        try:
            if found := _localised(RunDirectory(path)):
                localised.append(found)
            else:
                runs.append(_read(RunDirectory(path)))
        except InputError as error:
            left_out.append(LeftOut(path, str(error)))
    runs, unused = _joined(runs, localised)
    left_out += unused
    if not runs:
        where = ", ".join(map(str, folders))
        broken = f" ({len(left_out)} unfinished or broken: {left_out[0].reason})" if left_out else ""
        raise InputError(f"no complete run at or below {where}{broken}: give the folder of a run or of a sweep")
    return runs, left_out


def unsent(folders: Iterable[Path]) -> list[Path]:
    """Return the folders of offline W&B starts at and below some folders that `wandb sync` has not sent yet.

    Those of unfinished runs are included.
    """
    return [start for path in real_run_folders(folders) for start in RunDirectory(path).unsent()]


def _read(directory: RunDirectory) -> Run:
    """Read one run.

    Raises:
        ValueError: it is not complete, not written by audiobag, or not a training run.
    """
    metrics = directory.metrics()
    if metrics is None or metrics["status"] != "done":
        raise InputError("not finished: the command that started it continues it")
    if "checkpoint" in metrics:
        raise InputError(f"scores of a checkpoint by audiobag-evaluate ({metrics['checkpoint']}), not a training run")
    _check(metrics)
    classes = directory.read_per_class()
    expected = metrics["test"]["classes"] + metrics["test"].get("classes_left_out", 0)
    if len(classes.names) != expected:
        raise InputError(f"per_class.csv has {len(classes.names)} classes, metrics.json {expected}")
    config, own = directory.config(), metrics.get("localisation")
    localised = _scores(directory, own, directory.path) if isinstance(own, dict) else None
    return Run(directory, metrics, config.without_seed, config.overrides, _choices(config), classes, localised)


def _choices(config: RunConfig) -> Mapping[str, str]:
    """Return the option chosen of each group. Hydra does not record lists of options, which augmentations may be."""
    if not config.choices or "augment" in config.choices:
        return config.choices or {}
    return {**config.choices, "augment": "+".join(config.config.get("augment") or ["none"])}


def _localised(directory: RunDirectory) -> Localised | None:
    """Return the scores of an evaluation with strong labels; None if the folder is none."""
    metrics = directory.metrics() or {}
    found = metrics.get("localisation")
    if metrics.get("status") != "done" or "checkpoint" not in metrics or not isinstance(found, dict):
        return None
    return _scores(directory, found, Path(str(metrics["checkpoint"])).resolve())


def _scores(directory: RunDirectory, found: Mapping[str, Any], checkpoint: Path) -> Localised:
    """Return what metrics.json has under `localisation`."""
    scores = {kind: values for kind, values in found.items() if kind != "counts"}
    return Localised(directory, checkpoint, found.get("counts", {}), scores)


def _joined(runs: Sequence[Run], localised: Sequence[Localised]) -> tuple[list[Run], list[LeftOut]]:
    """Return the runs with the evaluations of their scored weights, and the evaluations of others."""
    of = {run.directory.path: run for run in runs}
    unused = []
    for one in localised:
        run = of.get(one.checkpoint.parent.parent)
        if run is None:
            reason = f"scores of a checkpoint by audiobag-evaluate ({one.checkpoint}), whose run is not in the report"
        elif one.checkpoint != run.directory.scored_checkpoint():
            reason = f"scores of other weights ({one.checkpoint}) than those that the run scored"
        elif run.localised is not None and run.localised.directory.path != run.directory.path:
            reason = f"scores {one.checkpoint} again, as {run.localised.directory.path} does"
        else:
            of[run.directory.path] = replace(run, localised=one)
            continue
        unused.append(LeftOut(one.directory.path, reason))
    return list(of.values()), unused


def _check(metrics: Mapping[str, Any]) -> None:
    """Refuse a metrics.json that lacks what a training run writes into it."""
    wanted = {"seed": int, "choices": dict, "stores": dict, "test": dict}
    for key, kind in wanted.items():
        if not isinstance(metrics.get(key), kind):
            raise InputError(f"metrics.json has no {key}, so it was not written by a training run of audiobag")
    for scored in SCORED:
        scores = metrics.get(scored)
        if scores is not None and not (isinstance(scores, dict) and {*METRICS, "classes"} <= scores.keys()):
            raise InputError(f"metrics.json has a {scored} without {', '.join(METRICS)} and classes")
