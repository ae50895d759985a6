"""The published tables are what the published CSVs say."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from types import ModuleType

import pytest

from tests.composing import trained
from tests.conftest import load_script

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    return load_script(ROOT / "docs" / "results" / "tables.py")


def test_pages_hold_the_tables_that_the_csvs_make(tables: ModuleType) -> None:
    for path in tables.PAGES:
        page = path.read_text(encoding="utf-8")
        assert "<!-- results: " in page
        assert tables.renewed(page) == page, f"{path.name} is not what its CSVs say: python docs/results/tables.py"


def test_runs_behind_links_are_collected(data: Path, tmp_path: Path) -> None:
    trained(data, tmp_path / "elsewhere" / "seed-0", "trainer.max_steps=2")
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "one").symlink_to(tmp_path / "elsewhere")
    load_script(ROOT / "docs" / "results" / "collect.py").main(tmp_path / "sweeps", tmp_path)
    (row,) = csv.DictReader((tmp_path / "scores.csv").read_text().splitlines())
    assert (row["sweep"], row["run"]) == ("one", "seed-0")
    assert (tmp_path / "class_AP.csv").read_text().splitlines()[0] == "one"


def test_the_curves_of_the_schedule_count_completed_steps(data: Path, tmp_path: Path) -> None:
    steps = ("trainer.max_steps=4", "trainer.val_check_interval=2", "data.val_fraction=0.2")
    run = trained(data, tmp_path / "run", *steps)
    curve = load_script(ROOT / "docs" / "results" / "schedule.py").curve(run.path)
    assert [step for step, _ in curve] == [2, 4]
    assert curve[-1][1] == pytest.approx(run.metrics["val"]["mAP"], abs=1e-6)


def test_a_changed_number_is_noticed(tables: ModuleType) -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    first = re.search(r"\d\.\d{4} ±", page)
    assert first is not None
    changed = page.replace(first[0], "0.0001 ±", 1)
    assert tables.renewed(changed) == page
    assert changed != page
