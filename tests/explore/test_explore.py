"""audiobag-explore in process: clips and classes, answers of the page, and access control."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import threading
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from audiobag.data.store import Store
from audiobag.explore import Explored, open_runs
from audiobag.explore.app import make_app
from audiobag.explore.explored import SECTIONS, order
from audiobag.explore.serve import check_loopback, serve
from audiobag.export import load
from audiobag.runs import RunDirectory
from tests.conftest import make_store
from tests.explore.fabricate import complete_run
from tests.export.fabricate import make_run as make_trained
from tests.report.fabricate import make_run

LOCAL = "http://127.0.0.1:8050"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explore")
    for pooling in ("average", "attention_softmax"):
        complete_run(folder / pooling, pooling)
    return folder


@pytest.fixture(scope="module")
def opened(folder: Path) -> list[Explored]:
    return open_runs([folder / "average", folder / "attention_softmax"], load)


def ask(opened: list[Explored], output: str, inputs: dict[str, str]) -> Any:
    """Return the response of a callback to the browser."""
    names = output.strip(".").split("...")
    outputs = [dict(zip(("id", "property"), name.split("."), strict=True)) for name in names]
    body = {
        "output": output,
        "outputs": outputs if output.startswith("..") else outputs[0],
        "inputs": [{"id": k.split(".")[0], "property": k.split(".")[1], "value": v} for k, v in inputs.items()],
        "changedPropIds": list(inputs),
    }
    answer = make_app(opened).server.test_client().post("/_dash-update-component", json=body, base_url=LOCAL)
    assert answer.status_code == 200, answer.text
    return answer.get_json()["response"]


def test_a_class_has_found_missed_and_mistaken_clips(opened: list[Explored]) -> None:
    one = opened[1]
    score, has = one.probability[:, 3], one.positive[:, 3]
    clips = one.clips(3)
    falling = [i for i in np.argsort(-score) if has[i]]
    assert clips["found"] == falling[:3]
    assert clips["missed"] == [i for i in falling[::-1] if i not in falling[:3]][:3]
    assert clips["mistaken"] == [i for i in np.argsort(-score) if not has[i]][:3]
    shown = one.look(clips["found"], 3)
    assert all("class 3" in s.classes for s in shown)
    np.testing.assert_allclose([s.clip[s.classes.index("class 3")] for s in shown], score[clips["found"]], atol=1e-6)


def test_classes_are_found_and_sorted(opened: list[Explored]) -> None:
    assert order(opened, "AP", "") == [1, 3, 4, 0, 2]  # class 2 has no AP
    assert order(opened, "difference", "") == [1, 3, 0, 4, 2]  # +0.2, 0, -0.1, -0.1
    assert order(opened, "name", " CLASS 4") == [4]
    assert order(opened, "clips", "")[0] == opened[0].counts.clips.argmax()


def test_the_page_answers_over_http(opened: list[Explored]) -> None:
    found = ask(opened, "..rows.children...shown.children..", {"find.value": "class 1", "sort.value": "AP"})
    assert found["shown"]["children"] == "1 of 5 classes"
    assert "?class=class%201" in json.dumps(found["rows"])
    page = json.dumps(ask(opened, "detail.children", {"place.search": "?class=class%201"}))
    assert page.count("data:image/png;base64,") == 3
    assert all(heading in page for heading in SECTIONS.values())
    assert "0.9000" in page
    assert "+0.2000" in page
    overview = json.dumps(ask(opened, "detail.children", {"place.search": ""}))
    assert "AP of attention_softmax minus average" in overview
    assert overview.count("data:image/png") == 1
    one = json.dumps(ask(opened[:1], "detail.children", {"place.search": ""}))
    assert "AP of each class, average" in one
    wrong = json.dumps(ask(opened, "detail.children", {"place.search": "?class=clas%201"}))
    assert "did you mean" in wrong


def test_the_page_loads_nothing_from_other_servers_and_answers_only_loopback_names(opened: list[Explored]) -> None:
    client = make_app(opened).server.test_client()
    answer = client.get("/", base_url=LOCAL)
    sources = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
    assert sources
    assert [s for s in sources if re.match(r"(https?:)?//", s)] == []
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    inline = re.findall(
        r"<script[^>]*>([^<]+)</script>", re.sub(r"<script[^>]*application/json.*?</script>", "", answer.text)
    )
    assert inline
    for script in inline:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f" 'sha256-{digest}'" in policy, "the browser would refuse to run this script"
    assert client.get("/", base_url="http://localhost:8050").status_code == 200
    assert client.get("/", base_url="http://[::1]:8050").status_code == 200
    for stranger in ("http://elsewhere.example:8050", "http://127.0.0.1.example"):
        assert client.get("/", base_url=stranger).status_code == 403


def test_only_loopback_addresses_are_accepted() -> None:
    assert check_loopback("localhost") == "127.0.0.1"
    assert check_loopback("::1") == "::1"
    for host in ("0.0.0.0", "::", "192.168.1.2", "example.org", ""):
        with pytest.raises(ValueError, match="host must be a loopback address"):
            check_loopback(host)


def test_it_serves_until_stop_returns_true() -> None:
    def application(environ: Any, start: Any) -> list[bytes]:
        start("200 OK", [("Content-Type", "text/plain")])
        return [b"here"]

    done, answers = threading.Event(), []

    def ready(address: str) -> None:
        def fetch() -> None:
            with urllib.request.urlopen(address, timeout=20) as answer:
                answers.append((address, answer.read()))
            done.set()

        threading.Thread(target=fetch).start()

    serve(application, "127.0.0.1", 0, ready, done.is_set)
    ((address, content),) = answers
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address)
    assert content == b"here"


def test_a_port_in_use_is_refused() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(ValueError, match=r"port \d+ cannot be used.*choose another, or 0"),
    ):
        serve(lambda *_: [], "127.0.0.1", taken.getsockname()[1], print, lambda: True)


def test_without_a_checkpoint_the_page_shows_scores_and_says_what_is_missing(tmp_path: Path) -> None:
    run, _ = complete_run(tmp_path / "run")
    next(run.checkpoints.iterdir()).unlink()
    page = json.dumps(ask(open_runs([run.path], load), "detail.children", {"place.search": "?class=class%201"}))
    assert "0.9000" in page
    assert "no checkpoint at" in page


@pytest.mark.parametrize("select", ["last", "best"])
def test_the_clips_are_predicted_with_the_weights_that_were_scored(tmp_path: Path, select: str) -> None:
    last, store = make_trained(tmp_path / "run", select=select)
    content = torch.load(last, weights_only=True)
    doubled = {name: 2 * x for name, x in content["state_dict"].items()}
    best = last.with_name("best.ckpt")
    torch.save({**content, "state_dict": doubled}, best)
    record = json.loads((tmp_path / "run" / "metrics.json").read_text())
    RunDirectory(tmp_path / "run").write_metrics({**record, "seed": 0})
    (one,) = open_runs([tmp_path / "run"], load)
    expected = load(best if select == "best" else last)
    frames = store.frames[: store.columns.lengths[0]][None]
    torch.testing.assert_close(one.model.predict(frames).clip, expected.predict(frames).clip)


def test_an_unfinished_run_is_refused(tmp_path: Path) -> None:
    complete_run(tmp_path / "run")
    (tmp_path / "run" / "metrics.json").unlink()
    with pytest.raises(ValueError, match=r"no complete run at or below .*run"):
        open_runs([tmp_path / "run"], load)


def test_runs_that_cannot_be_explored_are_refused(folder: Path, tmp_path: Path, store: Store) -> None:
    with pytest.raises(ValueError, match="holds 2 runs: give the folder of one"):
        open_runs([folder], load)
    with pytest.raises(ValueError, match="3 folders were given"):
        open_runs([folder] * 3, load)
    other = make_store(tmp_path / "data" / "eval.h5", clips=30, classes=5, seed=9)
    make_run(tmp_path / "other", other)
    with pytest.raises(ValueError, match="scored on different eval sets"):
        open_runs([folder / "average", tmp_path / "other"], load)
