"""Weights & Biases: one W&B run per run directory, online or in files to send later."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from matplotlib.figure import Figure

from audiobag.data.store import Store
from audiobag.tracking.tracker import STEP, Subject, Tracker, image_of
from audiobag.utils.errors import ExitCode
from audiobag.utils.files import short_name
from audiobag.utils.processes import environment
from audiobag.utils.values import check_choice

if TYPE_CHECKING:
    import wandb

_LOG = logging.getLogger(__name__)
SECONDS_TO_INIT: Final = 30
_FORMER_MODES: Final = {"dryrun": "offline", "run": "online"}  # which W&B still takes
_LONGEST: Final = 128  # characters in the name of an artifact
_LONGEST_TAG: Final = 64
OBJECTIVE: Final = "objective"
"""Name of the final val/mAP in the summary: the number that searches maximise."""
ARTIFACTS: Final = ("model", "predictions", "tables", "pictures")
_BEST: Final = {"mAP": "max", "AUC": "max", "d_prime": "max", "loss": "min"}  # of the validations while training


class WandbTracker(Tracker):
    """Mirrors a run to Weights & Biases, with W&B's files in the run directory.

    The id is kept in tracking.json, so that an interrupted run continues as the same W&B run. Offline, each start of a
    run writes its own file with that id, and `wandb sync` sends all of them in their order. An online tracker that
    reaches no server continues offline.

    W&B's own variables decide what the arguments leave open: WANDB_MODE, WANDB_PROJECT, WANDB_ENTITY, WANDB_RUN_GROUP,
    WANDB_JOB_TYPE, WANDB_TAGS, WANDB_NOTES, and WANDB_NAME, WANDB_RUN_ID, WANDB_RESUME, WANDB_DIR and those of W&B's
    settings, which have no argument here.

    Args:
        mode: `online`, `offline`, or `disabled`, which sends and writes nothing; None for WANDB_MODE, or `online`.
        project: W&B project; None for WANDB_PROJECT, or `audiobag`.
        entity: W&B user or team; None for WANDB_ENTITY, or the default of the account.
        group: W&B group, which the runs of one sweep share; None for WANDB_RUN_GROUP, or no group.
        job_type: W&B job type; None for WANDB_JOB_TYPE, or `train`.
        tags: W&B tags; if there are none, those in WANDB_TAGS, separated by commas. The names of the data set and of
            the experiment are added.
        notes: W&B notes; None for WANDB_NOTES.
        finish_seconds: seconds that the end of a run waits for data to be sent; `wandb sync` sends the rest. None for
            WANDB_FINISH_TIMEOUT, or 300.
        artifacts: what is sent besides curves, scores and the configuration: any of `model` (the scored checkpoint),
            `predictions`, `tables` and `pictures`. The log tells the sizes at the start.

    Raises:
        ValueError: there is no such mode or kind of artifact.
    """

    title = "wandb"

    def __init__(
        self,
        mode: str | None = None,
        project: str | None = None,
        entity: str | None = None,
        group: str | None = None,
        job_type: str | None = None,
        tags: Sequence[str] = (),
        notes: str | None = None,
        finish_seconds: float | None = None,
        artifacts: Sequence[str] = ("model", "tables", "pictures"),
    ) -> None:
        super().__init__()
        name = "WANDB_MODE" if mode is None else "mode"
        mode = mode or os.environ.get("WANDB_MODE") or "online"
        mode = _FORMER_MODES.get(mode, mode)
        check_choice(name, mode, ("online", "offline", "disabled"))
        self._mode = mode
        self._project = project or os.environ.get("WANDB_PROJECT") or "audiobag"
        self._entity = entity or os.environ.get("WANDB_ENTITY")
        self._group = group or os.environ.get("WANDB_RUN_GROUP")
        self._job_type = job_type or os.environ.get("WANDB_JOB_TYPE") or "train"
        self._tags = list(tags) or [tag.strip() for tag in os.environ.get("WANDB_TAGS", "").split(",") if tag.strip()]
        self._notes, self._finish_seconds = notes, finish_seconds
        for kind in artifacts:
            check_choice("artifacts", kind, ARTIFACTS)
        self._artifacts = frozenset(artifacts)
        self._run: Any = None
        self._folder = Path()

    def start(self, subject: Subject) -> None:
        """Start to mirror a run, or continue the mirror of an earlier start of it."""
        if self._mode != "disabled":
            super().start(subject)

    def _start(self, subject: Subject) -> None:
        elsewhere = os.environ.get("WANDB_DIR")
        self._folder = (Path(elsewhere) if elsewhere else subject.run.path).resolve()
        self._folder.mkdir(parents=True, exist_ok=True)  # otherwise, W&B writes to the temporary folder
        before = subject.run.tracked(self.title)
        known = {
            "id": os.environ.get("WANDB_RUN_ID") or before.get("id") or uuid4().hex[:8],
            "project": self._project,
            "entity": self._entity,
            "group": self._group or before.get("group"),  # a job that is continued by hand stays in its sweep
        }
        subject.run.note_tracked(self.title, {**known, **({"folder": str(self._folder)} if elsewhere else {})})
        choices = subject.config.get("choices", {})
        found = [*(choices.get(key) for key in ("data", "experiment", "pooling")), known["group"]]
        tags = [*self._tags, *(short_name(tag, tag, _LONGEST_TAG) for tag in found if tag)]
        self._run = self._begin(
            **known,
            name=os.environ.get("WANDB_NAME") or subject.name,
            tags=list(dict.fromkeys(tags)),
            config=dict(subject.config),
        )
        self._run.define_metric(STEP)
        self._run.define_metric("*", step_metric=STEP, step_sync=True)
        for name, best in _BEST.items():
            self._run.define_metric(f"val/{name}", step_metric=STEP, step_sync=True, summary=f"{best},last")
        _LOG.info("W&B: %s", self._sizes(subject))
        if not self._run.offline:
            _LOG.info("W&B: %s", self._run.url)
            for store in subject.stores:  # offline, W&B has no inputs: the configuration has the checksums
                self._run.use_artifact(store_artifact(store))

    def _sizes(self, subject: Subject) -> str:
        """Return what a run sends, and how much."""
        known = {kind: size for kind, size in subject.sizes.items() if kind in self._artifacts}
        parts = [f"the {kind} (about {size / 1e6:,.1f} MB)" for kind, size in known.items()]
        parts += [kind for kind in ("tables", "pictures") if kind in self._artifacts]
        left_out = [kind for kind in ARTIFACTS if kind not in self._artifacts]
        told = " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts) or "no files"
        return f"the run sends curves and {told}" + (f"; not {', '.join(left_out)}" if left_out else "")

    def _begin(self, **about: Any) -> Any:
        """Return a W&B run; an offline one if no server answers."""
        import wandb

        options: dict[str, Any] = {
            **about,
            "mode": self._mode,
            "job_type": self._job_type,
            "notes": self._notes,
            "dir": str(self._folder),
            "resume": os.environ.get("WANDB_RESUME") or "allow",
            "reinit": "create_new",  # a process may have several runs
            "settings": self._settings(),
        }
        try:
            return wandb.init(**options)
        except Exception as error:
            if self._mode == "offline":
                raise
            reason = " ".join(str(error).split())[:300]
            _LOG.warning("no W&B server (%s): tracking offline; audiobag-report shows how to send it later", reason)
            wandb.teardown()  # the failed attempt still holds the id
            return wandb.init(**{**options, "mode": "offline"})

    def _settings(self) -> wandb.Settings:
        """Return our settings, without those that the user has set in the environment."""
        import wandb

        ours: dict[str, Any] = {
            "silent": True,
            "save_code": False,  # the diff of the working directory is enough
            "init_timeout": SECONDS_TO_INIT,
            "finish_timeout": 300,
        }
        chosen: dict[str, Any] = {} if self._finish_seconds is None else {"finish_timeout": self._finish_seconds}
        return wandb.Settings(**{k: v for k, v in ours.items() if f"WANDB_{k.upper()}" not in os.environ}, **chosen)

    def picture(self, name: str, draw: Callable[[], Figure], step: int) -> None:
        """Log a figure, unless pictures are not chosen; then it is not drawn."""
        if "pictures" in self._artifacts:
            super().picture(name, draw, step)

    def _numbers(self, metrics: Mapping[str, Any], step: int) -> None:
        # The step is W&B's own step too, so that starts that are synced later do not overlap.
        self._run.log({**metrics, STEP: step}, step=step)

    def _picture(self, name: str, figure: Figure, step: int) -> None:
        import wandb

        self._numbers({name: wandb.Image(image_of(figure))}, step)

    def _table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], step: int) -> None:
        import wandb

        if "tables" not in self._artifacts:
            return
        # W&B stages files in the home directory of the user otherwise.
        staging = os.environ.get("WANDB_DATA_DIR") or str(self._folder / "wandb")
        with environment({"WANDB_DATA_DIR": staging}):
            self._numbers({name: wandb.Table(columns=list(columns), data=[list(row) for row in rows])}, step)

    def _summarise(self, numbers: Mapping[str, float]) -> None:
        self._run.log({}, commit=True)  # the last row, whose rounded numbers would replace the summary's
        # W&B has val/... from the curves, with the best value and the last.
        self._run.summary.update({k: v for k, v in numbers.items() if not k.startswith("val/")})
        if (objective := numbers.get("val/mAP")) is not None:
            self._run.summary[OBJECTIVE] = objective

    def _file(self, kind: str, path: Path, about: Mapping[str, Any]) -> None:
        import wandb

        if kind not in self._artifacts:
            return
        artifact = wandb.Artifact(f"{kind}-{self._run.id}", kind, metadata=dict(about))
        # The file is sent from its place, without a copy, because files of a complete run do not change.
        artifact.add_file(str(path.resolve()), policy="immutable", skip_cache=True)
        self._run.log_artifact(artifact)

    def _finish(self, code: int) -> None:
        if self._run is not None:
            if code == ExitCode.INTERRUPTED:
                self._run.mark_preempting()  # an agent gives the run back to the queue of its sweep
            self._run.finish(exit_code=code)


def store_artifact(store: Store) -> wandb.Artifact:
    """Return an artifact that refers to a store, as input of a run. Its file is neither read nor copied.

    W&B's own checksum would read the whole file. Its place in the artifact contains the checksum of the store instead,
    so that a store with other content is another version of the artifact.
    """
    import wandb

    path = store.path.resolve()
    metadata = {"content_sha256": store.content_sha256, "clips": len(store), "classes": store.classes}
    given = f"{path.parent.name}-{path.stem}"
    name = short_name(given, re.sub(r"[^A-Za-z0-9._-]+", "-", given), _LONGEST)  # the characters that W&B allows
    artifact = wandb.Artifact(name, "dataset", description=str(path), metadata=metadata)
    artifact.add_reference(path.as_uri(), name=f"{store.content_sha256}/{path.name}", checksum=False)
    return artifact
