"""The published tables are what the published CSVs say."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest

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


def test_a_changed_number_is_noticed(tables: ModuleType) -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    first = re.search(r"\d\.\d{4} ±", page)
    assert first is not None
    changed = page.replace(first[0], "0.0001 ±", 1)
    assert tables.renewed(changed) == page
    assert changed != page
