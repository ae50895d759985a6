"""The run directory: the one place that writes it and the one place that reads it.

| entry | what |
| --- | --- |
| `.hydra/` | the configuration, by Hydra |
| `train.log` | what the command logged |
| `run.json` | written first: the hash of the configuration, and the CPU threads it began with |
| `.lock` | held while a process is at work here |
| `progress.json` | how far a run at work is: step, max_steps, val_mAP, seconds_left |
| `csv/` | the curves, one folder a start of the command |
| `tracking.json` | by which id each tracker knows the run |
| `wandb/`, `tensorboard/`, `mlruns/` | the trackers' own files |
| `checkpoints/` | `step-*.ckpt` to continue from, `best.ckpt` where there is a hold-out |
| `predictions.h5` | of the scored set: video_id [N], probability [N, K], probability_averaged where there is one |
| `per_class.csv` | index, name, positives, training clips, AP, AUC, d_prime of each class |
| `metrics.json` | written last: where it is and says `"status": "done"`, the run is complete |
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf
from omegaconf.basecontainer import BaseContainer
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from audiobag.errors import UserError
from audiobag.files import atomic, write_json, write_text
from audiobag.hdf5 import check_links, read_whole

_YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the fast one, where PyYAML was built with it
# What says where or how a run happens but decides nothing about its result. All else is in the hash, so that
# an option nobody thought of here can cause a run too many, never a wrong skip.
_INDIFFERENT: Mapping[str, frozenset[str]] = {
    "": frozenset({"paths", "logger", "threads"}),
    "data": frozenset({"root", "placement"}),
    "trainer": frozenset(
        {
            "accelerator",
            "devices",
            "num_nodes",
            "strategy",
            "logger",
            "log_every_n_steps",
            "enable_progress_bar",
        }
    ),
    "callbacks": frozenset({"checkpoints", "progress", "heartbeat"}),
}


def config_hash(config: Mapping[str, Any]) -> str:
    """Return 16 hexadecimal digits of what decides the result: data, model, loss, optimisation, seed, precision.

    Args:
        config: resolved, in plain containers.
    """
    return hashlib.sha256(json.dumps(decisive(config), sort_keys=True).encode()).hexdigest()[:16]


def decisive(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a configuration that decides the result, which is what `config_hash` hashes."""
    return {
        key: {k: v for k, v in value.items() if k not in _INDIFFERENT.get(key, ())}
        if isinstance(value, Mapping)
        else value
        for key, value in config.items()
        if key not in _INDIFFERENT[""]
    }


def _check_hash(path: Path, found: object, wanted: str) -> None:
    """Refuse to continue what another configuration began.

    Raises:
        UserError: the hash found at `path` is not the one wanted.
    """
    if found != wanted:
        raise UserError(
            f"{path} belongs to another configuration (its hash is {found}, this one's {wanted}): use the options it"
            " was started with, or choose another hydra.run.dir"
        )


@dataclass(frozen=True, slots=True)
class ClassScores:
    """What per_class.csv says of K classes.

    Attributes:
        names: K display names.
        positives: [K], how many scored clips have the class.
        average_precision: [K]; NaN where the class has none.
        training_clips: [K], how many clips trained on have it; None where that is not known.
    """

    names: tuple[str, ...]
    positives: NDArray[np.int64]
    average_precision: NDArray[np.float64]
    training_clips: NDArray[np.int64] | None


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """One run's folder."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def progress(self) -> Path:
        """The file in which a run at work says how far it is."""
        return self.path / "progress.json"

    @property
    def predictions(self) -> Path:
        """The file of clip probabilities."""
        return self.path / "predictions.h5"

    def metrics(self) -> dict[str, Any] | None:
        """Return what metrics.json says, None where the run has not come to its end.

        Raises:
            UserError: the file is there but is none of ours.
        """
        return self._read("metrics.json", "status")

    def finished(self, wanted: str) -> dict[str, Any] | None:
        """Return the metrics of the run if it is complete, so that it is not run again.

        Args:
            wanted: the hash of the configuration that is to run here.

        Raises:
            UserError: a run of another configuration is complete here.
        """
        metrics = self.metrics()
        if metrics is not None:
            _check_hash(self.path, metrics.get("config_hash"), wanted)
        return metrics

    def begin(self, config_hash: str, threads: int) -> None:
        """Note, before anything else, which configuration runs here, and with how many CPU threads.

        Raises:
            UserError: another has begun here.
        """
        self.check_begun(config_hash)
        write_json(self.path / "run.json", {"config_hash": config_hash, "threads": threads})

    def threads(self) -> int | None:
        """Return with how many CPU threads the run began, on which its last digits can depend; None if it has not."""
        begun = self._read("run.json", "config_hash")
        return None if begun is None else begun.get("threads")

    def check_begun(self, wanted: str) -> None:
        """Refuse to go on where another configuration has begun.

        Raises:
            UserError: its hash is not the one wanted, or cannot be read.
        """
        begun = self._read("run.json", "config_hash")
        if begun is not None:
            _check_hash(self.path, begun["config_hash"], wanted)

    def write_predictions(
        self,
        video_id: NDArray[np.character],
        probability: NDArray[np.float32],
        averaged: NDArray[np.float32] | None = None,
    ) -> None:
        """Write predictions.h5; clips in the order of the scored store."""
        with atomic(self.predictions) as temporary, h5py.File(temporary, "w") as file:
            file["video_id"] = video_id
            file["probability"] = probability
            if averaged is not None:
                file["probability_averaged"] = averaged

    def write_per_class(
        self,
        names: Sequence[str],
        positives: Sequence[int],
        columns: Mapping[str, Sequence[float]],
        training_clips: Sequence[int] | None = None,
    ) -> None:
        """Write per_class.csv; a number that does not exist for a class, or is not known, is left empty."""
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(["index", "name", "positives", "training_clips", *columns])
        trained: Sequence[object] = training_clips or [""] * len(names)
        for k, (name, *counts) in enumerate(zip(names, positives, trained, strict=True)):
            values = (values[k] for values in columns.values())
            rows.writerow([k, name, *counts, *(repr(v) if math.isfinite(v) else "" for v in values)])
        write_text(self.path / "per_class.csv", text.getvalue())

    def note_tracked(self, tracker: str, known: Mapping[str, Any]) -> None:
        """Note by which id, and in which place, a tracker knows this run."""
        write_json(self._tracking, {**self._tracked(), tracker: dict(known)})

    def tracked(self, tracker: str) -> dict[str, Any]:
        """Return what was noted of a tracker; nothing where it has not seen this run."""
        found = self._tracked().get(tracker, {})
        return found if isinstance(found, dict) else {}

    def unsent(self) -> list[Path]:
        """Return the folders of offline W&B starts that `wandb sync` has not sent yet, in their order."""
        starts = sorted((self.path / "wandb").glob("offline-run-*"))
        return [start for start in starts if any(start.glob("*.wandb")) and not any(start.glob("*.wandb.synced"))]

    def write_metrics(self, content: Mapping[str, Any]) -> None:
        """Write metrics.json, which makes the run complete."""
        write_json(self.path / "metrics.json", content)

    def config(self, **replaced: Any) -> dict[str, Any]:
        """Return the configuration that ran here, resolved as it was then, in plain containers.

        Args:
            replaced: other values of top-level keys; what refers to them follows.

        Raises:
            UserError: .hydra is missing or unreadable.
        """
        folder = self.path / ".hydra"
        try:
            # Hydra's resolver would answer with this command's own values; the run's stand in its hydra.yaml.
            own = OmegaConf.create(_flat(folder / "config.yaml").replace("${hydra:", "${hydra."))
            whole = OmegaConf.merge(own, OmegaConf.create(_flat(folder / "hydra.yaml")), replaced)
            if not isinstance(whole, DictConfig):
                raise TypeError("config.yaml is no mapping")
            with _inert_resolvers():
                return {str(key): _plain(whole[key]) for key in own}
        except (OSError, ValueError, TypeError, YAMLError, OmegaConfBaseException) as error:
            raise UserError(f"{folder} does not hold a run's configuration ({_first_line(error)})") from error

    def overrides(self) -> list[str]:
        """Return what was asked for on the command line, or of this job by its sweep; [] where that is not known."""
        try:
            return [str(o) for o in OmegaConf.create(_flat(self.path / ".hydra" / "overrides.yaml"))]
        except (OSError, ValueError, TypeError, YAMLError, OmegaConfBaseException):
            return []

    def curve(self, name: str) -> dict[int, float]:
        """Return a logged number, such as `val/mAP`, by training step, in the order of the steps.

        Where the run was interrupted and continued, steps were taken twice: the later start counts.
        """
        points: dict[int, float] = {}
        starts = (self.path / "csv").glob("version_*/metrics.csv")
        for path in sorted(starts, key=lambda p: (len(p.parent.name), p.parent.name)):
            with path.open(encoding="utf-8", newline="") as file:
                for row in csv.DictReader(file):
                    # The last row of a killed start may be torn.
                    with suppress(KeyError, TypeError, ValueError):
                        points[int(row["step"])] = float(row[name])
        return dict(sorted(points.items()))

    def read_predictions(self, averaged: bool = False) -> tuple[NDArray[np.character], NDArray[np.float32]]:
        """Return video_id [N] and probability [N, K], or with `averaged` probability_averaged.

        Raises:
            UserError: predictions.h5 is missing, damaged, or without them.
        """
        name = "probability_averaged" if averaged else "probability"
        try:
            with h5py.File(self.predictions, "r") as file:
                check_links(file)
                video_id, probability = read_whole(file["video_id"]), read_whole(file[name])
        except (OSError, KeyError, TypeError) as error:
            raise UserError(f"{self.predictions} has no readable {name} ({_first_line(error)})") from error
        if probability.ndim != 2 or len(probability) != len(video_id):
            raise UserError(f"{self.predictions} has {len(video_id)} clips but {name} {list(probability.shape)}")
        return video_id, probability

    def read_per_class(self) -> ClassScores:
        """Return per_class.csv.

        Raises:
            UserError: it is missing, or is none of ours.
        """
        path = self.path / "per_class.csv"
        try:
            rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
            trained = [row["training_clips"] for row in rows]
            return ClassScores(
                tuple(row["name"] for row in rows),
                np.array([int(row["positives"]) for row in rows], dtype=np.int64),
                np.array([float(row["AP"] or "nan") for row in rows], dtype=np.float64),
                np.array([int(n) for n in trained], dtype=np.int64) if all(trained) else None,
            )
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise UserError(f"{path} is not a run's table of classes ({_first_line(error)})") from error

    @property
    def _tracking(self) -> Path:
        return self.path / "tracking.json"

    def _tracked(self) -> dict[str, Any]:
        """Return what tracking.json says; a tracker can begin anew, so a damaged one counts for nothing."""
        try:
            content = json.loads(self._tracking.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def _read(self, name: str, key: str) -> dict[str, Any] | None:
        """Return a JSON file of ours, which has at least `key`; None where there is none."""
        path = self.path / name
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read ({error}): remove the folder, or choose another") from error
        if not isinstance(content, dict) or key not in content:
            raise UserError(f"{path} has no {key}, so it was not written by audiobag: choose another folder")
        return content


@contextmanager
def _inert_resolvers() -> Iterator[None]:
    """Let every resolver answer with None: what a stranger's file asks of this environment stays here."""
    resolvers = BaseContainer._resolvers
    known = dict(resolvers)
    resolvers.update(dict.fromkeys(known, lambda *_: None))
    try:
        yield
    finally:
        resolvers.update(known)


def _flat(path: Path) -> str:
    """Return YAML that repeats nothing by reference: a few lines that do can stand for any amount of memory.

    Raises:
        ValueError: it does; Hydra writes none.
    """
    text = path.read_text(encoding="utf-8")
    if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, _YAML)):
        raise ValueError(f"{path.name} repeats parts of itself by reference")
    return text


def _plain(node: Any) -> Any:
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
