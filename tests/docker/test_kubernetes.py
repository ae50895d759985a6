"""The Kubernetes files, as kustomize combines them: they are valid, and their scripts and failure policies work."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
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
    """Return the resources of the data set and of an overlay by name."""
    return {**kustomized(K8S / "data"), **kustomized(K8S / "overlays" / overlay)}


def kustomized(folder: Path) -> dict[str, Resource]:
    """Return the resources of a folder by name; implements the part of kustomize that the files use."""
    top = yaml.safe_load((folder / "kustomization.yaml").read_text())
    found: list[Resource] = []
    for name in top["resources"]:
        path = (folder / name).resolve()
        found += kustomized(path).values() if path.is_dir() else list(yaml.safe_load_all(path.read_text()))
    for patch in top.get("patches", ()):
        (target,) = [r for r in found if r["kind"] == patch["target"]["kind"] and named(r) == patch["target"]["name"]]
        for operation in yaml.safe_load(patch["patch"]):
            assert operation["op"] in ("add", "replace")
            *keys, last = operation["path"].lstrip("/").split("/")
            place: Any = target
            for key in keys:
                place = place[int(key)] if isinstance(place, list) else place[key]
            assert operation["op"] == "add" or last in place
            if last == "-":
                place.append(operation["value"])
            else:
                place[last.replace("~1", "/")] = operation["value"]
    for generated in top.get("configMapGenerator", ()):
        content = dict(literal.split("=", 1) for literal in generated.get("literals", ()))
        content |= {name: (folder / name).read_text() for name in generated.get("files", ())}
        found = [r for r in found if named(r) != generated["name"]]
        found.append(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": generated["name"]}, "data": content}
        )
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
    pod = spec["template"]["spec"]
    there = {container["name"] for container in (*pod["containers"], *pod.get("initContainers", ()))}
    assert {r["onExitCodes"]["containerName"] for r in spec["podFailurePolicy"]["rules"] if "onExitCodes" in r} == there


def configured(container: Resource) -> dict[str, str]:
    """Return the variables that a container takes from ConfigMaps."""
    maps = combined("cpu")
    references = {e["name"]: e["valueFrom"].get("configMapKeyRef") for e in container["env"] if "valueFrom" in e}
    return {name: maps[ref["name"]]["data"][ref["key"]] for name, ref in references.items() if ref}


def run(container: Resource, folder: Path, code: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command of a container with a fake `audiobag` that prints SWEEP and its arguments."""
    fake = folder / "audiobag"
    fake.write_text(f'#!/bin/sh\necho "${{{SWEEP}:-}}" "$@"\nexit {code}\n')
    fake.chmod(0o755)
    own = {e["name"]: e["value"] for e in container["env"] if "value" in e}
    own |= {name: value for name, value in configured(container).items() if name not in own}
    command = [*container.get("command", []), *container["args"]]
    # As Kubernetes does: references to variables of the container, and no other.
    command = [re.sub(r"\$\((\w+)\)", lambda m: own.get(m[1], m[0]), word) for word in command[command.index("sh") :]]
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
        assert {f"trainer={overlay}", "data.root=/data/synthetic/small"} <= set(options)
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


def test_the_stores_are_where_one_setting_says() -> None:
    resources = combined("gpu")
    folder = resources["audiobag-settings"]["data"]["DATA"]
    (prepare,) = pods(resources["audiobag-prepare"])
    assert prepare["containers"][0]["args"][-1] == "out=$(DATA)"
    for name in ("audiobag-sweep", "audiobag-ddp"):
        for pod in pods(resources[name]):
            assert "data.root=$(DATA)" in pod["containers"][0]["args"]
            for container in (*pod["containers"], *pod["initContainers"]):
                assert configured(container)["DATA"] == folder
    text = "".join(path.read_text() for path in K8S.rglob("*.yaml"))
    assert text.count(folder) == 1


def test_nothing_waits_without_end(tmp_path: Path) -> None:
    resources = combined("gpu")
    for name in ("audiobag-prepare", "audiobag-sweep"):
        assert resources[name]["spec"]["activeDeadlineSeconds"] <= 604800
        assert resources[name]["spec"]["ttlSecondsAfterFinished"] <= 604800
    assert {"activeDeadlineSeconds", "ttlSecondsAfterFinished"} <= resources["audiobag-ddp"]["spec"]["runPolicy"].keys()
    sleep = tmp_path / "sleep"
    sleep.write_text("#!/bin/sh\n")
    sleep.chmod(0o755)
    (pod,) = pods(resources["audiobag-sweep"])
    (waiting,) = pod["initContainers"]
    assert "nvidia.com/gpu" not in str(waiting)
    for there, code in ((False, ExitCode.USER), (True, ExitCode.DONE)):
        if there:
            (tmp_path / "eval.h5").touch()
        command = [word.replace("$(DATA)", str(tmp_path)) for word in waiting["args"]]
        path = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
        assert subprocess.run(command, env=path, capture_output=True, timeout=60, check=False).returncode == code


def test_an_overlay_for_the_jobs_of_a_file_has_their_number_and_its_name(tmp_path: Path) -> None:
    shutil.copytree(K8S, tmp_path / "k8s")
    (tmp_path / "mine.txt").write_text("pooling=max seed=0\n\npooling=max seed=1\n   \n")
    command = ["sh", tmp_path / "k8s" / "overlay.sh", "mine", "gpu", tmp_path / "mine.txt"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, "2 jobs: kubectl apply -k" in done.stdout) == (0, True)
    resources = kustomized(tmp_path / "k8s" / "overlays" / "mine")
    assert resources["audiobag-sweep"]["spec"]["completions"] == 2
    assert resources["audiobag-jobs"]["data"] == {
        "name": "mine",
        "jobs.txt": "pooling=max seed=0\npooling=max seed=1\n",
    }
    again = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (again.returncode, "choose another name" in again.stderr) == (2, True)


def test_images_have_the_version_of_the_project() -> None:
    version = tomllib.loads((K8S.parents[1] / "pyproject.toml").read_text())["project"]["version"]
    for folder, target in (("data", "cpu"), ("overlays/cpu", "cpu"), ("overlays/gpu", "gpu")):
        (image,) = yaml.safe_load((K8S / folder / "kustomization.yaml").read_text())["images"]
        assert image["newTag"] == f"{version}-{target}"
    compose = yaml.safe_load((K8S.parent / "compose.yaml").read_text())
    assert compose["x-audiobag"]["image"] == f"audiobag:{version}-gpu"
