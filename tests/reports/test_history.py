"""A recording at equal steps: counters exact, gaps left open, peaks kept."""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest

from agent.model import Column, Event, Kind, Metric, labels
from agent.reports import history
from agent.store.recording import Recording
from tests.reports.worlds import START, course, record

BUSY, LOAD = ("host_cpu_busy_seconds_total", labels()), ("host_load1", labels())


def column(*values: float) -> Column:
    """Readings a second apart."""
    return Column(array("d", range(len(values))), array("d", values))


def test_a_period_is_read_at_equal_steps(tmp_path: Path) -> None:
    """A counter's growth is whole, the metrics nobody asked for stay out, and a time without a recording has no point."""
    recording = record(tmp_path, course(4800, 10, lambda t: {BUSY: t / 2, LOAD: 1.0}))
    seen = history.grid(recording, START - 4800, START + 4800, {BUSY[0]})
    assert seen.columns.keys() == {BUSY}
    assert 0.49 < seen.recorded < 0.53
    (only,) = seen.named(BUSY[0]).values()
    assert history.growth(only) == pytest.approx(2400, rel=0.02)
    assert [*history.rates(only).values][-1] == pytest.approx(0.5)


def test_an_empty_recording_has_nothing(tmp_path: Path) -> None:
    """No error, no readings."""
    seen = history.grid(Recording(str(tmp_path)), 0.0, 86400.0, {"x"})
    assert (seen.recorded, dict(seen.columns)) == (0.0, {})
    assert history.host_of(Recording(str(tmp_path))) == ""


def test_a_counter_that_began_anew_counts_what_it_has_since() -> None:
    """No negative growth."""
    assert history.growth(column(5, 9, 2, 3)) == 4 + 2 + 1
    assert [*history.rates(column(5, 9, 2)).values] == [4, 2]


def test_thinning_keeps_every_peak_and_the_ends() -> None:
    """A spike of one reading is what one wants to see."""
    values = [0.0] * 5000
    values[1234], values[4000] = 99.0, -99.0
    thin = history.thinned(column(*values), 100)
    assert len(thin.times) <= 100
    assert {99.0, -99.0} <= {*thin.values}
    assert [*thin.times] == sorted(thin.times)
    assert history.spaced(column(*range(1000)), 100).values[-1] == 999


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("process_cpu_seconds_total", "cores"),
        ("host_cpu_busy_seconds_total", "cores"),
        ("gpu_throttled_seconds_total", "ratio"),
        ("cgroup_cpu_throttled_seconds_total", "ratio"),
        ("host_pressure_cpu_waiting_seconds_total", "ratio"),
    ],
)
def test_seconds_of_a_processor_are_cores_and_others_a_share_of_time(name: str, unit: str) -> None:
    """A GPU that is held down six tenths of the time does not take 0.6 cores."""
    assert history.as_level(column(0, 1, 2), Metric(name, Kind.COUNTER, "seconds", ""))[1] == unit


def test_a_counter_is_shown_as_a_rate() -> None:
    """A gauge as it is."""
    count = Metric("n", Kind.COUNTER, "", "")
    assert history.as_level(column(0, 1, 2), count) == (Column(array("d", [1, 2]), array("d", [1, 1])), "1/second")
    assert history.as_level(column(3, 4), None) == (column(3, 4), "")


def test_events_of_a_kind_come_in_their_order(tmp_path: Path) -> None:
    """Those of the span alone."""
    events = [Event(START + t, "kernel", text=str(t)) for t in (50, 10, 4000)]
    recording = record(tmp_path, course(4800, 10, lambda t: {LOAD: 1.0}), [*events, Event(START + 20, "other")])
    assert [e.text for e in history.events(recording, START, START + 100, ("kernel",))] == ["10", "50"]


def test_figures_of_nothing_are_none() -> None:
    """And of something all five."""
    assert history.figures([]) == {}
    assert history.figures([1, 2, 3]) == {"mean": 2, "p95": 3, "max": 3, "min": 1, "last": 3}
