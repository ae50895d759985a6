"""Untrusted files: each attack ends soon, in one sentence, with little memory, and runs no code.

See also tests/prepare for names and links in archives, pickles in NPZ and lengths of 2^60, and
tests/runs/test_safe_instantiate.py for the targets that a configuration may name.
"""

from __future__ import annotations

import gzip
import http.server
import json
import os
import resource
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from audiobag.data.store import Store, open_store
from audiobag.export import load
from audiobag.prepare import prepare
from audiobag.prepare.download import download
from audiobag.runs import RunDirectory
from audiobag.runs.checkpoints import load_checkpoint
from audiobag.training import evaluate
from tests.composing import trained as train
from tests.conftest import make_store

HUGE = 2**40


@contextmanager
def little_memory(limit: int = 2**29) -> Iterator[None]:
    """Fail with MemoryError if the block takes `limit` bytes of address space."""
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
    with pytest.raises(ValueError, match="damaged or not a checkpoint of audiobag"):
        load_checkpoint(tmp_path / "a.ckpt")
    assert not (tmp_path / "owned").exists()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the last checkpoint of a small training."""
    folder = tmp_path_factory.mktemp("trained")
    make_store(folder / "bal_train.h5", clips=40, classes=5)
    make_store(folder / "eval.h5", clips=20, classes=5, seed=1)
    run = train(folder, folder / "run", "trainer.max_steps=2")
    return RunDirectory(run.path).step_checkpoint(2)


@pytest.mark.parametrize("part", ["embedding", "pooling"])
@pytest.mark.parametrize("target", ["os.mkdir", "torch.hub.load", "torch.load"])
def test_a_checkpoint_whose_configuration_calls(trained: Path, tmp_path: Path, part: str, target: str) -> None:
    content = load_checkpoint(trained)
    content["audiobag"]["config"][part] = {"_target_": target, "path": str(tmp_path / "owned")}
    evil = tmp_path / "evil.ckpt"
    torch.save(content, evil)
    for read in (load, lambda path: evaluate(path, tmp_path)):
        with pytest.raises(ValueError, match=f"names '{target}'; expected a class"):
            read(evil)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("part", ["data", "callbacks", "loss", "optimizer", "lr_scheduler"])
def test_data_and_callbacks_of_a_checkpoint_are_not_called(trained: Path, tmp_path: Path, part: str) -> None:
    content = load_checkpoint(trained)
    config = content["audiobag"]["config"]
    evil = {"_target_": "os.mkdir", "path": str(tmp_path / "owned")}
    config[part] = {**config[part], "_target_": "os.mkdir", "path": evil["path"], "sampler": evil, "score": evil}
    torch.save(content, tmp_path / "evil.ckpt")
    assert evaluate(tmp_path / "evil.ckpt", tmp_path)["step"] == 2
    assert load(tmp_path / "evil.ckpt").class_names
    assert not (tmp_path / "owned").exists()


def test_weights_of_another_shape(trained: Path, tmp_path: Path) -> None:
    content = load_checkpoint(trained)
    content["state_dict"] = {k: v[:1] for k, v in content["state_dict"].items()}
    torch.save(content, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match="its weights do not fit"):
        evaluate(tmp_path / "other.ckpt", tmp_path)


def laughing(content: dict[str, Any]) -> None:
    shared: list[Any] = [0] * 10
    for _ in range(12):
        shared = [shared] * 10
    content["audiobag"]["config"]["embedding"]["width"] = shared


def holding_itself(content: dict[str, Any]) -> None:
    content["audiobag"]["config"]["embedding"]["width"] = content["audiobag"]["config"]


def nested_deeply(content: dict[str, Any]) -> None:
    nested: list[Any] = []
    for _ in range(200):
        nested = [nested]
    content["audiobag"]["config"]["embedding"]["width"] = nested


def changed(*keys: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        *parents, last = keys
        for key in parents:
            content = content[key]
        content[last] = value

    return change


WRONG: list[Any] = [
    laughing,
    holding_itself,
    nested_deeply,
    changed("audiobag", "config", value=[1]),
    changed("audiobag", "config", value="x"),
    changed("audiobag", "schema", value="x"),
    changed("audiobag", "class_names", value=3),
    changed("audiobag", "dim", value="x"),
    changed("audiobag", "dim", value=2**60),
    changed("audiobag", "dim", value=-1),
    changed("audiobag", "config", "embedding", value=3),
    changed("audiobag", "config", "pooling", "measure", value=3),
    changed("audiobag", "config", "embedding", "depth", value=9_999_999),
    changed("audiobag", value=[1]),
    changed("global_step", value=[1]),
    changed("state_dict", value=3),
    changed("state_dict", value={"model.embedding.x": 3}),
]


@pytest.mark.parametrize("change", WRONG)
def test_a_checkpoint_with_values_of_the_wrong_kind_or_size(trained: Path, tmp_path: Path, change: Any) -> None:
    content = torch.load(trained, weights_only=True)
    change(content)
    torch.save(content, tmp_path / "evil.ckpt")
    with little_memory():
        for read in (load, lambda path: evaluate(path, tmp_path)):
            with pytest.raises(ValueError, match=r"evil\.ckpt|file's configuration"):
                read(tmp_path / "evil.ckpt")


@pytest.mark.parametrize("name", ["frames", "offsets", "label_ids", "video_id", "class_names"])
@pytest.mark.parametrize("chunks", [None, (2**10,)])
def test_a_store_that_claims_2_to_the_40_rows(store: Store, name: str, chunks: tuple[int] | None) -> None:
    with h5py.File(store.path, "r+") as file:
        old = file[name]
        shape = (HUGE, *old.shape[1:])
        dtype = old.dtype
        del file[name]
        file.create_dataset(name, shape, dtype, chunks=chunks and chunks + old.shape[1:])
    with little_memory(), pytest.raises(ValueError, match=r"claims [\d,]+ bytes, of which 0 are there"):
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
    with little_memory(), pytest.raises(ValueError, match=f"/{name} claims"):
        prepare(str(tmp_path / "evil.h5"), tmp_path / "out")


def test_predictions_that_claim_2_to_the_40_rows(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "predictions.h5", "w") as file:
        file["video_id"] = [b"a"]
        file.create_dataset("probability", (HUGE, 527), np.float32, chunks=(64, 527))
    with little_memory(), pytest.raises(ValueError, match="no readable probability"):
        RunDirectory(tmp_path).read_predictions()


@pytest.mark.parametrize("name", ["bomb.tar.gz", "bomb.tfrecord"])
def test_a_gzip_bomb(tmp_path: Path, name: str) -> None:
    """Zeros are neither a tar header nor a record, so only a small part of them is read."""
    with gzip.open(tmp_path / name, "wb", compresslevel=9) as bomb:
        for _ in range(256):
            bomb.write(bytes(2**20))
    with little_memory(), pytest.raises(ValueError, match=r"bomb"):
        prepare(str(tmp_path / name), tmp_path / "out")


def test_an_archive_grows_a_hundredfold_at_most(tmp_path: Path) -> None:
    """A member that is not a shard is skipped, but only up to a limit."""
    import tarfile

    with tarfile.open(tmp_path / "bomb.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("notes.txt")
        member.size = 2**28
        with Path("/dev/zero").open("rb") as zeros:
            archive.addfile(member, zeros)
    with little_memory(), pytest.raises(ValueError, match="grow to more than 100 times their compressed size"):
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
            with pytest.raises(ValueError, match=f"(leads to|Redirection to url) '?{target}"):
                download(address, tmp_path, lambda here, total: None, wait=0)
        finally:
            server.shutdown()
            thread.join()
    assert not (tmp_path / "features.tar").exists()


def test_the_configuration_of_a_run_cannot_read_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET", "hunter2")
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "config.yaml").write_text(
        "seed: 1\na: ${oc.env:A_SECRET}\nb: ${oc.${c}:A_SECRET}\nc: env\nd: ${seed}\ne: x${oc.env:A_SECRET}\n"
    )
    (tmp_path / ".hydra" / "hydra.yaml").write_text("hydra: {}\n")
    config = RunDirectory(tmp_path).config().config
    assert "hunter2" not in repr(config)
    assert config["a"] is None
    assert config["d"] == 1


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "{",
        "[]",
        "3",
        "{}",
        '{"config": 3}',
        '{"config": {}, "schema": "x"}',
        '{"config": {}, "schema": 1e400}',
        '{"config": {"seed": ' + "9" * 10_000 + "}}",
        '{"config": {"x": ' + '{"x": ' * 50_000 + "1" + "}" * 50_000 + "}}",
    ],
)
def test_a_config_json_that_is_wrong_or_nested_without_end(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with little_memory():
        with pytest.raises(ValueError, match=r"config\.json"):
            RunDirectory(tmp_path).config()
        (tmp_path / "class_names.json").write_text("[]")
        with pytest.raises(ValueError, match=r"neither an export folder nor a complete run|has format|is damaged"):
            load(tmp_path)


def test_a_metrics_json_that_is_wrong(tmp_path: Path) -> None:
    for text in ("[" * 100_000, '{"status": "done", "train": 3}', '{"status": "done", "train": {"steps": "x"}}'):
        (tmp_path / "metrics.json").write_text(text)
        with pytest.raises(ValueError, match=r"cannot be read|not a complete training run"):
            load(tmp_path)


LINKS: list[Any] = [
    h5py.ExternalLink("secret.h5", "/x"),
    h5py.SoftLink("/x"),
    "raw",
    "virtual",
]


@pytest.mark.parametrize("kind", LINKS, ids=lambda k: k if isinstance(k, str) else type(k).__name__)
@pytest.mark.parametrize("reader", ["store", "embeddings", "predictions"])
def test_data_that_lie_in_other_files(tmp_path: Path, kind: Any, reader: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Predictions of such a file would reveal the content of the other file."""
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
    with pytest.raises(ValueError, match=f"/{name} (is a link|takes its data from other files)"):
        read()


def test_arrays_that_grow(tmp_path: Path) -> None:
    zeros = np.zeros((2**21, 128), np.uint8)
    np.savez_compressed(
        tmp_path / "bomb.npz", frames=zeros, lengths=np.full(2**18, 8), labels=np.ones((2**18, 1), bool)
    )
    del zeros
    with little_memory(2**27), pytest.raises(ValueError, match="more than 100 times the file"):
        prepare(str(tmp_path / "bomb.npz"), tmp_path / "out")


def test_weights_whose_header_claims_2_to_the_60(tmp_path: Path, trained: Path) -> None:
    folder = exported(trained, tmp_path)
    (folder / "model.safetensors").write_bytes((2**60).to_bytes(8, "little") + b"{}")
    with little_memory(), pytest.raises(ValueError, match="missing or damaged"):
        load(folder)


def exported(trained: Path, folder: Path) -> Path:
    (folder / "model").mkdir()
    load(trained).write(folder / "model")
    return folder / "model"


@pytest.mark.parametrize(("width", "finding"), [(2**17, "describes a model of"), (2**40, "asks for")])
def test_a_configuration_larger_than_its_weights(tmp_path: Path, trained: Path, width: int, finding: str) -> None:
    content = load_checkpoint(trained)
    content["audiobag"]["config"]["embedding"]["width"] = width
    torch.save(content, tmp_path / "wide.ckpt")
    with little_memory():
        for read in (load, lambda path: evaluate(path, tmp_path)):
            with pytest.raises(ValueError, match=finding):
                read(tmp_path / "wide.ckpt")


def test_weights_that_repeat_one_number(tmp_path: Path, trained: Path) -> None:
    """Such weights can match any width and take no space in the file."""
    content = load_checkpoint(trained)
    name, weight = next((k, v) for k, v in content["state_dict"].items() if v.ndim == 2)
    content["state_dict"][name] = torch.zeros(1, 1).expand(HUGE, weight.shape[1])
    content["audiobag"]["config"]["embedding"]["width"] = 9_000_000
    torch.save(content, tmp_path / "evil.ckpt")
    assert (tmp_path / "evil.ckpt").stat().st_size < 2**20
    with little_memory(), pytest.raises(ValueError, match="describes a model of"):
        load(tmp_path / "evil.ckpt")


@pytest.mark.parametrize("depth", [200, 900, 100_000])
def test_an_exported_folder_that_is_nested_without_end(tmp_path: Path, trained: Path, depth: int) -> None:
    folder = exported(trained, tmp_path)
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text.replace('"width": 8', f'"width": {"[" * depth}{"]" * depth}', 1))
    with pytest.raises(ValueError, match=r"file's configuration|nested too deeply|neither an export"):
        load(folder)


def test_an_exported_folder_in_yaml_or_with_code_is_not_read(tmp_path: Path, trained: Path) -> None:
    folder = exported(trained, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config["embedding"] = {"_target_": "os.mkdir", "path": str(tmp_path / "owned")}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "config.yaml").write_text(f"a: !!python/object/apply:os.mkdir ['{tmp_path / 'owned'}']")
    (folder / "modeling.py").write_text(f"import os; os.mkdir({str(tmp_path / 'owned')!r})")
    with pytest.raises(ValueError, match=r"names 'os\.mkdir'"):
        load(folder)
    assert not (tmp_path / "owned").exists()
