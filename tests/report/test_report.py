from __future__ import annotations

import csv
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audiobag.data.store import Store
from audiobag.report import report
from audiobag.report.clips import example_clips
from audiobag.report.collect import collect
from audiobag.report.evidence import Labels
from audiobag.report.systems import group
from audiobag.runs import RunConfig, RunDirectory
from tests.report.fabricate import Predicted, make_run

PNG = b"\x89PNG\r\n\x1a\n"
WRITTEN = {
    "report.html",
    "report.md",
    "tables.tex",
    "scores.csv",
    "differences.csv",
    "pairwise.csv",
    "per_class.csv",
    "per_class.png",
    "forest.png",
    "gain.png",
    "training.png",
    "calibration.png",
    "precision_recall.png",
}


class References(HTMLParser):
    """All addresses that a browser loads for a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [v or "" for k, v in attrs if k in ("src", "href", "srcset", "data", "action", "poster")]


def test_the_report_of_a_sweep(sweep: Path) -> None:
    (sweep / "broken").mkdir()
    (sweep / "broken" / "metrics.json").write_text("{")
    written = report([sweep], replicates=5)
    folder = sweep / "report"
    assert written.page == folder / "report.html"
    assert {p.name for p in folder.iterdir()} == WRITTEN
    assert all(p.read_bytes().startswith(PNG) for p in folder.glob("*.png"))
    text = (folder / "report.md").read_text()
    assert set(re.findall(r"\]\((\w+\.png)\)", text)) == {p.name for p in folder.glob("*.png")}
    assert "broken" in text.partition("## Left out")[2]
    page = written.page.read_text()
    assert "broken" in page.partition('id="left-out"')[2]
    complete = page.partition('id="left-out"')[0]
    assert f"{sweep.name}/pooling=average,seed=0" in complete
    assert str(sweep.parent) not in complete, "a published page does not show parent folders"
    (difference,) = csv.DictReader((folder / "differences.csv").read_text().splitlines())
    assert (difference["system"], difference["baseline"]) == ("attention_softmax", "average")
    assert float(difference["clips_low"]) <= float(difference["clips_high"])
    classes = list(csv.DictReader((folder / "per_class.csv").read_text().splitlines()))
    assert [row["Class"] for row in classes] == [f"class {k}" for k in range(5)]


def test_the_page_loads_no_other_file(sweep: Path) -> None:
    page = report([sweep], replicates=0).page.read_text()
    references = References()
    references.feed(page)
    assert page.count('<div class="plot"') == 6, "forest, gain, classes, calibration, precision and recall, training"
    assert [r for r in references.found if not r.startswith(("data:", "#"))] == []
    own = re.sub(r'(?s)<script id="plotly">.*?</script>', "", page)  # it has addresses of maps, which are not drawn
    assert re.findall(r"https?://|url\(|@import|fetch\(", own) == []
    assert "default-src 'none'" in own, "the browser refuses to load other files"
    assert len(own) < 1_000_000
    assert len(page) - len(own) < 1_300_000


def test_the_pictures_of_the_page_have_the_numbers_of_the_runs(sweep: Path, scored: Store) -> None:
    written = report([sweep], replicates=0)
    found = {}
    for text in re.findall(r"data-plot='([^']+)'", written.page.read_text()):
        plot = json.loads(text)
        found[plot["layout"]["yaxis"].get("title", {"text": "forest"})["text"]] = plot["data"]
    (difference,) = csv.DictReader((sweep / "report" / "differences.csv").read_text().splitlines())
    strong, weak = found["forest"]
    assert weak["x"] == []
    assert strong["x"] == [pytest.approx(float(difference["difference"]))]
    assert strong["x"][0] + strong["error_x"]["array"][0] == pytest.approx(float(difference["seeds_high"]))
    rows = {r["Class"]: r for r in csv.DictReader((sweep / "report" / "per_class.csv").read_text().splitlines())}
    points = found["gain in AP over average"][0]
    for name, y in zip(points["text"], points["y"], strict=True):
        assert y == pytest.approx(float(rows[name]["attention_softmax"]) - float(rows[name]["average"]), abs=1e-5)
    line = found["average precision"][1]
    assert line["y"] == sorted(line["y"], reverse=True)
    last = found["mAP on the hold-out"][0]
    scores = [RunDirectory(path).curve("val/mAP") for path in sorted(sweep.glob("pooling=attention_softmax,*"))]
    assert last["x"] == sorted(scores[0])
    assert last["y"][-1] == pytest.approx(np.mean([curve[last["x"][-1]] for curve in scores]), abs=1e-5)
    shares = [trace for trace in found["share of positives"] if "customdata" in trace]
    assert [sum(trace["customdata"]) for trace in shares] == [3 * 5 * len(scored)] * 2, (
        "each pair of a clip and a class"
    )
    assert all(0 <= y <= 1 for trace in found["precision"] for y in trace["y"])


def test_the_verdict_is_on_top(sweep: Path) -> None:
    written = report([sweep], replicates=5)
    (sentence,) = written.verdict
    rows = csv.DictReader((sweep / "report" / "differences.csv").read_text().splitlines())
    d = {k: float(v) for k, v in next(rows).items() if k.startswith(("difference", "seeds"))}
    ends = f"95 % {d['seeds_low']:.4f} to {d['seeds_high']:.4f} over 3 seeds"
    assert sentence == f"attention_softmax leads average by {d['difference']:.4f} mAP ({ends})."
    page = written.page.read_text()
    assert page.index(sentence) < page.index('id="scores"')
    assert "<h1>Pooling: attention_softmax, average on balanced</h1>" in page
    assert sentence.replace("_", "\\_") in (sweep / "report" / "report.md").read_text().replace("\\.", ".")


def test_names_are_escaped(tmp_path: Path, scored: Store) -> None:
    name = "<script>alert('x')</script>&$_|{{ 7 * 7 }}"
    make_run(tmp_path / "s" / "a", scored, experiment=name)
    page = report([tmp_path / "s"], replicates=0).page.read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;$_|{{ 7 * 7 }}" in page
    assert "\\<script\\>alert" in (tmp_path / "s" / "report" / "report.md").read_text()
    assert r"\&\$\_|\{\{ 7 * 7 \}\}" in (tmp_path / "s" / "report" / "tables.tex").read_text()


def test_the_report_of_one_run(sweep: Path, tmp_path: Path) -> None:
    run = sweep / "pooling=average,seed=0"
    written = report([run], out=tmp_path / "page", classes=["class 1"], replicates=5)
    assert written.page == tmp_path / "page" / "report.html"
    assert [table.title for table in written.tables] == ["Final weights"]
    names = {p.name for p in written.page.parent.glob("*.png")}
    assert names == {"per_class.png", "calibration.png", "precision_recall.png"}


def test_a_second_report_does_not_read_the_first_one(sweep: Path) -> None:
    first = report([sweep], replicates=0).page.read_text()
    again = report([sweep], replicates=0)
    assert again.left_out == ()
    assert again.page.read_text() == first


def test_missing_predictions_are_named_on_the_page(sweep: Path) -> None:
    for path in sweep.glob("*/predictions.h5"):
        path.unlink()
    written = report([sweep])
    assert len(written.notices) == 2
    assert "has no clip bootstrap" in written.page.read_text()
    assert written.tables[-1].columns == (
        "System",
        "Δ mAP",
        "95 % over seeds",
        "95 % over classes",
        "Classes better",
        "worse",
    )
    assert "Over clips" not in written.tables[-1].note
    assert not (sweep / "report" / "calibration.png").exists()


def test_missing_scores_leave_empty_cells(sweep: Path) -> None:
    for run in sweep.iterdir():
        table = run / "per_class.csv"
        table.write_text(re.sub(r"(?m)^2,class 2,.*$", "2,class 2,0,,,", table.read_text()))
        metrics = json.loads((run / "metrics.json").read_text())
        metrics["test"]["d_prime"] = None
        (run / "metrics.json").write_text(json.dumps(metrics))
    written = report([sweep], replicates=0)
    head, *rows = csv.reader((sweep / "report" / "per_class.csv").read_text().splitlines())
    assert (head[0], rows[2]) == ("Class", ["class 2", "0", "", ""])
    assert '<td data-value="">-</td>' in written.page.read_text()
    assert written.tables[0].rows[0][written.tables[0].columns.index("d'")] == "-"


def test_runs_without_scored_classes_have_a_page(sweep: Path) -> None:
    for table in sweep.glob("*/per_class.csv"):
        table.write_text(re.sub(r"(?m)^(\d),(class \d),.*$", r"\1,\2,0,,,", table.read_text()))
    report([sweep], replicates=0)
    assert not (sweep / "report" / "per_class.png").exists()


def test_the_caption_says_which_clips_were_counted(sweep: Path) -> None:
    assert "number of eval clips of each class" in report([sweep], replicates=0).page.read_text()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"baseline": "nope"}, "baseline must name one of average, attention_softmax, got nope"),
        ({"classes": ["class1"]}, "did you mean 'class 1'"),
        ({"replicates": -1}, "replicates must be a whole number of at least 0"),
    ],
)
def test_wrong_arguments_are_refused(sweep: Path, options: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        report([sweep], **options)  # type: ignore[arg-type]
    assert not (sweep / "report").exists()


def test_a_report_replaces_no_files_of_a_run(sweep: Path) -> None:
    run = next(sweep.glob("*/metrics.json")).parent
    with pytest.raises(ValueError, match=r"^out must not be the folder of a run"):
        report([sweep], run)


def load(path: Path) -> Predicted:
    assert path.name == "step-00000010.ckpt"
    return Predicted()


def keep_checkpoint(run: Path) -> Path:
    path = run / "checkpoints" / "step-00000010.ckpt"
    path.parent.mkdir()
    path.touch()
    return path


def test_clips_of_the_best_system_are_on_the_page(sweep: Path, scored: Store) -> None:
    checkpoint = keep_checkpoint(sweep / "pooling=attention_softmax,seed=0")
    written = report([sweep], replicates=0, load=load)
    assert written.notices == ()
    for name in ("clips_found", "clips_most_wrong"):
        assert (sweep / "report" / f"{name}.png").read_bytes().startswith(PNG)
        assert f"({name}.png)" in (sweep / "report" / "report.md").read_text()
    assert written.page.read_text().count('<figure class="wide">') == 2

    checkpoint.unlink()
    (notice,) = report([sweep], out=sweep.parent / "again", replicates=0, load=load).notices
    place = "pooling=attention_softmax,seed=0/checkpoints/step-00000010.ckpt"
    assert notice.startswith(f"attention_softmax has no pictures of clips: no checkpoint at {place}")
    assert not (sweep.parent / "again" / "clips_found.png").exists()
    assert report([sweep], replicates=0).notices == ()


def test_the_page_plays_recordings_of_ones_own_and_links_to_others(sweep: Path) -> None:
    keep_checkpoint(sweep / "pooling=attention_softmax,seed=0")

    def shown(audio_url: str | None) -> tuple[str, list[Any]]:
        page = report([sweep], replicates=0, load=load, audio_url=audio_url).page.read_text()
        return page, [clip for text in re.findall(r"data-clips='([^']+)'", page) for clip in json.loads(text)]

    page, clips = shown("file:///my sounds/{video_id}.wav")
    assert "media-src file:;" in page
    assert {clip["sound"] for clip in clips} == {f"file:///my sounds/{clip['id'][:10]}.wav" for clip in clips}
    for clip in clips:
        (run,) = clip["runs"]
        assert np.array(run["f"]).shape == np.array(run["p"]).shape == (len(clip["names"]), clip["frames"])
        assert run["F"] == sorted(run["F"], reverse=True)
    page, clips = shown(None)
    assert "media-src" not in page
    assert {clip["sound"] for clip in clips} == {None}, "there is nothing to play"


def test_example_clips_have_the_highest_probability_and_the_largest_loss(sweep: Path, scored: Store) -> None:
    keep_checkpoint(sweep / "pooling=attention_softmax,seed=0")
    system = group(collect([sweep])[0])[0][1]
    found, wrong = example_clips(system, Labels(), load, {0: "class 0", 4: "class 4"})
    _, probability = system.runs[0].directory.read_predictions()
    positive = scored.labels.dense()
    best = [max(np.flatnonzero(positive[:, k]), key=lambda i, k=k: probability[i, k]) for k in (0, 4)]
    assert [s.title for s in found] == [f"clip{i:06d} - found: class {k}" for i, k in zip(best, (0, 4), strict=True)]
    loss = -np.where(positive, np.log(probability), np.log(1 - probability)).mean(1)
    assert [s.title.split()[0] for s in wrong] == [f"clip{i:06d}" for i in np.argsort(-loss)[:3]]


def test_a_model_of_other_classes_is_refused(sweep: Path) -> None:
    keep_checkpoint(sweep / "pooling=attention_softmax,seed=0")

    def load(_: Path) -> Predicted:
        model = Predicted()
        model.class_names = ("other",)
        return model

    assert "has other classes than" in report([sweep], replicates=0, load=load).notices[0]


def test_runs_of_the_version_before_are_reported(tmp_path: Path) -> None:
    written = report([Path("tests/v0_1/run").resolve()], out=tmp_path, replicates=5)
    assert written.left_out == ()
    assert written.notices == ()
    assert [table.rows[0][0] for table in written.tables] == ["paper/attention_softmax"] * 2
    assert written.tables[0].rows[0][1] == "0.2939"
    assert (tmp_path / "calibration.png").exists()


def test_a_run_of_the_version_before_and_its_repetition_are_one_system(tmp_path: Path) -> None:
    """The configuration of the older run is read from `.hydra/`, that of the newer one from config.json."""
    old = Path(shutil.copytree("tests/v0_1/run", tmp_path / "old"))
    new = Path(shutil.copytree(old, tmp_path / "new"))
    shutil.rmtree(new / ".hydra")
    recorded = RunDirectory(old).config()
    added = {"ckpt_path": None, "init_from": None, "tags": ["again"]}
    config = {**recorded.config, **added, "seed": 1, "data": {**recorded.config["data"], "seed": 1}}
    RunConfig(config, recorded.overrides, recorded.choices, recorded.follows_seed).write(new / "config.json")
    metrics = RunDirectory(new).metrics() or {}
    RunDirectory(new).write_metrics({**metrics, "seed": 1})
    (system,) = group(collect([tmp_path])[0])[0]
    assert (system.name, system.seeds) == ("paper/attention_softmax", (0, 1))
