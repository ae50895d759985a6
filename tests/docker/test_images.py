"""The files that the images are built from, without building them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.composing import composed

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "docker" / "Dockerfile"
ENTRYPOINT = ROOT / "docker" / "entrypoint.sh"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_dockerfile_passes_its_linter() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_images_have_the_version_and_extras_of_the_project() -> None:
    lines = DOCKERFILE.read_text().splitlines()
    assert lines.count(f"ARG VERSION={PROJECT['version']}") == 2
    (extras,) = [line.split('"')[1].split() for line in lines if line.startswith("ARG EXTRAS=")]
    assert set(extras) <= set(PROJECT["optional-dependencies"])


def test_build_context_contains_exactly_what_the_build_copies() -> None:
    """.dockerignore lists what is included, so that data and outputs are not."""
    first, *rest = [x for x in (ROOT / ".dockerignore").read_text().splitlines() if not x.startswith("#")]
    allowed = {x.removeprefix("!") for x in rest if x.startswith("!")}
    copies = [line.split()[1:-1] for line in DOCKERFILE.read_text().splitlines() if line.startswith("COPY ")]
    assert first == "*"
    assert allowed == {source for sources in copies for source in sources if not sources[0].startswith("--from=")}
    assert all((ROOT / path).exists() for path in allowed)


@pytest.fixture
def fakes(tmp_path: Path) -> dict[str, str]:
    """An environment in which each command prints its name and arguments, and `prepare` takes a second."""
    for name in PROJECT["scripts"]:
        script = tmp_path / name
        pause = "sleep 1\n" if name == "audiobag-prepare" else ""
        script.write_text(f'#!/bin/sh\necho {name} "$@"\n{pause}')
        script.chmod(0o755)
    return {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        ([], "audiobag-prepare source=synthetic\naudiobag-train\n"),
        (["main", "trainer=gpu"], "audiobag-prepare source=synthetic\naudiobag-train trainer=gpu\n"),
        (["train", "-m", "seed=0,1", "a=[b, c]"], "audiobag-train -m seed=0,1 a=[b, c]\n"),
        *(([name.removeprefix("audiobag-"), "x=1"], f"{name} x=1\n") for name in PROJECT["scripts"]),
        (["echo", "other", "programs"], "other programs\n"),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, list) else "",
)
def test_entrypoint_runs(arguments: list[str], printed: str, fakes: dict[str, str]) -> None:
    done = subprocess.run(["sh", ENTRYPOINT, *arguments], env=fakes, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, printed, "")


def test_main_job_interrupted_while_it_prepares_exits_with_75(fakes: dict[str, str]) -> None:
    with subprocess.Popen(["sh", ENTRYPOINT], env=fakes, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "audiobag-prepare source=synthetic\n"
        time.sleep(0.1)
        running.send_signal(signal.SIGTERM)
        assert running.wait(30) == 75
        assert running.stdout.read() == ""


def test_commands_of_the_compose_file_are_valid() -> None:
    services = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())["services"]
    assert services
    for service in services.values():
        command, *arguments = service["command"]
        overrides = [a for a in arguments if a != "-m"]
        if "-m" in arguments:
            overrides = [a.split(",")[0] for a in overrides]
        paths = [] if command == "prepare" else ["paths.run=."]
        assert composed(command, *overrides, *paths)
        assert service["build"]["target"] == "gpu"
        assert (ROOT / "docker" / service["build"]["context"] / service["build"]["dockerfile"]).resolve() == DOCKERFILE
        assert (service["read_only"], service["tmpfs"], service["shm_size"]) == (True, ["/tmp"], "1gb")
