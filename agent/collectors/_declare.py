"""Short ways to declare metrics and to make the handles of their series."""

from __future__ import annotations

from collections.abc import Iterable

from agent.model import Kind, Labels, Metric, Series


def counter(name: str, unit: str, help: str, *labels: str) -> Metric:
    """A sum that only grows; the name ends in ``_total``."""
    return Metric(name, Kind.COUNTER, unit, help, labels)


def gauge(name: str, unit: str, help: str, *labels: str) -> Metric:
    """A level."""
    return Metric(name, Kind.GAUGE, unit, help, labels)


def info(name: str, help: str, *labels: str) -> Metric:
    """A series whose value is always 1 and whose labels are the message."""
    return Metric(name, Kind.INFO, "", help, labels)


def handles(metrics: Iterable[Metric], labels: Labels = ()) -> dict[str, Series]:
    """One kept handle for every metric that carries exactly these labels, by metric name."""
    names = {name for name, _ in labels}
    return {m.name: Series(m.name, labels) for m in metrics if set(m.labels) == names}
