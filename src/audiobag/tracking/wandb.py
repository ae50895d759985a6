"""Weights & Biases: one run a run directory, online or in files that are sent later."""

from __future__ import annotations

import io
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from matplotlib.figure import Figure

from audiobag.store import Store
from audiobag.tracking.tracker import STEP, Subject, Tracker

_LOG = logging.getLogger(__name__)
_SECONDS_TO_INIT = 30


class WandbTracker(Tracker):
    """Mirrors a run to Weights & Biases, its files in the run's own directory.

    The run's id is kept in tracking.json, so that a run that was interrupted goes on as the same one. Offline, each
    start writes a file of its own under that id, and `wandb sync`, given all of them, sends them in their order.
    A server that cannot be reached makes an online tracker an offline one.

    Args:
        mode: `online` or `offline`.
        project: of W&B.
        entity: of W&B; None for the account's own.
        group: what the runs of one sweep share.
        job_type: what W&B calls so.
        tags: any; the data set's and the experiment's options are added.
        notes: a sentence or two.
        finish_seconds: how long the end of a run waits for what is not sent yet; `wandb sync` sends the rest.
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
            "group": self._group or before.get("group"),  # a job continued by hand still belongs to its sweep
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
        for store in subject.stores:
            self._use(store)

    def _begin(self, **about: Any) -> Any:
        """Return a run of W&B's; an offline one where there is no server that takes it."""
        import wandb

        options: dict[str, Any] = {
            **about,
            "mode": self._mode,
            "job_type": self._job_type,
            "notes": self._notes,
            "dir": str(self._folder),
            "resume": "allow",
            "reinit": "create_new",  # never into a run that this process has already
            "settings": wandb.Settings(
                console="off",  # train.log has it
                silent=True,
                disable_git=True,  # the revision of our own source is in the configuration
                save_code=False,
                init_timeout=_SECONDS_TO_INIT,
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
            wandb.teardown()  # what has failed still holds the id
            return wandb.init(**{**options, "mode": "offline"})

    def _use(self, store: Store) -> None:
        """Name a store as the run's input, by its path and its checksum; nothing is read or copied."""
        import wandb
        from wandb.sdk.artifacts.artifact_manifest_entry import ArtifactManifestEntry
        from wandb.sdk.lib.paths import LogicalPath

        path = store.path.resolve()
        about = {"content_sha256": store.content_sha256, "clips": len(store), "classes": store.classes}
        name = f"{path.parent.name}-{path.stem}"
        artifact = wandb.Artifact(_artifact_name(name), "dataset", description=str(path), metadata=about)
        # By hand, since add_reference would take minutes for a checksum of its own.
        entry = ArtifactManifestEntry(
            path=LogicalPath(path.name), ref=path.as_uri(), digest=store.content_sha256, size=path.stat().st_size
        )
        artifact.manifest.add_entry(entry)
        if self._run.offline:  # use_artifact refuses, although the file can say so and `wandb sync` passes it on
            self._run._log_artifact(artifact, is_user_created=True, use_after_commit=True)
        else:
            self._run.use_artifact(artifact)

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
        # It is sent from where it lies, and no copy made: nobody changes what a finished run left.
        artifact.add_file(str(path.resolve()), policy="immutable", skip_cache=True)
        self._run.log_artifact(artifact)

    def _finish(self, code: int) -> None:
        if self._run is not None:
            self._run.finish(exit_code=code)


def _artifact_name(text: str) -> str:
    """Return `text` with what W&B does not take in a name replaced."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text)


@contextmanager
def _staging(folder: Path) -> Iterator[None]:
    """Have W&B put what waits to be sent into `folder`, not into the user's home."""
    before = os.environ.get("WANDB_DATA_DIR")
    os.environ["WANDB_DATA_DIR"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["WANDB_DATA_DIR"]
        else:
            os.environ["WANDB_DATA_DIR"] = before
