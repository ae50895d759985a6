"""The configuration of a job: what the sweep composed, whatever changes after that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from audiobag.runs import RunConfig
from audiobag.runs.directory import RunDirectory
from audiobag.sweep import launch, pool
from audiobag.sweep.child import start
from audiobag.sweep.handover import HandedOver, read
from audiobag.sweep.launch import run_one
from tests.commands import run_command

SMALL = ("data.batch_size=16", "trainer.max_steps=2", "threads=1")
CONFIG = {"seed": 0, "optimizer": {"lr": 1e-5, "name": "1e-5", "betas": [0.9, float("inf")]}, "tags": [], "off": None}


train = partial(run_command, "train")


def record(folder: Path) -> dict[str, Any]:
    return dict(RunDirectory(folder).config().config)


def test_a_configuration_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = HandedOver(
        RunConfig(CONFIG, ["seed=0"], {"pooling": "max"}, ["seed", "data.seed"]), {"run": {"dir": "x"}}
    )
    written.write(tmp_path)
    assert read(tmp_path, written.record.hash) == written


@pytest.mark.parametrize("damage", ["", "config: [", "config: {seed: 1}"])
def test_a_damaged_file_is_refused(damage: str, tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(damage)
    with pytest.raises(ValueError, match=r"job\.yaml cannot be read .*: start the sweep again"):
        read(tmp_path, "0")


def test_a_file_of_another_configuration_is_refused_before_a_step(data: Path, tmp_path: Path) -> None:
    """As after a second sweep into the same folder, while the jobs of the first wait in a queue."""
    HandedOver(RunConfig(CONFIG), {}).write(tmp_path)
    job = [sys.executable, "-m", "audiobag.cli.job", str(tmp_path), "0123456789abcdef"]
    refused = subprocess.run(job, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 2
    assert "expected 0123456789abcdef, which the sweep composed" in refused.stderr
    assert not (tmp_path / "config.json").exists()


def test_every_other_launcher_refuses_a_file_of_another_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    HandedOver(RunConfig(CONFIG), {}).write(tmp_path)
    monkeypatch.setenv("AUDIOBAG_CONFIG_HASH", "0123456789abcdef")
    with pytest.raises(ValueError, match="expected 0123456789abcdef"):
        run_one(OmegaConf.create({"sweep": {"dir": "s"}}), RunConfig(CONFIG), tmp_path)


@pytest.mark.parametrize(("launcher", "seeds"), [("pool", "3,4"), ("basic", "3"), ("submitit_local", "3")])
def test_a_job_is_what_the_sweep_composed(launcher: str, seeds: str, data: Path, tmp_path: Path) -> None:
    """--config-dir with --config-name, a key of one's own, and a value of the environment."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "own.yaml").write_text(
        "defaults: [train, override /embedding: mlp, override /pooling: average, _self_]\n"
        "units: 12\nembedding: {width: '${units}', depth: '${oc.decode:${oc.env:DEPTH}}'}\n"
        "tags: ['${hydra:job.num}']\n"
    )
    options = ("--config-dir", "mine", "--config-name", "own", *SMALL, f"data.root={data}", f"seed={seeds}")
    folder = ("hydra.sweep.dir=sweep", f"hydra/launcher={launcher}")
    done = train("-m", *options, *folder, DEPTH="2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    runs = sorted(path.parent for path in (tmp_path / "sweep").rglob("metrics.json"))
    for number, (run, seed) in enumerate(zip(runs, map(int, seeds.split(",")), strict=True)):
        config = record(run)
        assert (config["seed"], config["pooling"]["measure"]["_target_"]) == (seed, "audiobag.pooling.Average")
        assert config["embedding"] | {"width": 12, "depth": 2} == config["embedding"]
        assert config["tags"] == [str(number)] or config["tags"] == [number]
        assert "embedding.width" not in (run / ".hydra" / "overrides.yaml").read_text()


def count_up() -> None:
    """Register a resolver that answers with another number each time it is asked."""
    numbers = count(1)
    OmegaConf.register_new_resolver("number", lambda: next(numbers))


@pytest.mark.parametrize("options", [(), ("-m",), ("-m", "hydra/launcher=basic")], ids=["run", "pool", "basic"])
def test_what_is_recorded_is_what_is_trained(options: tuple[str, ...], data: Path, tmp_path: Path) -> None:
    """As a whole, though a resolver answers with another number each time."""
    flags, own = options[:1], options[1:]
    where = "hydra.sweep.dir=." if flags else "hydra.run.dir=job"
    given = ("seed=3", "hydra.sweep.subdir=job") if flags else ("seed=3",)
    width = "embedding.width=${number:}"
    done = train(*flags, *SMALL, *own, f"data.root={data}", where, *given, width, first=count_up, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    run = RunDirectory(tmp_path / "job")
    trained = run.scored_checkpoint()
    content = torch.load(trained, weights_only=True)
    sizes = {len(values) for key, values in content["state_dict"].items() if key.endswith("embedding.dense.0.weight")}
    config = run.config()
    assert sizes == {config.config["embedding"]["width"]}
    assert content["audiobag"]["config"] == config.config
    assert "embedding.width" not in config.follows_seed


def test_a_job_is_a_single_run_whatever_its_experiment_says(data: Path, tmp_path: Path) -> None:
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "again.yaml").write_text(
        "# @package _global_\nhydra: {mode: MULTIRUN, sweeper: {params: {seed: '0,1'}}}\n"
    )
    done = train(
        *SMALL, "experiment=again", "embedding.width=8", f"data.root={data}", "hydra.sweep.dir=s", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    runs = sorted(str(p.parent.relative_to(tmp_path)) for p in tmp_path.rglob("metrics.json"))
    assert runs == ["s/seed-0", "s/seed-1"]


def refused_jobs() -> None:
    """Let jobs end at once with a sentence, as those of a wrong configuration do after some seconds."""
    refused = "import sys; sys.stderr.write('audiobag: no store at nowhere\\n'); sys.exit(2)"
    pool.job_command = launch.job_command = lambda folder, expected: [sys.executable, "-c", refused]


@pytest.mark.parametrize("launcher", ["pool", "basic"])
@pytest.mark.parametrize("subdir", ["${hydra.job.num}", "${hydra:job.id}", "n${hydra:job.num}/x"])
def test_folders_may_have_the_numbers_of_the_jobs(subdir: str, launcher: str, tmp_path: Path) -> None:
    options = ("seed=5,6", f"hydra.sweep.subdir={subdir}", "hydra.sweep.dir=s", f"hydra/launcher={launcher}")
    refused = train("-m", *SMALL, *options, first=refused_jobs, cwd=tmp_path)
    assert refused.returncode == (3 if launcher == "pool" else 2)
    assert "Traceback" not in refused.stderr
    assert "no store at nowhere" in refused.stderr
    folders = {str(p.parent.relative_to(tmp_path / "s")) for p in (tmp_path / "s").rglob("job.yaml")}
    assert folders == {
        subdir.replace("${hydra.job.num}", n).replace("${hydra:job.id}", n).replace("${hydra:job.num}", n) for n in "01"
    }


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_a_dry_run_shows_the_jobs_of_every_batch(batch: int, tmp_path: Path) -> None:
    plan = ("hydra.launcher.dry_run=true", f"hydra.sweeper.max_batch_size={batch}")
    done = train("-m", "seed=0,1,2", *plan, cwd=tmp_path)
    assert done.returncode == 0
    assert all(f" seed-{seed} " in done.stderr for seed in range(3))
    assert not list(tmp_path.rglob("job.yaml"))


def test_a_dry_run_of_a_search_shows_its_first_jobs(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    options = ("sweep=search_attention", "hydra.launcher.dry_run=true", "hydra.sweeper.n_jobs=2")
    done = train(*options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(" run ") == 2


@pytest.mark.parametrize("launcher", ["pool", "basic"])
def test_modules_of_the_working_directory_do_not_reach_the_jobs(launcher: str, data: Path, tmp_path: Path) -> None:
    (tmp_path / "random.py").write_text("raise RuntimeError('the random.py of the user')\n")
    (tmp_path / "audiobag").mkdir()
    (tmp_path / "audiobag" / "__init__.py").write_text("raise RuntimeError('the audiobag of the user')\n")
    options = (*SMALL, "embedding.width=8", f"data.root={data}", "hydra.sweep.dir=s", f"hydra/launcher={launcher}")
    done = train("-m", *options, "seed=0", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "s" / "seed-0" / "metrics.json").exists() or list((tmp_path / "s").rglob("metrics.json"))


NUMBER = """
import os
from audiobag.cli.train import main
from omegaconf import OmegaConf
OmegaConf.register_new_resolver("process", lambda: 8 + os.getpid() % 97)
if __name__ == "__main__":
    main()
"""


def test_the_ranks_of_a_run_train_what_the_first_rank_records(data: Path, tmp_path: Path) -> None:
    """A value that is another one in each process."""
    (tmp_path / "mine.py").write_text(NUMBER)
    options = (*SMALL, "embedding.width=${process:}", f"data.root={data}", "hydra.run.dir=run", "trainer=ddp_cpu")
    done = subprocess.run(
        [sys.executable, str(tmp_path / "mine.py"), *options],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["train"]["devices"] == 2


@pytest.mark.parametrize("launcher", ["pool", "basic"])
def test_a_job_that_a_search_proposes_twice_runs_once(launcher: str, data: Path, tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    search = ("hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", "hydra.sweeper.n_jobs=2", "seed=choice(3)")
    where = (f"data.root={data}", "hydra.sweep.dir=s", f"hydra/launcher={launcher}", "hydra.sweeper.direction=maximize")
    done = train("-m", *SMALL, "embedding.width=8", *search, *where, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (written,) = (tmp_path / "s").rglob("metrics.json")
    best = OmegaConf.load(tmp_path / "s" / "optimization_results.yaml").best_value
    assert best == json.loads(written.read_text())["val"]["mAP"]


def test_a_search_without_a_complete_trial_ends_with_3(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    search = ("sweep=search_attention", "hydra.sweeper.n_trials=1", "hydra.sweeper.n_jobs=1")
    done = train(*search, "hydra.sweep.dir=s", first=refused_jobs, cwd=tmp_path)
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].startswith("audiobag: no trial of the search is complete")
    assert "Traceback" not in done.stderr


OWN = """
from audiobag.embedding import MLP
class Mine(MLP): pass
"""


@pytest.mark.parametrize("options", [(), ("-m", "hydra.sweep.dir=s"), ("trainer=ddp_cpu", "-m", "hydra.sweep.dir=s")])
def test_modules_that_a_run_finds_are_found_by_jobs_and_their_ranks(
    options: tuple[str, ...], data: Path, tmp_path: Path
) -> None:
    """Beside the script that calls main, and in PYTHONPATH."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "scripts" / "beside.py").write_text(OWN)
    (tmp_path / "elsewhere" / "far.py").write_text("from torch.optim import Adam as Far\n")
    script = tmp_path / "scripts" / "mine.py"
    script.write_text("from audiobag.cli.train import main\nif __name__ == '__main__':\n    main()\n")
    own = ("embedding._target_=beside.Mine", "optimizer._target_=far.Far", "embedding.width=8")
    command = [sys.executable, str(script), *options, *SMALL, *own, f"data.root={data}", "seed=0"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(tmp_path / "elsewhere")}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    (written,) = tmp_path.rglob("metrics.json")
    assert json.loads(written.read_text())["status"] == "done"


def test_a_job_runs_the_code_that_its_sweep_froze(tmp_path: Path) -> None:
    code = tmp_path / "code"
    (code / "audiobag").mkdir(parents=True)
    (code / "audiobag" / "__init__.py").write_text("frozen = True\n")
    (code / "revision.json").write_text('{"audiobag": {"revision": "abc-dirty"}}')
    program = "import audiobag, os; print(audiobag.frozen, os.environ['AUDIOBAG_REVISION'])"
    assert start([sys.executable, "-c", program], tmp_path / "job", {}, code).wait(60) == 0
    assert (tmp_path / "job" / "job.log").read_text() == "True abc-dirty\n"
