"""Sweeps that submit to SLURM and leave, with fakes of sbatch and squeue; tests/acceptance has a real cluster."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from audiobag.runs.presence import Stage, write_presence
from audiobag.sweep import outcome, snapshot
from audiobag.utils.errors import ExitCode
from tests.commands import train

SUBMIT = ("hydra/launcher=slurm_gpu", "hydra.launcher.wait=false", "hydra.sweep.dir=sweep")
SBATCH = """#!/bin/sh
cat {folder}/refusal >&2 2>/dev/null && exit 1
echo "$1" >> {folder}/scripts
echo Submitted batch job 7$(grep -c . {folder}/scripts)
"""
SQUEUE = """#!/bin/sh
cat {folder}/queue || { echo no controller >&2; exit 1; }
"""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with an empty queue; the folder of the fakes is `cluster`."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("squeue", SQUEUE), ("srun", "#!/bin/sh\n")):
        (folder / name).write_text(text.replace("{folder}", str(folder)))
        (folder / name).chmod(0o755)
    (folder / "queue").touch()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(outcome, "multirun", False)
    monkeypatch.setattr(outcome, "failed", [])
    return tmp_path


def submitted(folder: Path) -> dict[str, str]:
    return {p.parent.name: json.loads(p.read_text())["slurm_job"] for p in folder.rglob("submitted.json")}


def test_a_sweep_is_submitted_once_and_the_same_command_submits_what_is_missing(
    cluster: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    command = ("-m", *SUBMIT, "seed=0,1,2")
    assert train(monkeypatch, *command) == ExitCode.DONE
    assert submitted(cluster) == {f"seed-{n}": f"71_{n}" for n in range(3)}
    said = capfd.readouterr().err
    assert "3 jobs: 3 submitted\n" in said
    assert "audiobag-status sweep\n" in said
    assert "audiobag-report sweep\n" in said
    script = Path((cluster / "cluster" / "scripts").read_text().strip())
    text = Path(str(script).replace("%j", "71")).read_text() if "%j" in str(script) else script.read_text()
    (code,) = (cluster / "sweep" / ".code").iterdir()
    assert f"export PYTHONPATH={code}${{PYTHONPATH:+:$PYTHONPATH}}\n" in text
    assert "#SBATCH --signal=USR1@120" in text

    (cluster / "cluster" / "queue").write_text("71_0|PENDING\n71_1|RUNNING\n71_2|REQUEUED\n9|RUNNING\n")
    assert train(monkeypatch, *command) == ExitCode.DONE
    assert "3 jobs: 0 submitted, 2 in the queue before, 1 running\n" in capfd.readouterr().err
    assert len((cluster / "cluster" / "scripts").read_text().splitlines()) == 1
    assert train(monkeypatch, *command, "hydra.launcher.dry_run=true") == ExitCode.DONE
    plan = capfd.readouterr().err
    assert [plan.count(todo) for todo in ("in the queue", "running", " run ")] == [2, 1, 0]

    (cluster / "cluster" / "queue").write_text("71_0|PENDING\n")
    monkeypatch.setenv("SLURM_JOB_ID", "73")  # a task that was killed a moment ago
    write_presence(cluster / "sweep" / "seed-1" / "progress.json", Stage.TRAINING, step=3)
    monkeypatch.delenv("SLURM_JOB_ID")
    assert train(monkeypatch, *command) == ExitCode.DONE
    assert submitted(cluster) == {"seed-0": "71_0", "seed-1": "72_0", "seed-2": "72_1"}


def test_a_folder_of_scripts_that_cannot_be_created_is_not_laid_on_slurm(
    cluster: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    command = ("-m", *SUBMIT, "seed=0,1", "hydra.launcher.submitit_folder=/proc/x/y")
    assert train(monkeypatch, *command) == ExitCode.USER
    assert "submitit_folder must be a folder that can be written to, got /proc/x/y" in capfd.readouterr().err
    assert not [*cluster.rglob("job.yaml")]


def test_nothing_is_submitted_while_slurm_does_not_answer(
    cluster: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (cluster / "cluster" / "queue").unlink()
    assert train(monkeypatch, "-m", *SUBMIT, "seed=0,1") == ExitCode.USER
    assert "SLURM does not answer (" in capfd.readouterr().err
    (cluster / "cluster" / "squeue").unlink()
    monkeypatch.setenv("PATH", str(cluster / "cluster"))
    assert train(monkeypatch, "-m", *SUBMIT, "seed=0,1") == ExitCode.USER
    assert "there is no squeue here" in capfd.readouterr().err
    assert not submitted(cluster)


def test_what_sbatch_says_is_told(
    cluster: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (cluster / "cluster" / "refusal").write_text("invalid partition specified: nope\n")
    assert train(monkeypatch, "-m", *SUBMIT, "seed=0,1", "hydra.launcher.partition=nope") == ExitCode.USER
    assert "invalid partition specified: nope" in capfd.readouterr().err
    assert not submitted(cluster)


@pytest.mark.filterwarnings("ignore")  # of SQLAlchemy and Optuna
def test_a_search_cannot_leave(
    cluster: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    assert train(monkeypatch, "sweep=search_attention", *SUBMIT) == ExitCode.USER
    assert "hydra.launcher.wait must be true for a search" in capfd.readouterr().err


def test_a_missing_extra_is_named(
    cluster: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    assert train(monkeypatch, "-m", *SUBMIT, "seed=0,1") == ExitCode.USER
    assert "pip install 'audiobag[slurm]'" in capfd.readouterr().err


def test_the_code_is_frozen_once_per_sweep(cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package, its configuration, and a module of the user that a job names."""
    (cluster / "beside.py").write_text("from audiobag.embedding import MLP\nclass Mine(MLP): pass\n")
    monkeypatch.syspath_prepend(cluster)
    configs = [{"embedding": {"_target_": "beside.Mine"}, "optimizer": [{"_target_": "torch.optim.Adam"}]}]
    code = snapshot.take_snapshot(cluster / "sweep", configs)
    assert code.parent == cluster / "sweep" / ".code"
    assert (code / "beside.py").read_text() == (cluster / "beside.py").read_text()
    assert (code / "audiobag" / "conf" / "train.yaml").is_file()
    assert (code / "audiobag" / "py.typed").is_file()
    assert {p.name for p in code.iterdir()} >= {"audiobag", "hydra_plugins", "beside.py", "revision.json"}
    assert not (code / "torch").exists()
    (cluster / "beside.py").write_text("changed = True\n")
    assert snapshot.take_snapshot(cluster / "sweep", configs) == code
    assert "changed" not in (code / "beside.py").read_text()
    other = snapshot.take_snapshot(cluster / "another", configs)
    assert other.name != code.name
    assert "changed" in (other / "beside.py").read_text()


def test_what_a_module_of_the_user_imports_is_frozen_too(cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules and packages beside it, also of each other and inside functions, and nothing that is installed."""
    (cluster / "one.py").write_text("import json, two.below\nimport torch\nfrom audiobag.embedding import MLP\n")
    (cluster / "two").mkdir()
    (cluster / "two" / "__init__.py").write_text("from . import below\nfrom numpy import array\n")
    (cluster / "two" / "below.py").write_text("def f():\n    from three import g\n    import absent\n")
    (cluster / "three.py").write_text("this is not python\n")
    (cluster / "four.py").write_text("")
    (cluster / "two" / "data").symlink_to(cluster / "gone")
    os.mkfifo(cluster / "two" / "pipe")
    monkeypatch.syspath_prepend(cluster)
    code = snapshot.take_snapshot(cluster / "sweep", [{"embedding": {"_target_": "one.Mine"}}])
    expected = {"audiobag", "hydra_plugins", "one.py", "three.py", "two", "revision.json"}
    assert {path.name for path in code.iterdir() if path.suffix != ".diff"} == expected
    assert {path.name for path in (code / "two").iterdir()} == {"__init__.py", "below.py"}
