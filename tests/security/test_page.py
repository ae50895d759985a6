"""docs/security.md and the tests agree: each claim has a test, and each attack is on the page."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "security.md").read_text(encoding="utf-8")


def found_in(*files: Path) -> set[str]:
    return {name for file in files for name in re.findall(r"^def (test_\w+)\(", file.read_text(), re.MULTILINE)}


def test_each_claim_names_a_test_that_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 20
    assert named - found_in(*TESTS.rglob("test_*.py")) == set()


def test_each_attack_is_on_the_page() -> None:
    attacks = found_in(*(TESTS / "security" / f"test_{name}.py" for name in ("attacks", "text")))
    assert attacks - set(re.findall(r"`(test_\w+)`", PAGE)) == set()
