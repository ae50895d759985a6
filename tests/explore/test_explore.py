"""audiobag-explore in process: clips and classes, answers to the page, and access control."""

from __future__ import annotations

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
from audiobag.explore import Opened, open_runs
from audiobag.explore.app import make_app
from audiobag.explore.serve import check_loopback, serve
from audiobag.export import load
from audiobag.prepare import add_strong_labels
from audiobag.report.clip_selection import recognised
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
def opened(folder: Path) -> Opened:
    return open_runs([folder / "average", folder / "attention_softmax"], load)


def ask(opened: Opened, path: str) -> Any:
    """Return the answer of the page's server."""
    answer = make_app(opened).test_client().get(path, base_url=LOCAL)
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def test_a_class_is_found_where_it_is_likely_and_among_the_likeliest() -> None:
    probability = np.array([[0.9, 0.8, 0.7, 0.6], [0.05, 0.01, 0.02, 0.03], [0.1, 0.1, 0.1, 0.1]], np.float32)
    assert recognised(probability, 0).tolist() == [True, False, True]
    assert recognised(probability, 3).tolist() == [False, False, True]


def test_a_class_has_found_missed_and_mistaken_clips(opened: Opened) -> None:
    score, has = opened.runs[1].probability[:, 3], opened.positive[:, 3]
    likely = recognised(opened.runs[1].probability, 3)
    clips = opened.clips(3, by=1)
    falling = np.argsort(-score, kind="stable")
    assert clips["found"] == [i for i in falling if has[i] and likely[i]][:3]
    assert clips["missed"] == [i for i in falling[::-1] if has[i] and not likely[i]][:3]
    assert clips["mistaken"] == [i for i in falling if not has[i]][:3]
    assert not set(clips["found"]) & set(clips["missed"])


def test_the_overview_has_all_classes_and_runs(opened: Opened) -> None:
    found = ask(opened, "/api/overview")
    assert [run["name"] for run in found["runs"]] == ["average", "attention_softmax"]
    assert found["first"] == [1, 0], "the second is compared with the first"
    assert found["runs"][0]["AP"] == [0.2, 0.7, None, 0.5, 0.4]
    assert found["eval"] == opened.positive.sum(0).tolist()
    assert found["classes"] == [f"class {k}" for k in range(5)]


def test_clips_have_the_predictions_of_each_run_in_the_same_order_of_classes(opened: Opened) -> None:
    sections = ask(opened, "/api/class/3?run=1&run=0")["sections"]
    assert set(sections) == {"found", "missed", "mistaken"}
    for name, rows in opened.clips(3, by=1).items():
        assert [clip["row"] for clip in sections[name]] == rows
    for clip in (clip for section in sections.values() for clip in section):
        assert 3 in clip["classes"]
        assert [run["run"] for run in clip["runs"]] == [1, 0]
        mean = np.mean([run["F"] for run in clip["runs"]], axis=0)
        assert mean.tolist() == sorted(mean, reverse=True)
        assert set(np.flatnonzero(opened.positive[clip["row"]])) <= set(clip["classes"])
        for found in clip["runs"]:
            one = opened.runs[found["run"]]
            np.testing.assert_allclose(found["F"], one.probability[clip["row"], clip["classes"]], atol=1e-4)
            f, p = np.array(found["f"]), np.array(found["p"])
            assert f.shape == p.shape == (len(clip["classes"]), clip["frames"])
            assert found["adds"]
            np.testing.assert_allclose((f * p).sum(1), found["F"], atol=1e-3)
            np.testing.assert_allclose(p.sum(1), 1, atol=1e-3)
        flat = next(found for found in clip["runs"] if found["run"] == 0)
        assert np.ptp(flat["p"]) == 0, "average pooling has a flat measure"


def test_a_clip_is_shown_under_all_runs(opened: Opened) -> None:
    clip = ask(opened, "/api/clip/7?class=2")
    assert [run["run"] for run in clip["runs"]] == [0, 1]
    assert clip["id"] == "clip000007"
    assert 2 in clip["classes"]
    client = make_app(opened).test_client()
    for wrong in ("/api/clip/40", "/api/clip/x", "/api/class/5", "/api/class/-1", "/nothing", "/../pyproject.toml"):
        assert client.get(wrong, base_url=LOCAL).status_code == 404
    assert client.get("/api/class/1?run=9&run=x", base_url=LOCAL).status_code == 200


def test_a_sweep_opens_with_the_best_run_beside_average_pooling(tmp_path: Path) -> None:
    store = make_store(tmp_path / "data" / "eval.h5", clips=60, classes=4)
    for seed in (0, 1):
        for pooling, quality in (("average", 1.0), ("max", 0.3), ("attention_softmax", 2.0)):
            make_run(tmp_path / "s" / f"{pooling}{seed}", store, seed, pooling, quality)
    found = ask(open_runs([tmp_path / "s"], load), "/api/overview")
    names = [run["name"] for run in found["runs"]]
    assert len(set(names)) == 6
    run, against = found["first"]
    assert names[run].startswith("attention_softmax, seed ")
    assert names[against].startswith("average, seed ")
    mAP = [run["mAP"] for run in found["runs"]]
    assert mAP == sorted(mAP, reverse=True)


def test_strong_labels_are_the_truth_from_a_file_or_from_the_store(tmp_path: Path) -> None:
    events = tmp_path / "events.csv"
    events.write_text("video_id,start_seconds,end_seconds,label\nclip000003,1.0,2.0,class 1\n")
    make_store(tmp_path / "data" / "eval.h5", clips=40, classes=5, seed=1)
    complete_run(tmp_path / "run")
    opened = open_runs([tmp_path / "run"], load, strong=events)
    assert {pair: shows.tolist() for pair, shows in opened.truth.items()} == {
        (3, 1): [t == 1 for t in range(len(opened.truth[3, 1]))]
    }
    clip = ask(opened, "/api/clip/3?class=1")
    at = clip["classes"].index(1)
    assert clip["truth"][at] == [int(t == 1) for t in range(clip["frames"])]
    assert all(own is None for c, own in enumerate(clip["truth"]) if c != at)
    assert ask(opened, "/api/overview")["truth"] is True
    assert ask(open_runs([tmp_path / "run"], load), "/api/overview")["truth"] is False
    add_strong_labels(tmp_path / "data", events)
    assert open_runs([tmp_path / "run"], load).truth.keys() == {(3, 1)}


def test_the_sound_of_a_clip_is_served_from_its_file(tmp_path: Path) -> None:
    complete_run(tmp_path / "run")
    (tmp_path / "my sounds").mkdir()
    (tmp_path / "my sounds" / "clip000003.wav").write_bytes(b"RIFF" + bytes(100))
    pattern = f"file://{tmp_path}/my%20sounds/{{video_id}}.wav"
    opened = open_runs([tmp_path / "run"], load, audio_url=pattern)
    client = make_app(opened).test_client()
    with client.get("/audio/3", base_url=LOCAL) as answer:
        assert answer.status_code == 200
        assert answer.data.startswith(b"RIFF")
    with client.get("/audio/3", base_url=LOCAL, headers={"Range": "bytes=0-3"}) as part:
        assert (part.status_code, part.data) == (206, b"RIFF"), "browsers seek by ranges"
    assert client.get("/audio/4", base_url=LOCAL).status_code == 404
    assert client.get("/audio/400", base_url=LOCAL).status_code == 404
    clip = ask(opened, "/api/clip/3")
    assert clip["sound"] == "audio/3"
    assert clip["address"] == f"file://{tmp_path}/my%20sounds/clip000003.wav"
    assert (
        make_app(open_runs([tmp_path / "run"], load)).test_client().get("/audio/3", base_url=LOCAL).status_code == 404
    )


def test_the_page_loads_nothing_from_other_servers_and_answers_only_loopback_names(opened: Opened) -> None:
    client = make_app(opened).test_client()
    answer = client.get("/", base_url=LOCAL)
    sources = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
    assert {"page.js", "page.css", "clips.js", "clips.css", "plotly.js"} <= set(sources)
    assert [s for s in sources if re.match(r"(https?:)?//", s)] == []
    for name in ("page.js", "page.css", "clips.js", "clips.css", "plotly.js"):
        assert client.get(f"/{name}", base_url=LOCAL).status_code == 200
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]
    assert client.get("/", base_url="http://localhost:8050").status_code == 200
    assert client.get("/", base_url="http://[::1]:8050").status_code == 200
    for stranger in ("http://elsewhere.example:8050", "http://127.0.0.1.example"):
        assert client.get("/", base_url=stranger).status_code == 403
        assert client.get("/api/overview", base_url=stranger).status_code == 403


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
    opened = open_runs([run.path], load)
    assert ask(opened, "/api/overview")["runs"][0]["AP"][1] == 0.9
    clip = ask(opened, "/api/class/1")["sections"]["mistaken"][0]
    assert clip["runs"][0]["error"].startswith("no checkpoint at")
    assert len(clip["runs"][0]["F"]) == len(clip["classes"]), "F comes from the saved predictions"


@pytest.mark.parametrize("select", ["last", "best"])
def test_the_clips_are_predicted_with_the_weights_that_were_scored(tmp_path: Path, select: str) -> None:
    last, store = make_trained(tmp_path / "run", select=select)
    content = torch.load(last, weights_only=True)
    doubled = {name: 2 * x for name, x in content["state_dict"].items()}
    best = last.with_name("best.ckpt")
    torch.save({**content, "state_dict": doubled}, best)
    record = json.loads((tmp_path / "run" / "metrics.json").read_text())
    RunDirectory(tmp_path / "run").write_metrics({**record, "seed": 0})
    (one,) = open_runs([tmp_path / "run"], load).runs
    expected = load(best if select == "best" else last)
    frames = store.frames[: store.columns.lengths[0]][None]
    torch.testing.assert_close(one.predict([0]).clip, expected.predict(frames).clip)


def test_runs_that_cannot_be_explored_are_refused(folder: Path, tmp_path: Path, store: Store) -> None:
    other = make_store(tmp_path / "data" / "eval.h5", clips=30, classes=5, seed=9)
    make_run(tmp_path / "other", other)
    with pytest.raises(ValueError, match="scored on different eval sets"):
        open_runs([folder / "average", tmp_path / "other"], load)
    for pattern in ("{video_id}.wav", "ftp://here/{video_id}", "https://here/clip.wav", "javascript:{video_id}"):
        with pytest.raises(ValueError, match="audio_url must be an http, https or file address"):
            open_runs([folder / "average"], load, audio_url=pattern)
