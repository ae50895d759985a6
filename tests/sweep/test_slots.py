from __future__ import annotations

from typing import Any

import pytest

from audiobag.sweep.slots import make_slots, visible_gpus

UUIDS = ["GPU-8a2c", "GPU-77f1", "MIG-0b3d"]


def slots(**options: Any) -> list[tuple[tuple[str, ...], int]]:
    given = {"jobs": "auto", "devices": [], "devices_per_job": 1, "cores": 16, "waiting": 100, **options}
    return [(s.devices, s.threads) for s in make_slots(**given)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"devices": UUIDS}, [((d,), 5) for d in UUIDS]),
        ({"devices": list("0123"), "devices_per_job": 2}, [(("0", "1"), 4), (("2", "3"), 4)]),
        ({"devices": list("012"), "devices_per_job": 2}, [(("0", "1"), 8)]),
        ({"devices": list("01"), "jobs": 4}, [(("0",), 4), (("1",), 4), (("0",), 4), (("1",), 4)]),
        ({"devices": list("0123"), "waiting": 1}, [(("0",), 16)]),
        ({"cores": 2}, [((), 1)] * 2),
        ({"cores": 8, "threads": 4}, [((), 4)] * 2),
        ({"cores": 8, "waiting": 3}, [((), 2)] * 3),
        ({"cores": 8, "devices_per_job": 2}, [((), 1)] * 4),
        ({"cores": 2, "devices_per_job": 4}, [((), 1)]),
        ({"jobs": 1, "cores": 8}, [((), 8)]),
    ],
)
def test_slots_share_devices_and_cores(options: dict[str, Any], expected: list[Any]) -> None:
    assert slots(**options) == expected


@pytest.mark.parametrize(
    "options", [{"jobs": 0}, {"jobs": "many"}, {"devices_per_job": 0}, {"devices": ["0"], "devices_per_job": 2}]
)
def test_numbers_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"jobs|devices_per_job|GPUs"):
        slots(**options)


def test_visible_gpus_come_from_the_environment() -> None:
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "GPU-8a2c, 3"}) == ["GPU-8a2c", "3"]
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": ""}) == []
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "-1"}) == []
