"""The cpu image, built and run by an arbitrary user on a read-only root file system.

Needs buildah and podman. AUDIOBAG_BUILD_OPTIONS holds further options of the build on this machine: mounts of
certificates, of pip's configuration or of wheels, or a build argument such as TORCH_INDEX or BASE.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
IMAGE = "localhost/audiobag:acceptance"
REVISION = "0123456789abcdef0123456789abcdef01234567"
CALLER = 4321  # neither root nor the user of the image, and in no passwd file
SMALL = ("data.batch_size=100", "embedding.width=32", "trainer.val_check_interval=10", "threads=1")
pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.timeout(3000),
    pytest.mark.skipif(not shutil.which("buildah") or not shutil.which("podman"), reason="needs buildah and podman"),
]


def build() -> str:
    """Build the image as documented; return the output."""
    options = shlex.split(os.environ.get("AUDIOBAG_BUILD_OPTIONS", ""))
    command = ["buildah", "build", "--format=docker", "--layers", "--file=docker/Dockerfile", "--target=cpu"]
    command += [f"--build-arg=REVISION={REVISION}", f"--tag={IMAGE}", *options, "."]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=2400, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def image() -> dict[str, Any]:
    """The image's metadata, after it is built."""
    options = os.environ.get("AUDIOBAG_BUILD_OPTIONS", "")
    dockerfile = (ROOT / "docker" / "Dockerfile").read_text()
    base = re.search(r"--build-arg[= ]BASE=(\S+)", options) or re.search(r"^ARG BASE=(\S+)$", dockerfile, re.MULTILINE)
    assert base is not None
    name = base[1]
    here = subprocess.run(["podman", "image", "exists", name], timeout=60, check=False).returncode == 0
    if not here and subprocess.run(["podman", "pull", "--quiet", name], timeout=600, check=False).returncode != 0:
        pytest.skip(f"{name} is not on this machine and cannot be pulled")
    build()
    inspect = subprocess.run(["podman", "image", "inspect", IMAGE], capture_output=True, timeout=60, check=True)
    found: dict[str, Any] = json.loads(inspect.stdout)[0]
    return found


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Folders to mount that belong to the caller."""
    for name in ("data", "outputs"):
        (tmp_path / name).mkdir()
        os.chown(tmp_path / name, CALLER, CALLER)
    return tmp_path


def begin(place: Path, name: str, *arguments: str) -> subprocess.Popen[str]:
    command = ["podman", "run", "--rm", f"--name={name}", "--read-only", f"--user={CALLER}:{CALLER}"]
    command += [f"--volume={place}/data:/data", f"--volume={place}/outputs:/outputs", IMAGE, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def run(place: Path, name: str, *arguments: str) -> str:
    running = begin(place, name, *arguments)
    output, _ = running.communicate(timeout=600)
    assert running.returncode == 0, output
    return output


@pytest.fixture(autouse=True)
def _no_container_left() -> Iterator[None]:
    yield
    for name in ("main", "sweep", "stopped"):
        subprocess.run(["podman", "rm", "--force", "--ignore", "--time=0", f"audiobag-{name}"], timeout=60, check=False)


def test_image_is_labelled_with_version_and_revision(image: dict[str, Any]) -> None:
    labels = image["Labels"]
    assert labels["org.opencontainers.image.version"] == VERSION
    assert labels["org.opencontainers.image.revision"] == REVISION
    assert image["Config"]["User"] == "1000:1000"
    sys.stderr.write(f"\nthe cpu image has {image['Size'] / 1e9:.2f} GB\n")
    assert image["Size"] < 2.5e9, "too large for torch without CUDA: was TORCH_INDEX given?"


def test_an_edit_of_the_source_reinstalls_only_audiobag(image: dict[str, Any]) -> None:
    marker = ROOT / "src" / "audiobag" / "edited.py"
    marker.write_text("EDITED = True\n")
    try:
        began = time.monotonic()
        output = build()
        sys.stderr.write(f"\nbuilt again after an edit in {time.monotonic() - began:.0f} s\n")
    finally:
        marker.unlink()
    assert re.findall(r"Successfully installed (.*)", output) == [f"audiobag-{VERSION}"]


def test_bill_of_materials_lists_the_installed_packages(image: dict[str, Any], place: Path) -> None:
    listing = "import importlib.metadata as m; print(*sorted(f'{d.name}=={d.version}' for d in m.distributions()))"
    installed = set(run(place, "audiobag-main", "python", "-c", listing).split())
    bill = json.loads(run(place, "audiobag-main", "cat", "/opt/audiobag/sbom.cdx.json"))
    assert bill["bomFormat"] == "CycloneDX"
    known = {f"{c['name']}=={c['version']}" for c in (bill["metadata"]["component"], *bill["components"])}
    assert {x.lower().replace("_", "-") for x in known} == {x.lower().replace("_", "-") for x in installed}


def test_main_job_trains_and_its_files_belong_to_the_caller(image: dict[str, Any], place: Path) -> None:
    output = run(place, "audiobag-main", "main", "trainer.max_steps=20", "hydra.run.dir=outputs/one", *SMALL)
    record = json.loads((place / "outputs" / "one" / "metrics.json").read_text())
    assert record["status"] == "done", output
    assert record["git_revision"] == REVISION
    assert 0 < record["test"]["mAP"] < 1
    written = [p for folder in ("data", "outputs") for p in (place / folder).rglob("*")]
    assert len(written) > 10
    assert {(p.stat().st_uid, p.stat().st_gid) for p in written} == {(CALLER, CALLER)}


def test_sweep_in_mounted_folders(image: dict[str, Any], place: Path) -> None:
    run(place, "audiobag-sweep", "prepare", "source=synthetic", "size=tiny")
    options = ("data.root=data/synthetic/tiny", "trainer.max_steps=10", *SMALL)
    output = run(place, "audiobag-sweep", "train", "-m", *options, "pooling=average,max")
    jobs = sorted(p.parent.name for p in (place / "outputs" / "sweeps").glob("*/*/metrics.json"))
    assert jobs == ["pooling-average", "pooling-max"], output


def test_sigterm_ends_a_run_with_75_and_the_same_command_continues_it(image: dict[str, Any], place: Path) -> None:
    run(place, "audiobag-stopped", "prepare", "source=synthetic", "size=tiny")
    options = ("data.root=data/synthetic/tiny", "trainer.max_steps=300", *SMALL)
    command = ("train", "hydra.run.dir=outputs/one", *options)
    running = begin(place, "audiobag-stopped", *command)
    while not (place / "outputs" / "one" / "progress.json").exists() and running.poll() is None:
        time.sleep(0.1)
    subprocess.run(["podman", "kill", "--signal=TERM", "audiobag-stopped"], timeout=60, check=True)
    output, _ = running.communicate(timeout=120)
    assert running.returncode == 75, output
    assert list((place / "outputs" / "one" / "checkpoints").glob("step-*.ckpt"))
    assert not (place / "outputs" / "one" / "metrics.json").exists()
    assert "continuing from" in run(place, "audiobag-stopped", *command)
    assert (place / "outputs" / "one" / "metrics.json").exists()
