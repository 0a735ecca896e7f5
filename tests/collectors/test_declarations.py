"""What holds for every collector in the folder, those of other files included."""

import re
from collections.abc import Callable
from typing import Any

import pytest

import agent.collectors
from agent import registry
from agent.model import Kind, Metric

FOUND, BROKEN = registry.load(agent.collectors, "Collector")
UNITS = {"seconds", "bytes", "ratio", "celsius", "watts", "joules", "hertz", ""}
NAMED_AS_IN_PROC = {"process_read_chars_total"}
"""The kernel's own word, known to everyone who reads /proc/PID/io; its unit is bytes."""


def declared(name: str) -> tuple[Metric, ...]:
    """What a collector declares."""
    collector: Any = FOUND[name]
    return tuple(collector.metrics)


def test_every_file_is_a_collector() -> None:
    """Nothing in the folder fails to import."""
    assert BROKEN == []
    assert {"cpu", "memory", "pressure", "disk", "filesystem", "network", "cgroup", "self"} <= FOUND.keys()


def test_no_name_is_declared_twice() -> None:
    """One name, one meaning, one source."""
    names = [metric.name for collector in FOUND for metric in declared(collector)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", sorted(FOUND))
def test_settings_have_defaults_and_schedule(name: str) -> None:
    """A collector runs without configuration, at a positive interval, with a deadline, and says whether it can block."""
    make: Callable[..., Any] = FOUND[name]
    assert isinstance(make.may_block, bool)  # type: ignore[attr-defined]
    collector = make()
    assert collector.interval > 0
    assert collector.timeout > 0


def well_named(metric: Metric) -> bool:
    """Lower case, no ``anfl_``; counters end in ``_total``, infos in ``_info``; the base unit stands before that."""
    stem = metric.name.removesuffix("_total")
    return (
        re.fullmatch(r"[a-z][a-z0-9_]*", metric.name) is not None
        and not metric.name.startswith("anfl_")
        and metric.unit in UNITS
        and metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
        and metric.name.endswith("_info") == (metric.kind is Kind.INFO)
        and (not metric.unit or stem.endswith(f"_{metric.unit}") or metric.name in NAMED_AS_IN_PROC)
    )


@pytest.mark.parametrize("name", sorted(FOUND))
def test_names_follow_the_conventions(name: str) -> None:
    """Prometheus' rules for names and base units hold for every metric."""
    assert [metric.name for metric in declared(name) if not well_named(metric)] == []


@pytest.mark.parametrize("name", sorted(FOUND))
def test_help_is_a_sentence(name: str) -> None:
    """Docs and the page show it: it begins with a capital or a digit and ends with a full stop."""
    assert [metric.name for metric in declared(name) if not re.fullmatch(r"[A-Z0-9].*\.", metric.help)] == []


@pytest.mark.parametrize("name", sorted(FOUND))
def test_label_names_are_valid(name: str) -> None:
    """Labels are lower case and not repeated."""
    for metric in declared(name):
        assert len(set(metric.labels)) == len(metric.labels)
        assert all(re.fullmatch(r"[a-z][a-z0-9_]*", label) for label in metric.labels)
