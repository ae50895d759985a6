"""The sbatch scripts with a fake srun: the commands they run, and the exit codes after which they requeue the job."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from audiobag.utils.errors import ExitCode

SLURM = Path(__file__).parents[2] / "docker" / "slurm"
SCRIPTS = sorted(SLURM.glob("*.sbatch"))


def run(script: Path, folder: Path, *arguments: str, code: int = 0, **variables: str) -> tuple[int, list[str]]:
    """Return the exit code and the commands that the script runs, one per line."""
    for name, end in (("srun", code), ("scontrol", 0)):
        fake = folder / name
        fake.write_text(f'#!/bin/sh\necho {name} "$@" >> {folder}/commands\nexit {end}\n')
        fake.chmod(0o755)
    (folder / "commands").write_text("")
    path = f"{folder}:{os.environ['PATH']}"
    environment = {**os.environ, "SLURM_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "2", **variables, "PATH": path}
    done = subprocess.run(["bash", script, *arguments], cwd=folder, env=environment, timeout=30, check=False)
    return done.returncode, (folder / "commands").read_text().splitlines()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.stem)
@pytest.mark.parametrize("code", list(ExitCode))
def test_only_interrupted_runs_are_requeued(script: Path, code: ExitCode, tmp_path: Path) -> None:
    ended, commands = run(script, tmp_path, str(SLURM / "jobs.txt"), code=code, IMAGE="audiobag.sif")
    assert ended == code
    assert commands[1:] == (["scontrol requeue 7"] if code == ExitCode.INTERRUPTED else [])


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.stem)
def test_scripts_request_a_signal_before_the_end_and_may_be_requeued(script: Path) -> None:
    requested = re.findall(r"^#SBATCH (\S+)$", script.read_text(), re.MULTILINE)
    assert {"--signal=USR1@120", "--requeue", "--open-mode=append", "--ntasks-per-node=1"} <= set(requested)


def test_train_script_runs_one_training(tmp_path: Path) -> None:
    _, commands = run(SLURM / "train.sbatch", tmp_path, "trainer=gpu", "data=full")
    assert commands == ["srun audiobag-train hydra.run.dir=outputs/slurm/7 trainer=gpu data=full"]


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("a.sif", "srun apptainer exec --nv --pwd / --bind {0}/data:/data,{0}/outputs:/outputs a.sif "),
        (
            "me#audiobag:gpu",
            "srun --container-image=me#audiobag:gpu --container-mounts={0}/data:/data,{0}/outputs:/outputs"
            " --container-workdir=/ ",
        ),
    ],
)
def test_container_script_runs_one_training_in_the_image(image: str, expected: str, tmp_path: Path) -> None:
    _, commands = run(SLURM / "container.sbatch", tmp_path, "data=full", IMAGE=image)
    assert commands == [expected.format(tmp_path) + "audiobag train hydra.run.dir=outputs/slurm/7 data=full"]
    assert (tmp_path / "data").is_dir()
    assert (tmp_path / "outputs").is_dir()


def test_each_task_of_an_array_runs_its_line(tmp_path: Path) -> None:
    lines = (SLURM / "jobs.txt").read_text().splitlines()
    for number, line in enumerate(lines, start=1):
        array = {"SLURM_ARRAY_TASK_ID": str(number)}
        _, commands = run(SLURM / "sweep.sbatch", tmp_path, str(SLURM / "jobs.txt"), "data=full", **array)
        name = line.replace("=", "-").replace(" ", "__")
        assert commands == [f"srun audiobag-train {line} data=full hydra.run.dir=outputs/sweeps/jobs/{name}"]
    ended, commands = run(
        SLURM / "sweep.sbatch", tmp_path, str(SLURM / "jobs.txt"), SLURM_ARRAY_TASK_ID=str(len(lines) + 1)
    )
    assert (ended, commands) == (ExitCode.USER, [])
