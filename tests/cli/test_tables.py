"""The table of scores that a command prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiobag.cli.tables import show_scores


def test_the_ontology_aware_score_is_shown_where_it_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    scores = {"mAP": 0.25, "AUC": 0.9, "d_prime": None, "classes": 4, "lwlrap": 0.3}
    show_scores({"test": scores}, Path("run"))
    assert "OmAP" not in capsys.readouterr().out
    show_scores({"val": scores, "test": {**scores, "OmAP": 0.375}}, Path("run"))
    head, _, held_out, scored = capsys.readouterr().out.splitlines()[1:5]
    assert [" ".join(text.split()) for text in (head, held_out, scored)] == [
        "┃ scored ┃ mAP ┃ AUC ┃ d-prime ┃ OmAP ┃ classes ┃",
        "│ hold-out │ 0.2500 │ 0.9000 │ - │ - │ 4 │",
        "│ eval, final weights │ 0.2500 │ 0.9000 │ - │ 0.3750 │ 4 │",
    ]
