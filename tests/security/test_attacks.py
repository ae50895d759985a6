"""Files from strangers: each attack ends in one sentence, soon, in little memory, and runs nothing.

Beside these: names and links in archives, and pickles in NPZ, in tests/prepare; lengths of 2^60 in
tests/prepare/test_records.py; what a configuration may name in tests/test_trust.py.
"""

from __future__ import annotations

import gzip
import http.server
import json
import os
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from audiobag.checkpoint import load_checkpoint
from audiobag.errors import UserError
from audiobag.experiment import evaluate, train
from audiobag.export import load
from audiobag.prepare import prepare
from audiobag.prepare.download import download
from audiobag.runs import RunDirectory
from audiobag.store import Store, open_store
from tests.composing import composed, small_training
from tests.conftest import make_store

HUGE = 2**40


@contextmanager
def little_memory(limit: int = 2**29) -> Iterator[None]:
    """Fail with MemoryError where the block takes much more address space than there was."""
    with Path("/proc/self/statm").open() as statm:
        now = int(statm.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_a_checkpoint_that_is_a_pickle_bomb(tmp_path: Path) -> None:
    torch.save({"audiobag": {"format": 1}, "state_dict": Bomb(tmp_path / "owned")}, tmp_path / "a.ckpt")
    with pytest.raises(UserError, match="damaged or no audiobag checkpoint"):
        load_checkpoint(tmp_path / "a.ckpt")
    assert not (tmp_path / "owned").exists()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last checkpoint of a small training."""
    folder = tmp_path_factory.mktemp("trained")
    make_store(folder / "bal_train.h5", clips=40, classes=5)
    make_store(folder / "eval.h5", clips=20, classes=5, seed=1)
    train(small_training(folder, folder / "run", "trainer.max_steps=2"), RunDirectory(folder / "run"), {})
    return folder / "run" / "checkpoints" / "step-00000002.ckpt"


@pytest.mark.parametrize("part", ["embedding", "pooling", "loss", "optimizer", "scheduler"])
@pytest.mark.parametrize("target", ["os.mkdir", "torch.hub.load", "torch.load"])
def test_a_checkpoint_whose_configuration_calls(trained: Path, tmp_path: Path, part: str, target: str) -> None:
    content = dict(load_checkpoint(trained))
    content["audiobag"]["config"][part] = {"_target_": target, "path": str(tmp_path / "owned")}
    evil = tmp_path / "evil.ckpt"
    torch.save(content, evil)
    with pytest.raises(UserError, match=f"names '{target}'; expected a class"):
        evaluate(composed("evaluate", f"checkpoint={evil}", f"paths.run={tmp_path}"), RunDirectory(tmp_path))
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("part", ["data", "callbacks"])
def test_what_a_checkpoint_says_of_data_and_callbacks_is_not_called(trained: Path, tmp_path: Path, part: str) -> None:
    content = dict(load_checkpoint(trained))
    config = content["audiobag"]["config"]
    evil = {"_target_": "os.mkdir", "path": str(tmp_path / "owned")}
    config[part] = {**config[part], "_target_": "os.mkdir", "sampler": evil, "score": evil}
    torch.save(content, tmp_path / "evil.ckpt")
    overrides = (f"checkpoint={tmp_path / 'evil.ckpt'}", f"paths.run={tmp_path}")
    assert evaluate(composed("evaluate", *overrides), RunDirectory(tmp_path))["step"] == 2
    assert not (tmp_path / "owned").exists()


def test_weights_of_another_shape(trained: Path, tmp_path: Path) -> None:
    content = dict(load_checkpoint(trained))
    content["state_dict"] = {k: v[:1] for k, v in content["state_dict"].items()}
    torch.save(content, tmp_path / "other.ckpt")
    config = composed("evaluate", f"checkpoint={tmp_path / 'other.ckpt'}", f"paths.run={tmp_path}")
    with pytest.raises(UserError, match="its weights do not fit"):
        evaluate(config, RunDirectory(tmp_path))


@pytest.mark.parametrize("name", ["frames", "offsets", "label_ids", "video_id", "class_names"])
@pytest.mark.parametrize("chunks", [None, (2**10,)])
def test_a_store_that_claims_2_to_the_40_rows(store: Store, name: str, chunks: tuple[int] | None) -> None:
    with h5py.File(store.path, "r+") as file:
        old = file[name]
        shape = (HUGE, *old.shape[1:])
        dtype = old.dtype
        del file[name]
        file.create_dataset(name, shape, dtype, chunks=chunks and chunks + old.shape[1:])
    with little_memory(), pytest.raises(UserError, match=r"claims [\d,]+ bytes, of which 0 are there"):
        open_store(store.path)


@pytest.mark.parametrize("name", ["frames", "lengths", "labels", "x", "y", "video_id_list"])
def test_embeddings_that_claim_2_to_the_40_rows(tmp_path: Path, name: str) -> None:
    good: dict[str, Any]
    if name in ("x", "y", "video_id_list"):
        good = {"x": np.zeros((2, 10, 128), np.uint8), "y": np.zeros((2, 527), bool), "video_id_list": [b"a", b"b"]}
    else:
        good = {"frames": np.ones((3, 4), np.float32), "lengths": [1, 2], "labels": np.ones((2, 3), np.uint8)}
    with h5py.File(tmp_path / "evil.h5", "w") as file:
        for key, values in good.items():
            if key == name:
                values = np.asarray(values)
                file.create_dataset(key, (HUGE, *values.shape[1:]), values.dtype, chunks=(64, *values.shape[1:]))
            else:
                file[key] = values
    with little_memory(), pytest.raises(UserError, match=f"/{name} claims"):
        prepare(str(tmp_path / "evil.h5"), tmp_path / "out")


def test_predictions_that_claim_2_to_the_40_rows(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "predictions.h5", "w") as file:
        file["video_id"] = [b"a"]
        file.create_dataset("probability", (HUGE, 527), np.float32, chunks=(64, 527))
    with little_memory(), pytest.raises(UserError, match="no readable probability"):
        RunDirectory(tmp_path).read_predictions()


@pytest.mark.parametrize("name", ["bomb.tar.gz", "bomb.tfrecord"])
def test_a_gzip_bomb(tmp_path: Path, name: str) -> None:
    """Zeros are no tar header and no record: what is read of them stays far below what they grow to."""
    with gzip.open(tmp_path / name, "wb", compresslevel=9) as bomb:
        for _ in range(256):
            bomb.write(bytes(2**20))
    with little_memory(), pytest.raises(UserError, match=r"bomb"):
        prepare(str(tmp_path / name), tmp_path / "out")


def test_an_archive_grows_a_hundredfold_at_most(tmp_path: Path) -> None:
    """A member that is no shard is passed over, but not without end."""
    import tarfile

    with tarfile.open(tmp_path / "bomb.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("notes.txt")
        member.size = 2**28
        with Path("/dev/zero").open("rb") as zeros:
            archive.addfile(member, zeros)
    with little_memory(), pytest.raises(UserError, match="grow to more than 100 times their compressed size"):
        prepare(str(tmp_path / "bomb.tar.gz"), tmp_path / "out")


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/features.tar", "file:///etc/passwd"])
def test_a_server_that_leads_elsewhere(tmp_path: Path, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Redirects(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", target)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with http.server.HTTPServer(("127.0.0.1", 0), Redirects) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            address = f"http://127.0.0.1:{server.server_address[1]}/features.tar"
            with pytest.raises(UserError, match=f"(leads to|Redirection to url) '?{target}"):
                download(address, tmp_path, lambda here, total: None, wait=0)
        finally:
            server.shutdown()
            thread.join()
    assert not (tmp_path / "features.tar").exists()


def test_a_runs_configuration_does_not_learn_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", "hunter2")
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "config.yaml").write_text(
        "seed: 1\na: ${oc.env:A_SECRET}\nb: ${oc.${c}:A_SECRET}\nc: env\nd: ${seed}\n"
    )
    (tmp_path / ".hydra" / "hydra.yaml").write_text("hydra: {}\n")
    config = RunDirectory(tmp_path).config()
    assert "hunter2" not in repr(config)
    assert config["d"] == 1
    from omegaconf import OmegaConf

    assert OmegaConf.create({"a": "${oc.env:A_SECRET}"}).a == "hunter2", "for everyone else it works as before"


LINKS: list[Any] = [
    h5py.ExternalLink("secret.h5", "/x"),
    h5py.SoftLink("/x"),
    "raw",
    "virtual",
]


@pytest.mark.parametrize("kind", LINKS, ids=lambda k: k if isinstance(k, str) else type(k).__name__)
@pytest.mark.parametrize("reader", ["store", "embeddings", "predictions"])
def test_data_that_lie_in_other_files(tmp_path: Path, kind: Any, reader: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sends back the predictions of such a file would send back what somebody else's file holds."""
    monkeypatch.chdir(tmp_path)
    with h5py.File("secret.h5", "w") as secret:
        secret["x"] = np.ones((8, 4), np.uint8)
    path = tmp_path / ("predictions.h5" if reader == "predictions" else "evil.h5")
    name = {"store": "frames", "embeddings": "frames", "predictions": "probability"}[reader]
    if reader == "store":
        make_store(path)
    with h5py.File(path, "a") as file:
        if reader == "embeddings":
            file["lengths"], file["labels"] = [4, 4], np.ones((2, 3), np.uint8)
        if reader == "predictions":
            file["video_id"] = [b"a"]
        if name in file:
            del file[name]
        if kind == "raw":
            file.create_dataset(name, (8, 4), np.uint8, external=[("secret.h5", 0, 32)])
        elif kind == "virtual":
            layout = h5py.VirtualLayout((8, 4), np.uint8)
            layout[:] = h5py.VirtualSource("secret.h5", "x", (8, 4))
            file.create_virtual_dataset(name, layout)
        else:
            file[name] = kind
    read = {
        "store": lambda: open_store(path),
        "embeddings": lambda: prepare(str(path), tmp_path / "out"),
        "predictions": lambda: RunDirectory(tmp_path).read_predictions(),
    }[reader]
    with pytest.raises(UserError, match=f"/{name} (is a link|takes its data from other files)"):
        read()


def test_arrays_that_grow(tmp_path: Path) -> None:
    zeros = np.zeros((2**21, 128), np.uint8)
    np.savez_compressed(
        tmp_path / "bomb.npz", frames=zeros, lengths=np.full(2**18, 8), labels=np.ones((2**18, 1), bool)
    )
    del zeros
    with little_memory(2**27), pytest.raises(UserError, match="more than 100 times the file"):
        prepare(str(tmp_path / "bomb.npz"), tmp_path / "out")


def test_weights_whose_header_claims_2_to_the_60(tmp_path: Path, trained: Path) -> None:
    folder = exported(trained, tmp_path)
    (folder / "model.safetensors").write_bytes((2**60).to_bytes(8, "little") + b"{}")
    with little_memory(), pytest.raises(UserError, match="missing or damaged"):
        load(folder)


def exported(trained: Path, folder: Path) -> Path:
    (folder / "model").mkdir()
    load(trained).write(folder / "model")
    return folder / "model"


@pytest.mark.parametrize(("width", "finding"), [(2**17, "describes a model of"), (2**40, "asks for")])
def test_a_configuration_larger_than_its_weights(tmp_path: Path, trained: Path, width: int, finding: str) -> None:
    content = dict(load_checkpoint(trained))
    content["audiobag"]["config"]["embedding"]["width"] = width
    torch.save(content, tmp_path / "wide.ckpt")
    config = composed("evaluate", f"checkpoint={tmp_path / 'wide.ckpt'}", f"paths.run={tmp_path}")
    with little_memory():
        with pytest.raises(UserError, match=finding):
            load(tmp_path / "wide.ckpt")
        with pytest.raises(UserError, match=finding):
            evaluate(config, RunDirectory(tmp_path))


def test_weights_that_repeat_one_number(tmp_path: Path, trained: Path) -> None:
    """They would be as large as any configuration says, and take no place in the file."""
    content = dict(load_checkpoint(trained))
    name, weight = next((k, v) for k, v in content["state_dict"].items() if v.ndim == 2)
    content["state_dict"][name] = torch.zeros(1, 1).expand(HUGE, weight.shape[1])
    content["audiobag"]["config"]["embedding"]["width"] = 9_000_000
    torch.save(content, tmp_path / "evil.ckpt")
    assert (tmp_path / "evil.ckpt").stat().st_size < 2**20
    with little_memory(), pytest.raises(UserError, match="describes a model of"):
        load(tmp_path / "evil.ckpt")


def test_an_exported_folder_in_yaml_or_with_code_is_not_read(tmp_path: Path, trained: Path) -> None:
    folder = exported(trained, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config["embedding"] = {"_target_": "os.mkdir", "path": str(tmp_path / "owned")}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "config.yaml").write_text(f"a: !!python/object/apply:os.mkdir ['{tmp_path / 'owned'}']")
    (folder / "modeling.py").write_text(f"import os; os.mkdir({str(tmp_path / 'owned')!r})")
    with pytest.raises(UserError, match=r"names 'os\.mkdir'"):
        load(folder)
    assert not (tmp_path / "owned").exists()
