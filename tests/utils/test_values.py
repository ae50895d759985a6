"""Checks of arguments accept valid values and name the argument, the expected value and the value found."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from audiobag.utils.values import check_choice, check_number, check_whole, listed


@pytest.mark.parametrize("value", [1, 7, np.int64(3)])
def test_whole_numbers_are_accepted(value: Any) -> None:
    check_whole("n", value)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (-1, "-1"),
        (1.5, "1.5"),
        ("3", "the text '3'"),
        ("x", "x"),
        (True, "True"),
        (None, "null"),
        ([1], "[1]"),
    ],
)
def test_other_values_are_not_whole_numbers(value: Any, shown: str) -> None:
    message = f"n must be a whole number of at least 1, or auto, got {shown}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_whole("n", value, otherwise=", or auto")


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
def test_numbers_must_be_in_the_interval(value: Any, within: str, inside: bool) -> None:
    if inside:
        check_number("x", value, within)
    else:
        with pytest.raises(ValueError, match=f"^{re.escape(f'x must be a number in {within}, got')}"):
            check_number("x", value, within)


def test_names_must_be_known() -> None:
    check_choice("kind", "b", ("a", "b"))
    for value, shown in ((None, "null"), ("c", "c"), (["a"], "['a']")):
        with pytest.raises(ValueError, match=f"^{re.escape(f'kind must be one of a, b, got {shown}')}$"):
            check_choice("kind", value, iter(("a", "b")))


def test_single_values_become_lists() -> None:
    assert listed(None) == listed([]) == listed(()) == []
    assert listed("abc") == ["abc"]
    assert listed(("a", "b")) == listed(OmegaConf.create(["a", "b"])) == ["a", "b"]
