"""Each collector on the running machine: what it brings is declared, clean, finite, and counters do not fall."""

import math
import os
from typing import Any

import pytest

import agent.collectors
from agent import registry
from agent.errors import Unavailable
from agent.host.placement import cgroup_path
from agent.host.procfs import read_once
from agent.model import Event, Kind, Sample
from tests.collectors.figures import flat

HOST = ("cgroup", "cpu", "disk", "filesystem", "memory", "network", "pressure", "self")
FOUND, _ = registry.load(agent.collectors, "Collector")


def readings(name: str) -> tuple[Any, list[Sample], list[Sample]]:
    """The collector and two readings of it, or a skip where the machine has no such source."""
    collector = FOUND[name]()
    if name == "cgroup":
        collector.watch({cgroup_path(read_once("/proc/self/cgroup")): os.getpid()})
    try:
        first, second = flat(collector.collect()), flat(collector.collect())
    except Unavailable as why:
        pytest.skip(str(why))
    both = [[item for item in items if not isinstance(item, Event)] for items in (first, second)]
    return collector, both[0], both[1]


@pytest.mark.real
@pytest.mark.parametrize("name", HOST)
def test_two_readings_of_this_machine(name: str) -> None:
    """Declared names and labels only, one sample a series, finite and not negative, printable labels, no counter falls."""
    collector, first, second = readings(name)
    declared = {metric.name: metric for metric in collector.metrics}
    before = {(s.series.name, s.series.labels): s.value for s in first}
    assert first
    assert len(before) == len(first)
    for series, value in second:
        metric = declared[series.name]
        assert tuple(k for k, _ in series.labels) == tuple(sorted(metric.labels))
        assert all(text.isprintable() for _, text in series.labels)
        assert math.isfinite(value)
        assert value >= 0
        if metric.kind is Kind.COUNTER:
            assert value >= before.get((series.name, series.labels), 0.0)


@pytest.mark.real
@pytest.mark.parametrize("name", HOST)
def test_handles_are_kept_from_one_reading_to_the_next(name: str) -> None:
    """The store knows a series by its handle: a new one each second would cost a look-up each."""
    _, first, second = readings(name)
    handles = {id(sample.series) for sample in first}
    assert all(id(sample.series) in handles for sample in second)
