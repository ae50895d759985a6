from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest

from audiobag.data.store import Store
from audiobag.report.collect import collect
from audiobag.report.formats import Table, latex, latex_text, markdown, markdown_text
from audiobag.report.systems import group
from audiobag.report.tables import score_tables, scores_csv
from audiobag.utils.files import csv_text
from tests.report.fabricate import make_run
from tests.report.test_systems import like_the_papers

TABLE = Table("A_title", ("System", "mAP"), (("a|b_c", "0.1 ± 0.2"), ("100 % & more", "-0.3")), 2, "A note.")


def test_markdown() -> None:
    lines = markdown(TABLE).splitlines()
    assert lines[:4] == ["### A\\_title", "", "| System | mAP |", "| --- | ---: |"]
    assert lines[4:6] == ["| a\\|b\\_c | 0.1 ± 0.2 |", "| 100 % & more | -0.3 |"]
    assert lines[-1] == "A note."


def test_latex_is_booktabs_and_escaped() -> None:
    text = latex(TABLE)
    for rule in ("toprule", "midrule", "bottomrule"):
        assert text.count(f"\\{rule}") == 1
    assert r"a|b\_c & 0.1 $\pm$ 0.2 \\" in text
    assert r"100 \% \& more & $-$0.3 \\" in text
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("\\", r"\textbackslash{}"),
        ("~^", r"\textasciitilde{}\textasciicircum{}"),
        ("{#$}", r"\{\#\$\}"),
        ("a-1", "a-1"),
    ],
)
def test_latex_text(text: str, escaped: str) -> None:
    assert latex_text(text) == escaped


def test_markdown_text_is_escaped() -> None:
    assert markdown_text("<b>*x*</b>\n[y](z)") == "\\<b\\>\\*x\\*\\</b\\> \\[y\\](z)"


def test_a_missing_value_is_an_empty_csv_cell() -> None:
    assert csv_text(["a", "b"], [["x,y", None], ["z", 0.5]]) == 'a,b\n"x,y",\nz,0.5\n'


def test_scores_are_those_of_metrics_json_and_of_the_paper(sweep: Path) -> None:
    systems, _ = group(collect([sweep])[0])
    rows = list(csv.DictReader(io.StringIO(scores_csv(systems))))
    assert [(r["system"], r["metric"]) for r in rows[:3]] == [("average", m) for m in ("mAP", "AUC", "d_prime")]
    values = [run.metrics["test"]["AUC"] for run in systems[0].runs]
    assert float(rows[1]["mean"]) == pytest.approx(np.mean(values))
    assert float(rows[1]["deviation"]) == pytest.approx(np.std(values, ddof=1))
    assert rows[1]["steps"] == "10"
    assert rows[1]["paper"] == ""  # the data has five classes
    (table,) = score_tables(systems)
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert [row[column] for column in ("System", "Seeds", "Steps", "Time")] == ["average", "3", "10", "-"]
    assert row["mAP"] == f"{float(rows[0]['mean']):.4f} ± {float(rows[0]['deviation']):.4f}"
    assert "paper" not in [*table.columns, *markdown(table).lower().split()]
    ours = [like_the_papers(system) for system in systems]
    (table,) = score_tables(ours)
    assert table.rows[0][table.columns.index("paper")] == "0.296"
    assert table.columns[: table.essential] == ("System", "mAP", "95 %", "paper")
    assert next(csv.DictReader(io.StringIO(scores_csv(ours))))["paper"] == "0.296"
    assert "Data" not in table.columns
    assert "Code" not in table.columns


def test_mixed_rows_are_marked_in_the_table(sweep: Path, scored: Store) -> None:
    make_run(sweep / "new", scored, pooling="mine", revision="f" * 40)
    systems, _ = group(collect([sweep])[0])
    (table,) = score_tables(systems)
    assert table.columns[-1] == "Code"
    assert {row[0]: row[-1] for row in table.rows}["mine"] == "ffffffff"
    one = next(row for row in table.rows if row[0] == "mine")
    assert re.fullmatch(r"0\.\d{4}", one[1])
    assert one[2] == "-"  # no interval of one seed


def test_the_best_is_bold_and_what_is_as_good_is_marked(sweep: Path) -> None:
    systems = group(collect([sweep])[0])[0][::-1]
    (table,) = score_tables(systems, {"test": {"average"}})
    assert [row[0] for row in table.rows] == ["attention_softmax", "average ≈"]
    means = {table.columns.index(metric) for metric in ("mAP", "AUC", "d'")}
    assert table.bold == {(0, column) for column in means}
    assert f"| attention\\_softmax | **{table.rows[0][1]}** |" in markdown(table)
    assert rf"\textbf{{{table.rows[0][1]}}}".replace("±", r"$\pm$") in latex(table)
    assert r"average $\approx$ &" in latex(table)


def test_each_option_that_varies_has_a_column(tmp_path: Path, scored: Store) -> None:
    for n, (width, lr) in enumerate([(500, 0.0012345), (1024, 0.0012345), (1024, 0.01)]):
        make_run(tmp_path / str(n), scored, n, options={"embedding": {"width": width}, "optimizer": {"lr": lr}})
    (table,) = score_tables(group(collect([tmp_path])[0])[0])
    assert table.columns[1:3] == ("width", "lr")
    assert {row[1:3] for row in table.rows} == {("500", "0.00123"), ("1024", "0.00123"), ("1024", "0.01")}
    assert "95 %" not in table.columns, "there is one seed of each"


def test_the_duration_of_the_training_is_in_the_table(tmp_path: Path, scored: Store) -> None:
    for seed, seconds in enumerate((100.0, 140.0)):
        run = make_run(tmp_path / str(seed), scored, seed)
        run.write_metrics({**(run.metrics() or {}), "train": {"steps": 10, "seconds": seconds}})
    (table,) = score_tables(group(collect([tmp_path])[0])[0])
    assert table.rows[0][table.columns.index("Time")] == "2:00"


def test_runs_of_different_length_show_a_range_of_steps(tmp_path: Path, scored: Store) -> None:
    for seed, steps in enumerate((1200, 900)):
        run = make_run(tmp_path / str(seed), scored, seed)
        run.write_metrics({**(run.metrics() or {}), "train": {"steps": steps}})
    (system,) = group(collect([tmp_path])[0])[0]
    assert system.steps == "900-1,200"


def test_an_interval_over_seeds_stays_within_the_range_of_the_score(tmp_path: Path, scored: Store) -> None:
    for seed, mAP in enumerate((0.9, 0.99)):
        run = make_run(tmp_path / str(seed), scored, seed)
        metrics = run.metrics() or {}
        run.write_metrics({**metrics, "test": {**metrics["test"], "mAP": mAP, "d_prime": 3 * mAP}})
    rows = {r["metric"]: r for r in csv.DictReader(io.StringIO(scores_csv(group(collect([tmp_path])[0])[0])))}
    half = 12.7062 * 0.045  # Student's t with 1 degree of freedom, and the standard error
    assert 0 < float(rows["mAP"]["low"]) < 0.945 < float(rows["mAP"]["high"]) < 1
    assert float(rows["d_prime"]["high"]) == pytest.approx(3 * (0.945 + half), abs=1e-4)


def test_scores_beside_the_headline_ones_have_a_table_where_runs_have_them(tmp_path: Path, scored: Store) -> None:
    for seed, lwlrap in enumerate((0.25, 0.35)):
        run = make_run(tmp_path / str(seed), scored, seed)
        metrics = run.metrics() or {}
        run.write_metrics({**metrics, "test": {**metrics["test"], "lwlrap": lwlrap, "micro_mAP": None}})
    make_run(tmp_path / "older", scored, pooling="max")
    _, further = score_tables(group(collect([tmp_path])[0])[0])
    assert further.columns == ("System", "Seeds", "lwlrap")
    assert {row[0]: row[1:] for row in further.rows} == {"average": ("2", "0.3000 ± 0.0707"), "max": ("1", "-")}
