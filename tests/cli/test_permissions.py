"""Commands where the user may not write."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.commands import run_command
from tests.conftest import make_store
from tests.export.fabricate import make_run

typed = partial(run_command, rights=False)

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
    command = ("prepare", *SYNTHETIC, f"out={tmp_path / 'shared'}")
    assert typed(*command, cwd=closed).returncode == 0
    (tmp_path / "shared").chmod(0o555)
    again = typed(*command, cwd=closed)
    assert (again.returncode, "nothing to do" in " ".join(again.stderr.split())) == (0, True)
    forced = typed(*command, "force=true", cwd=closed)
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
        (("predict", "checkpoint={run}", "source={store}", "out=a.csv"), "out must be a file in a folder that can be"),
        (("export", "checkpoint={run}", "out=here"), "out must be a folder that can be written to, got here (Perm"),
    ],
)
def test_an_unwritable_folder_is_refused_in_a_sentence(
    tmp_path: Path, closed: Path, command: tuple[str, ...], said: str
) -> None:
    run, store = make_run(tmp_path / "run")
    known = {"closed": closed, "run": run, "store": store.path}
    name, *options = (part.format(**known) for part in command)
    done = typed(name, *options, cwd=closed)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"audiobag: {said.format(**known)}")


@pytest.mark.parametrize("place", ["/proc/x/y", "{here}/file/x"])
@pytest.mark.parametrize(
    "command",
    [
        ("prepare", *SYNTHETIC, "out={place}"),
        ("prepare", *SYNTHETIC, "hydra.run.dir={place}"),
        ("embed", "source=synthetic-sounds", "size=tiny", "out={place}"),
        ("train", "hydra.run.dir={place}"),
        ("train", "-m", "seed=0,1", "hydra.sweep.dir={place}"),
        ("train", "-m", "seed=0,1", "hydra.sweep.dir={place}", "hydra.launcher.dry_run=true"),
        ("evaluate", "checkpoint={run}", "hydra.run.dir={place}"),
        ("predict", "checkpoint={run}", "source={store}", "out={place}"),
        ("predict", "checkpoint={run}", "source={store}", "out={place}", "picture=true"),
        ("predict", "checkpoint={run}", "source={store}", "hydra.run.dir={place}"),
        ("export", "checkpoint={run}", "out={place}"),
        ("report", "{here}/run", "hydra.run.dir={place}"),
        ("explore", "{here}/run", "hydra.run.dir={place}"),
        ("listen", "{here}/file", "checkpoint={run}", "out={place}"),
        ("doctor", "{place}"),
    ],
    ids=" ".join,
)
def test_a_folder_that_cannot_be_created_is_refused_in_a_sentence(
    tmp_path: Path, command: tuple[str, ...], place: str
) -> None:
    run, store = make_run(tmp_path / "run")
    (tmp_path / "file").touch()
    known = {"here": tmp_path, "run": run, "store": store.path}
    name, *options = (part.replace("{place}", place).format(**known) for part in command)
    done = run_command(name, *options, cwd=tmp_path)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2
    assert line.startswith("audiobag: ")
    assert place.format(here=tmp_path).rpartition("/")[0] in line
    assert "choose another" in line


def test_a_complete_run_of_others_is_only_read(tmp_path: Path, closed: Path) -> None:
    make_store(tmp_path / "data" / "bal_train.h5", classes=5)
    make_store(tmp_path / "data" / "eval.h5", classes=5, seed=1)
    options = ("embedding.width=8", "trainer.max_steps=2", "data.batch_size=16", f"data.root={tmp_path / 'data'}")
    command = ("train", *options, f"hydra.run.dir={tmp_path / 'run'}")
    assert typed(*command, cwd=closed).returncode == 0
    folders = [path for path in (tmp_path / "run", *(tmp_path / "run").rglob("*")) if path.is_dir()]
    before = sorted((tmp_path / "run").rglob("*"))
    for folder in folders:
        folder.chmod(0o555)
    for path in (tmp_path / "run").glob("*.*"):
        path.chmod(0o444)
    again = typed(*command, cwd=closed)
    other = typed(*command, "seed=1", cwd=closed)
    for folder in folders:
        folder.chmod(0o755)
    assert again.returncode == 0, again.stderr
    assert "the run is complete: nothing to do" in again.stderr
    assert other.returncode == 2
    assert "seed was 0, is 1" in other.stderr
    assert sorted((tmp_path / "run").rglob("*")) == before


def test_an_incomplete_run_of_others_is_refused(tmp_path: Path, closed: Path) -> None:
    make_store(tmp_path / "data" / "bal_train.h5", classes=5)
    make_store(tmp_path / "data" / "eval.h5", classes=5, seed=1)
    (tmp_path / "run").mkdir(mode=0o555)
    command = ("train", f"data.root={tmp_path / 'data'}", f"hydra.run.dir={tmp_path / 'run'}")
    done = typed(*command, cwd=closed)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"audiobag: hydra.run.dir must be a folder that can be written to, got {tmp_path / 'run'}")


def test_results_elsewhere_need_no_writable_working_directory(tmp_path: Path, closed: Path) -> None:
    run, store = make_run(tmp_path / "run")
    options = (f"checkpoint={run}", f"source={store.path}", f"out={tmp_path / 'a.csv'}")
    done = typed("predict", *options, cwd=closed)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "a.csv").exists()
    assert not [*closed.iterdir()]
