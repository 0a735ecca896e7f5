"""Figures that move: how they are written, and that Python and the library agree on them."""

from __future__ import annotations

import time
from typing import Any

import pytest

from agent.errors import UsageError
from agent.sim.curves import FORMS, parse_value, sum_at, value_at
from agent.sim.gpu import GpuSim
from agent.sim.schema import Key, key_of
from tests.fakes.nvmlclient import NvmlClient

WATTS, BYTES, SHARE, PERCENT = (Key(unit, "") for unit in ("watts", "bytes", "share", "percent"))  # type: ignore[arg-type]
MINUTE: list[dict[str, Any]] = [
    {"curve": "constant", "value": 300},
    {"curve": "sine", "low": 100, "high": 500, "period": 7},
    {"curve": "sine", "low": 0, "high": 50, "period": 3, "phase": 0.25},
    {"curve": "ramp", "from": 50, "to": 650, "seconds": 20},
    {"curve": "ramp", "from": 650, "to": 50, "seconds": 200},
    {"curve": "grow", "from": 10, "per_second": 2.5},
    {"curve": "burst", "low": 20, "high": 700, "for": 2, "every": 5},
    {"curve": "steps", "steps": [[0, 10], [5, 90], [30, 400]]},
    {"curve": "steps", "steps": [[2, 10], [5, 90]], "repeat": 8},
]


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        ("91", WATTS, 91),
        ("512.5W", WATTS, 512.5),
        ("40GiB", BYTES, 40 * 2**30),
        ("30%", SHARE, 0.3),
        ("30%", PERCENT, 30),
        ("null", WATTS, None),
        ("sine 70..700 every 30s", WATTS, {"curve": "sine", "low": 70, "high": 700, "period": 30}),
        ("ramp 34..95 over 2m", WATTS, {"curve": "ramp", "from": 34, "to": 95, "seconds": 120}),
        ("burst 0..100 for 5s every 20s", PERCENT, {"curve": "burst", "low": 0, "high": 100, "for": 5, "every": 20}),
        ("grow 2GiB +60MiB/m", BYTES, {"curve": "grow", "from": 2 * 2**30, "per_second": 2**20}),
        ("steps 30s=90 0s=10 repeat 1m", WATTS, {"curve": "steps", "steps": [[0, 10], [30, 90]], "repeat": 60}),
        ("97 noise 2", PERCENT, {"curve": "constant", "value": 97, "noise": 2}),
        ("ramp -5..5 over 1s noise 0.5", WATTS, {"curve": "ramp", "from": -5, "to": 5, "seconds": 1, "noise": 0.5}),
    ],
)
def test_people_write_figures_and_curves_with_their_units(text: str, key: Key, expected: object) -> None:
    """As in the table of the documentation."""
    assert parse_value(text, key, "x") == expected


def test_every_form_that_help_names_is_understood() -> None:
    """With numbers in the place of its words."""
    numbers = {"LOW": "1", "HIGH": "2", "FROM": "3", "TO": "4", "BY": "5"}
    for form in FORMS:
        for word, number in numbers.items():
            form = form.replace(word, number)
        assert isinstance(parse_value(form, WATTS, "x"), dict)


@pytest.mark.parametrize(
    "text", ["much", "sine 1..2", "ramp 1 over 2s", "steps", "grow 1", "1..2", "nan", "inf", "40 apples", "91 noise x"]
)
def test_what_is_no_figure_is_told_with_the_forms_there_are(text: str) -> None:
    """And the path it was meant for."""
    with pytest.raises(UsageError, match=r"power\.usage") as told:
        parse_value(text, WATTS, "power.usage")
    assert "sine LOW" in told.value.help


@pytest.mark.parametrize(
    ("path", "said", "expected"),
    [
        ("condition", "lost", "lost"),
        ("present", "off", False),
        ("present", True, True),
        ("name", "NVIDIA X", "NVIDIA X"),
        ("fabric.state", "in-progress", "in-progress"),
        ("recovery_action", "none", "none"),
    ],
)
def test_words_flags_and_texts_stay_what_they_are(path: str, said: object, expected: object) -> None:
    """none is a word where it is one."""
    key = key_of(path)
    assert key is not None
    assert parse_value(said, key, path) == expected


@pytest.mark.parametrize(
    ("path", "said"), [("condition", "broken"), ("present", "maybe"), ("name", 3), ("power.usage", float("nan")), ("fan", [1])]
)
def test_words_that_are_none_are_refused(path: str, said: object) -> None:
    """Each with what it may be."""
    key = key_of(path)
    assert key is not None
    with pytest.raises(UsageError, match=path):
        parse_value(said, key, path)


def test_a_curve_must_be_one_there_is() -> None:
    """Given as a mapping."""
    with pytest.raises(UsageError, match="no curve 'wave'"):
        parse_value({"curve": "wave"}, WATTS, "x")


def test_the_library_computes_every_curve_and_its_sum_as_python_does(sim: GpuSim, nvml: NvmlClient) -> None:
    """Each on a GPU of its own, begun at different times; power in milliwatts, energy in millijoules."""
    now = time.time()
    for begun in (0.0, 4.0, 33.0, 1234.5):
        with sim.change() as state:
            for gpu, curve in zip(state["gpus"] * 2, MINUTE[:8] if begun < 30 else MINUTE[1:], strict=False):
                gpu["power"]["usage"] = {**curve, "since": now - begun, "base": 1000}
        for number, gpu in enumerate(sim.read()["gpus"]):
            before = time.time()
            power, energy = nvml(f"N.nvmlDeviceGetPowerUsage(h({number})), N.nvmlDeviceGetTotalEnergyConsumption(h({number}))")
            after, curve = time.time(), gpu["power"]["usage"]
            around = sorted(1000 * value_at(curve, at, 0) for at in (before, after))
            assert around[0] - 400 <= power <= around[1] + 400 or curve["curve"] in ("burst", "steps")
            assert 1000 * sum_at(curve, before, 0) - 1 <= energy <= 1000 * sum_at(curve, after, 0) + 1


def test_sums_are_what_the_values_add_up_to() -> None:
    """Against adding up in small steps."""
    for curve in MINUTE:
        whole = {**curve, "since": 0}
        steps = 60000
        added = sum(value_at(whole, (i + 0.5) * 60 / steps, 0) for i in range(steps)) * 60 / steps
        assert sum_at(whole, 60, 0) == pytest.approx(added, rel=1e-3)


def test_noise_stays_within_its_bounds_and_is_the_same_for_everybody(sim: GpuSim, nvml: NvmlClient) -> None:
    """It moves with the seconds only."""
    sim.set("all", {"temperature.gpu": "50 noise 5"})
    seen = nvml("[N.nvmlDeviceGetTemperature(h(0), 0) for _ in range(50)]")
    assert all(45 <= value <= 55 for value in seen)
    assert len(set(seen)) <= 2
