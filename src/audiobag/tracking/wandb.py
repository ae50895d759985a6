"""Weights & Biases: one W&B run per run directory, online or in files to send later."""

from __future__ import annotations

import io
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from matplotlib.figure import Figure

from audiobag.data.store import Store
from audiobag.tracking.tracker import STEP, Subject, Tracker

if TYPE_CHECKING:
    import wandb

_LOG = logging.getLogger(__name__)
SECONDS_TO_INIT: Final = 30


class WandbTracker(Tracker):
    """Mirrors a run to Weights & Biases, with W&B's files in the run directory.

    The id is kept in tracking.json, so that an interrupted run continues as the same W&B run. Offline, each start of a
    run writes its own file with that id, and `wandb sync` sends all of them in their order. An online tracker that
    reaches no server continues offline.

    Args:
        mode: `online` or `offline`.
        project: W&B project.
        entity: W&B user or team; None for the default of the account.
        group: W&B group, which the runs of one sweep share.
        job_type: W&B job type.
        tags: W&B tags. The names of the data set and of the experiment are added.
        notes: W&B notes.
        finish_seconds: seconds that the end of a run waits for data to be sent; `wandb sync` sends the rest.
    """

    title = "wandb"

    def __init__(
        self,
        mode: str = "online",
        project: str = "audiobag",
        entity: str | None = None,
        group: str | None = None,
        job_type: str = "train",
        tags: Sequence[str] = (),
        notes: str | None = None,
        finish_seconds: float = 300,
    ) -> None:
        super().__init__()
        self._mode, self._project, self._entity, self._group = mode, project, entity, group
        self._job_type, self._tags, self._notes, self._finish_seconds = job_type, list(tags), notes, finish_seconds
        self._run: Any = None
        self._folder = Path()

    def _start(self, subject: Subject) -> None:
        self._folder = subject.run.path.resolve()
        before = subject.run.tracked(self.title)
        known = {
            "id": before.get("id") or uuid4().hex[:8],
            "project": self._project,
            "entity": self._entity,
            "group": self._group or before.get("group"),  # a job that is continued by hand stays in its sweep
        }
        subject.run.note_tracked(self.title, known)
        choices = subject.config.get("choices", {})
        self._run = self._begin(
            **known,
            name=subject.name,
            tags=[*self._tags, *(choices[k] for k in ("data", "experiment") if choices.get(k))],
            config=dict(subject.config),
        )
        self._run.define_metric(STEP)
        self._run.define_metric("*", step_metric=STEP, step_sync=True)
        if not self._run.offline:
            _LOG.info("W&B: %s", self._run.url)
            for store in subject.stores:  # offline, W&B has no inputs: the configuration has the checksums
                self._run.use_artifact(store_artifact(store))

    def _begin(self, **about: Any) -> Any:
        """Return a W&B run; an offline one if no server answers."""
        import wandb

        options: dict[str, Any] = {
            **about,
            "mode": self._mode,
            "job_type": self._job_type,
            "notes": self._notes,
            "dir": str(self._folder),
            "resume": "allow",
            "reinit": "create_new",  # a process may have several runs
            "settings": wandb.Settings(
                console="off",  # train.log has the output
                silent=True,
                disable_git=True,  # the configuration has the revision of the code
                save_code=False,
                init_timeout=SECONDS_TO_INIT,
                finish_timeout=self._finish_seconds,
            ),
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

    def _numbers(self, metrics: Mapping[str, float], step: int) -> None:
        self._run.log({**metrics, STEP: step})

    def _picture(self, name: str, figure: Figure, step: int) -> None:
        import wandb
        from PIL import Image

        png = io.BytesIO()
        figure.savefig(png, format="png")
        self._run.log({name: wandb.Image(Image.open(png)), STEP: step})

    def _table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], step: int) -> None:
        import wandb

        with _staging(self._folder / "wandb"):
            self._run.log({name: wandb.Table(columns=list(columns), data=[list(row) for row in rows]), STEP: step})

    def _summarise(self, numbers: Mapping[str, float]) -> None:
        self._run.summary.update(dict(numbers))

    def _file(self, kind: str, path: Path, about: Mapping[str, Any]) -> None:
        import wandb

        artifact = wandb.Artifact(f"{kind}-{self._run.id}", kind, metadata=dict(about))
        # The file is sent from its place, without a copy, because files of a complete run do not change.
        artifact.add_file(str(path.resolve()), policy="immutable", skip_cache=True)
        self._run.log_artifact(artifact)

    def _finish(self, code: int) -> None:
        if self._run is not None:
            self._run.finish(exit_code=code)


def store_artifact(store: Store) -> wandb.Artifact:
    """Return an artifact that refers to a store, as input of a run. Its file is neither read nor copied.

    W&B's own checksum would read the whole file. Its place in the artifact contains the checksum of the store instead,
    so that a store with other content is another version of the artifact.
    """
    import wandb

    path = store.path.resolve()
    metadata = {"content_sha256": store.content_sha256, "clips": len(store), "classes": store.classes}
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{path.parent.name}-{path.stem}")  # the characters that W&B allows
    artifact = wandb.Artifact(name, "dataset", description=str(path), metadata=metadata)
    artifact.add_reference(path.as_uri(), name=f"{store.content_sha256}/{path.name}", checksum=False)
    return artifact


@contextmanager
def _staging(folder: Path) -> Iterator[None]:
    """Have W&B stage files in `folder` and not in the home directory of the user."""
    before = os.environ.get("WANDB_DATA_DIR")
    os.environ["WANDB_DATA_DIR"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["WANDB_DATA_DIR"]
        else:
            os.environ["WANDB_DATA_DIR"] = before
