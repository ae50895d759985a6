"""Commands where the user may not write."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.export.fabricate import make_run
from tests.permissions import unprivileged

SYNTHETIC = ("source=synthetic", "size=tiny")


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """A working directory that cannot be written to."""
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(0o555)
    yield folder
    folder.chmod(0o755)


def test_a_shared_finished_store_is_only_read(tmp_path: Path, closed: Path) -> None:
    command = ("-m", "audiobag.cli.prepare", *SYNTHETIC, f"out={tmp_path / 'shared'}")
    assert unprivileged(*command, folder=closed).returncode == 0
    (tmp_path / "shared").chmod(0o555)
    again = unprivileged(*command, folder=closed)
    assert (again.returncode, "nothing to do" in " ".join(again.stderr.split())) == (0, True)
    forced = unprivileged(*command, "force=true", folder=closed)
    assert forced.returncode == 2
    assert forced.stderr.startswith("audiobag: out must be a folder that can be written to, got ")
    assert not [*closed.iterdir()]
    (tmp_path / "shared").chmod(0o755)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("prepare", *SYNTHETIC), "out must be a folder that can be written to, got data/synthetic/tiny"),
        (("train", "trainer.max_steps=1"), "{closed}/outputs cannot be used (Permission denied)"),
        (("train", "hydra.run.dir=here"), "{closed}/here cannot be used (Permission denied)"),
        (("evaluate", "checkpoint={run}"), "{closed}/outputs cannot be used (Permission denied)"),
        (("predict", "checkpoint={run}", "source={store}"), "{closed}/outputs cannot be used (Permission denied)"),
        (("predict", "checkpoint={run}", "source={store}", "out=a.csv"), "out must be a folder that can be written"),
        (("export", "checkpoint={run}", "out=here"), "out must be a folder that can be written"),
    ],
)
def test_an_unwritable_folder_is_refused_in_a_sentence(
    tmp_path: Path, closed: Path, command: tuple[str, ...], said: str
) -> None:
    run, store = make_run(tmp_path / "run")
    known = {"closed": closed, "run": run, "store": store.path}
    name, *options = (part.format(**known) for part in command)
    done = unprivileged("-m", f"audiobag.cli.{name}", *options, folder=closed)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"audiobag: {said.format(**known)}")


def test_results_elsewhere_need_no_writable_working_directory(tmp_path: Path, closed: Path) -> None:
    run, store = make_run(tmp_path / "run")
    options = (f"checkpoint={run}", f"source={store.path}", f"out={tmp_path / 'a.csv'}")
    done = unprivileged("-m", "audiobag.cli.predict", *options, folder=closed)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "a.csv").exists()
    assert not [*closed.iterdir()]
