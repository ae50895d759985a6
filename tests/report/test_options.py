from __future__ import annotations

import pytest

from audiobag.report.options import labels, options


def test_options_are_groups_and_keys_that_vary_under_the_same_choice() -> None:
    choices = [
        {"pooling": "max", "embedding": "mlp", "paths": "a", "experiment": "x"},
        {"pooling": "max", "embedding": "mlp", "paths": "b", "experiment": "y"},
        {"pooling": "average", "embedding": "gru", "paths": "b", "experiment": "z"},
    ]
    configs = [
        {"embedding.depth": "3", "embedding._target_": "MLP", "optimizer.lr": "0.00012345", "lr_scheduler.steps": "9"},
        {"embedding.depth": "3", "embedding._target_": "MLP", "optimizer.lr": "0.003", "schedule.steps": "8"},
        {"embedding.depth": "2", "embedding._target_": "GRU", "optimizer.lr": "0.003", "schedule.steps": "8"},
    ]
    assert options(choices, configs) == [
        {"embedding": "mlp", "pooling": "max", "lr": "0.000123"},
        {"embedding": "mlp", "pooling": "max", "lr": "0.003"},
        {"embedding": "gru", "pooling": "average", "lr": "0.003"},
    ]
    assert options(choices[:1], configs[:1]) == [{}]


def test_columns_with_the_same_values_are_shown_once_and_equal_ends_are_told_apart() -> None:
    configs = [
        {"sampler.power": "1", "data.sampler.power": "1", "a.width": "1", "b.width": "5"},
        {"sampler.power": "2", "data.sampler.power": "2", "a.width": "1", "b.width": "6"},
        {"sampler.power": "2", "data.sampler.power": "2", "a.width": "2", "b.width": "6"},
    ]
    assert [*options([{}] * 3, configs)[0]] == ["a.width", "b.width", "sampler.power"]


@pytest.mark.parametrize(
    ("names", "found", "expected"),
    [
        (["paper/average", "paper/max"], [{}, {}], ["average", "max"]),
        (["paper/average"], [{}], ["paper/average"]),
        (["mine/average", "paper/average"], [{}, {}], ["mine/average", "paper/average"]),
        (
            ["attention_softmax embedding.width=500", "attention_softmax embedding.width=1024"],
            [{"pooling": "max", "width": "500"}, {"pooling": "max", "width": "1024"}],
            ["max width=500", "max width=1024"],
        ),
        (["a" * 40, "b" * 40], [{"pooling": "c" * 31}, {"pooling": "d" * 31}], ["#1", "#2"]),
    ],
)
def test_labels_are_short_and_distinct(names: list[str], found: list[dict[str, str]], expected: list[str]) -> None:
    assert labels(names, found) == expected
