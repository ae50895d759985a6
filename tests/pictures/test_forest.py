from __future__ import annotations

import pytest

from audiobag.pictures.forest import ForestRow, draw_forest
from audiobag.utils.plotting import png

ROWS = [
    ForestRow("attention", 0.2511, 0.249, 0.253),
    ForestRow("a name that costs $5 and more, and goes on for far longer than there is room", 0.22),
]


@pytest.mark.parametrize("zero", [True, False])
def test_rows_stand_from_top_to_bottom_with_their_numbers(zero: bool) -> None:
    figure = draw_forest(ROWS, "mAP", lines={} if zero else {"published": 0.274}, zero=zero)
    axes = figure.axes[0]
    assert axes.get_yticklabels()[0].get_text() == "attention"
    assert axes.get_ylim()[0] > axes.get_ylim()[1], "the first row is on top"
    squares = [line for line in axes.lines if line.get_marker() == "s"]
    assert [float(line.get_xdata()[0]) for line in squares] == [0.2511, 0.22]
    assert png(figure).startswith(b"\x89PNG")


def test_numbers_are_written_with_their_interval_if_there_is_one() -> None:
    assert ROWS[0].text() == "0.2511 (0.2490 to 0.2530)"
    assert ROWS[0].text(3, sign=True) == "+0.251 (+0.249 to +0.253)"
    assert ROWS[1].text() == "0.2200"
