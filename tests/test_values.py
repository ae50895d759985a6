"""What is typed is taken or refused by its name, its value and what was expected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from audiobag.errors import UserError
from audiobag.values import check_choice, check_flag, check_number, check_path, check_whole, listed, paths


@pytest.mark.parametrize("value", [1, 7, np.int64(3)])
def test_whole_numbers(value: Any) -> None:
    check_whole("n", value)


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0"), (-1, "-1"), (1.5, "1.5"), ("3", "3"), (True, "True"), (None, "null"), ([1], "[1]")]
)
def test_no_whole_numbers(value: Any, shown: str) -> None:
    with pytest.raises(UserError) as refused:
        check_whole("n", value, otherwise=", or auto")
    assert str(refused.value) == f"n={shown}; expected a whole number of at least 1, or auto"


@pytest.mark.parametrize(
    ("value", "within", "inside"),
    [
        (0, "[0, 1)", True),
        (0, "(0, 1)", False),
        (1, "[0, 1)", False),
        (1, "[0, 1]", True),
        (np.float32(0.5), "(0, 1)", True),
        (1e9, "(0, inf)", True),
        (float("inf"), "(0, inf)", False),
        (float("nan"), "[0, 1]", False),
        ("0.5", "[0, 1]", False),
        (True, "[0, 1]", False),
        (None, "[0, 1]", False),
    ],
)
def test_numbers_within_an_interval(value: Any, within: str, inside: bool) -> None:
    if inside:
        check_number("x", value, within)
    else:
        with pytest.raises(UserError, match="expected a number in") as refused:
            check_number("x", value, within)
        assert within in str(refused.value)


def test_names() -> None:
    check_choice("kind", "b", ("a", "b"))
    for value, shown in ((None, "null"), ("c", "c"), (["a"], "['a']")):
        with pytest.raises(UserError) as refused:
            check_choice("kind", value, iter(("a", "b")))
        assert str(refused.value) == f"kind={shown}; expected one of a, b"


def test_flags() -> None:
    check_flag("force", True)
    for value, shown in (("flase", "flase"), (1, "1"), (None, "null")):
        with pytest.raises(UserError) as refused:
            check_flag("force", value)
        assert str(refused.value) == f"force={shown}; expected true or false"


def test_paths() -> None:
    check_path("out", "3")
    check_path("out", None, optional=True)
    for value, said in (
        (3, "out=3; expected a file or folder, or ./3 for one of that name"),
        (None, "out=null; expected a file or folder"),
        ("", "out=; expected a file or folder"),
    ):
        with pytest.raises(UserError) as refused:
            check_path("out", value)
        assert str(refused.value) == said


def test_one_or_several() -> None:
    assert listed(None) == listed([]) == listed(()) == []
    assert listed("abc") == ["abc"]
    assert listed(("a", "b")) == listed(OmegaConf.create(["a", "b"])) == ["a", "b"]
    assert paths("runs", "abc") == paths("runs", [Path("abc")]) == [Path("abc")]
    for value, shown in ((None, "null"), ([], r"\[\]"), (["a", 3], "3")):
        with pytest.raises(UserError, match=f"^runs={shown}; expected a file or folder"):
            paths("runs", value)
