from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from audiobag.errors import UserError
from audiobag.export import load
from audiobag.report import report
from audiobag.report.clips import telling
from audiobag.report.collect import collect
from audiobag.report.evidence import Labels
from audiobag.report.systems import group
from audiobag.store import Store
from tests.explore.fabricate import complete_run
from tests.report.fabricate import make_run

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
    "gain.png",
    "training.png",
    "calibration.png",
    "precision_recall.png",
}


class References(HTMLParser):
    """Everything that a browser would fetch for a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [v or "" for k, v in attrs if k in ("src", "href", "srcset", "data", "action", "poster")]


def test_a_sweeps_report(sweep: Path) -> None:
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
    assert str(sweep.parent) not in complete, "a page that is published says nothing of the disk it was made on"
    (difference,) = csv.DictReader((folder / "differences.csv").read_text().splitlines())
    assert (difference["system"], difference["baseline"]) == ("attention_softmax", "average")
    assert float(difference["clips_low"]) <= float(difference["clips_high"])
    classes = list(csv.DictReader((folder / "per_class.csv").read_text().splitlines()))
    assert [row["Class"] for row in classes] == [f"class {k}" for k in range(5)]


def test_the_page_needs_nothing_else(sweep: Path) -> None:
    page = report([sweep], replicates=0).page.read_text()
    references = References()
    references.feed(page)
    assert len([r for r in references.found if r.startswith("data:image/png;base64,")]) == 5
    assert [r for r in references.found if not r.startswith(("data:", "#"))] == []
    assert re.findall(r"https?://|url\(|@import|fetch\(", page) == []


def test_names_are_text_never_markup(tmp_path: Path, scored: Store) -> None:
    name = "<script>alert('x')</script>&$_|{{ 7 * 7 }}"
    make_run(tmp_path / "s" / "a", scored, experiment=name)
    page = report([tmp_path / "s"], replicates=0).page.read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;$_|{{ 7 * 7 }}" in page
    assert "\\<script\\>alert" in (tmp_path / "s" / "report" / "report.md").read_text()
    assert r"\&\$\_|\{\{ 7 * 7 \}\}" in (tmp_path / "s" / "report" / "tables.tex").read_text()


def test_one_run_has_a_page_of_its_own(sweep: Path, tmp_path: Path) -> None:
    run = sweep / "pooling=average,seed=0"
    written = report([run], out=tmp_path / "page", classes=["class 1"], replicates=5)
    assert written.page == tmp_path / "page" / "report.html"
    assert [table.title for table in written.tables] == ["Final weights"]
    names = {p.name for p in written.page.parent.glob("*.png")}
    assert names == {"per_class.png", "calibration.png", "precision_recall.png"}


def test_a_second_report_takes_the_first_one_for_no_run(sweep: Path) -> None:
    first = report([sweep], replicates=0).page.read_text()
    again = report(str(sweep), replicates=0)  # one folder need not be a list
    assert again.left_out == ()
    assert again.page.read_text() == first


def test_what_is_missing_is_said_on_the_page(sweep: Path) -> None:
    for path in sweep.glob("*/predictions.h5"):
        path.unlink()
    written = report([sweep])
    assert len(written.notices) == 2
    assert "without clip bootstrap" in written.page.read_text()
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


def test_classes_and_scores_that_do_not_exist_leave_gaps(sweep: Path) -> None:
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


def test_runs_without_a_single_scored_class_still_have_a_page(sweep: Path) -> None:
    for table in sweep.glob("*/per_class.csv"):
        table.write_text(re.sub(r"(?m)^(\d),(class \d),.*$", r"\1,\2,0,,,", table.read_text()))
    report([sweep], replicates=0)
    assert not (sweep / "report" / "per_class.png").exists()


def test_the_axis_says_whose_clips_were_counted(sweep: Path) -> None:
    assert "eval clips of each class" in report([sweep], replicates=0).page.read_text()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"baseline": "nope"}, "baseline=nope names none"),
        ({"classes": ["class1"]}, "did you mean 'class 1'"),
        ({"replicates": -1}, "replicates=-1"),
        ({"classes": "class1"}, "did you mean 'class 1'"),
    ],
)
def test_mistakes_are_named(sweep: Path, options: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        report([sweep], **options)  # type: ignore[arg-type]
    assert not (sweep / "report").exists()


def test_clips_of_the_best_attention_system_are_on_the_page(tmp_path: Path) -> None:
    directory, store = complete_run(tmp_path / "run")
    run = directory.path
    written = report([run], replicates=0, load=load)
    assert not [n for n in written.notices if "pictures of clips" in n]
    for name in ("clips_found", "clips_most_wrong"):
        assert (run / "report" / f"{name}.png").read_bytes().startswith(PNG)
        assert f"({name}.png)" in (run / "report" / "report.md").read_text()
    assert written.page.read_text().count('<figure class="wide">') == 2

    shown = telling(group(collect([run])[0])[0][0], Labels(), load, {0: "class 0", 4: "class 4"})
    _, probability = directory.read_predictions()
    positive = store.labels.dense()
    best = [max(np.flatnonzero(positive[:, k]), key=lambda i, k=k: probability[i, k]) for k in (0, 4)]
    assert [s.title for s in shown[0]] == [f"clip{i:06d} - found: class {k}" for i, k in zip(best, (0, 4), strict=True)]
    loss = -np.where(positive, np.log(probability), np.log(1 - probability)).mean(1)
    assert [s.title.split()[0] for s in shown[1]] == [f"clip{i:06d}" for i in np.argsort(-loss)[:3]]

    next(directory.checkpoints.iterdir()).unlink()
    (notice,) = report([run], out=tmp_path / "again", replicates=0, load=load).notices
    assert "without pictures of clips: there is no checkpoint at" in notice
    assert not (tmp_path / "again" / "clips_found.png").exists()


def test_a_report_of_runs_without_checkpoints_says_so(sweep: Path) -> None:
    assert "attention_softmax is without pictures of clips" in report([sweep], replicates=0, load=load).notices[-1]
    assert report([sweep], replicates=0).notices == ()
