"""Collectors' readings in a form that tests can look up."""

from collections.abc import Iterable

from agent.model import Event, Sample


def figures(items: Iterable[Sample | Event]) -> dict[str, float]:
    """Values by ``name`` or ``name{label='value'}``; events are left out."""
    return {repr(item.series).removesuffix("{}"): item.value for item in items if isinstance(item, Sample)}


def events(items: Iterable[Sample | Event]) -> list[tuple[str, dict[str, str]]]:
    """Kind and labels of the events, in order."""
    return [(item.kind, dict(item.labels)) for item in items if isinstance(item, Event)]
