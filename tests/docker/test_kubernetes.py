"""The Kubernetes files, as kustomize combines them: they are valid, and their scripts and failure policies work."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from audiobag.sweep.child import SWEEP
from audiobag.utils.errors import ExitCode
from tests.composing import composed

K8S = Path(__file__).parents[2] / "docker" / "k8s"
OVERLAYS = ("cpu", "gpu")
Resource = dict[str, Any]


def combined(overlay: str) -> dict[str, Resource]:
    """Return the resources of an overlay by name; implements the part of kustomize that the files use."""
    folder = K8S / "overlays" / overlay
    top = yaml.safe_load((folder / "kustomization.yaml").read_text())
    base = (folder / top["resources"][0]).resolve()
    inner = yaml.safe_load((base / "kustomization.yaml").read_text())
    found = [r for name in inner["resources"] for r in yaml.safe_load_all((base / name).read_text())]
    for patch in top["patches"]:
        (target,) = [r for r in found if r["kind"] == patch["target"]["kind"] and named(r) == patch["target"]["name"]]
        for operation in yaml.safe_load(patch["patch"]):
            assert operation["op"] == "add"
            *path, last = operation["path"].lstrip("/").split("/")
            place: Any = target
            for key in path:
                place = place[int(key)] if isinstance(place, list) else place[key]
            if last == "-":
                place.append(operation["value"])
            else:
                place[last.replace("~1", "/")] = operation["value"]
    for generated in inner["configMapGenerator"]:
        files = {name: (base / name).read_text() for name in generated["files"]}
        found.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": generated["name"]}, "data": files})
    return {named(r): r for r in found}


def named(resource: Resource) -> str:
    return str(resource["metadata"]["name"])


def pods(resource: Resource) -> list[Resource]:
    spec = resource["spec"]
    replicas = spec.get("pytorchReplicaSpecs")
    return [r["template"]["spec"] for r in replicas.values()] if replicas else [spec["template"]["spec"]]


JOBS = [(overlay, name) for overlay in OVERLAYS for name in ("audiobag-prepare", "audiobag-sweep", "audiobag-ddp")]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlay_is_valid(overlay: str) -> None:
    version = kubernetes_validate.latest_version()
    for name, resource in combined(overlay).items():
        if name != "audiobag-ddp":
            kubernetes_validate.validate(resource, version, strict=True)
            continue
        for pod in pods(resource):  # a PyTorchJob is not in the schemas of Kubernetes, but its pods are
            assert {c["name"] for c in pod["containers"]} == {"pytorch"}
            as_pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": pod}
            kubernetes_validate.validate(as_pod, version, strict=True)


@pytest.mark.parametrize(("overlay", "name"), JOBS)
def test_pods_are_unprivileged_and_their_volumes_exist(overlay: str, name: str) -> None:
    resources = combined(overlay)
    for pod in pods(resources[name]):
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        volumes = {v["name"]: v for v in pod["volumes"]}
        assert {m["name"] for m in container["volumeMounts"]} == volumes.keys()
        assert {"/data", "/outputs", "/tmp"} <= {m["mountPath"] for m in container["volumeMounts"]}
        for volume in volumes.values():
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in resources
            if "configMap" in volume:
                assert volume["configMap"]["name"] in resources
        if name != "audiobag-prepare":
            assert volumes["shm"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "1Gi"}
            assert container["resources"]["limits"].get("nvidia.com/gpu") == (1 if overlay == "gpu" else None)
            assert container["args"][-1].startswith("trainer=")


@pytest.mark.parametrize("name", ["audiobag-prepare", "audiobag-sweep"])
def test_failure_policy_handles_the_exit_codes(name: str) -> None:
    spec = combined("gpu")[name]["spec"]
    rules = [(r["action"], r["onExitCodes"]["values"]) for r in spec["podFailurePolicy"]["rules"] if "onExitCodes" in r]
    actions = {code: action for action, codes in rules for code in codes}
    assert actions[ExitCode.INTERRUPTED] == "Ignore"
    assert actions[ExitCode.USER].startswith("Fail")
    assert actions.get(ExitCode.CRASH, "Count") == "Count"
    assert actions.keys() <= set(ExitCode) - {ExitCode.DONE}
    assert spec["template"]["spec"]["restartPolicy"] == "Never", "required by a failure policy"
    assert {r["onExitCodes"]["containerName"] for r in spec["podFailurePolicy"]["rules"] if "onExitCodes" in r} == {
        spec["template"]["spec"]["containers"][0]["name"]
    }


def run(container: Resource, folder: Path, code: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command of a container with a fake `audiobag` that prints SWEEP and its arguments."""
    fake = folder / "audiobag"
    fake.write_text(f'#!/bin/sh\necho "${{{SWEEP}:-}}" "$@"\nexit {code}\n')
    fake.chmod(0o755)
    command = [*container.get("command", []), *container["args"]]
    command = command[command.index("sh") :]
    own = {e["name"]: e["value"] for e in container["env"] if "value" in e}
    environment = {**os.environ, **own, **variables, "PATH": f"{folder}:{os.environ['PATH']}"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_index_runs_its_line_in_its_own_folder(overlay: str, tmp_path: Path) -> None:
    resources = combined(overlay)
    spec = resources["audiobag-sweep"]["spec"]
    lines = resources["audiobag-jobs"]["data"]["jobs.txt"]
    assert len(lines.splitlines()) == spec["completions"]
    (tmp_path / "jobs.txt").write_text(lines)
    seen = set()
    for index, line in enumerate(lines.splitlines()):
        variables = {"JOB_COMPLETION_INDEX": str(index), "JOBS": str(tmp_path / "jobs.txt")}
        done = run(spec["template"]["spec"]["containers"][0], tmp_path, **variables)
        sweep, command, *options = done.stdout.split()
        assert (done.returncode, sweep, command) == (0, "kubernetes", "train")
        assert options[: len(line.split())] == line.split()
        assert f"trainer={overlay}" in options
        name = line.replace("=", "-").replace(" ", "__")
        assert options[-1] == f"hydra.run.dir=outputs/sweeps/kubernetes/{name}"
        assert composed("train", *options[:-1], f"paths.run={tmp_path}")
        seen.add(name)
    assert len(seen) == spec["completions"]


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (1, 1), (2, 2), (3, 3), (75, 143)])
def test_operator_restarts_only_interrupted_runs(code: int, expected: int, tmp_path: Path) -> None:
    job = combined("cpu")["audiobag-ddp"]
    replicas = job["spec"]["pytorchReplicaSpecs"].values()
    assert {r["restartPolicy"] for r in replicas} == {"ExitCode"}
    for pod in pods(job):
        done = run(pod["containers"][0], tmp_path, code, RANK="1", WORLD_SIZE="2")
        command, *options = done.stdout.split()
        assert (done.returncode, command) == (expected, "train")
        assert f"trainer.num_nodes={sum(r['replicas'] for r in replicas)}" in options
        assert composed("train", *(o for o in options if not o.startswith("hydra.")), f"paths.run={tmp_path}")


def test_slurm_and_kubernetes_have_the_same_sweep() -> None:
    assert (K8S / "base" / "jobs.txt").read_text() == (K8S.parent / "slurm" / "jobs.txt").read_text()
