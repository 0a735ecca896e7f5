"""Collectors' readings in a form that tests can look up."""

from collections.abc import Iterable

from agent.collectors._board import Board
from agent.model import Event, Item, Sample


def flat(items: Iterable[Item]) -> list[Sample | Event]:
    """The same with every sample by itself."""
    return [one for item in items for one in (item.samples() if isinstance(item, Board) else (item,))]  # type: ignore[misc]


def figures(items: Iterable[Item]) -> dict[str, float]:
    """Values by ``name`` or ``name{label='value'}``; events are left out."""
    return {repr(item.series).removesuffix("{}"): item.value for item in flat(items) if isinstance(item, Sample)}


def events(items: Iterable[Item]) -> list[tuple[str, dict[str, str]]]:
    """Kind and labels of the events, in order."""
    return [(item.kind, dict(item.labels)) for item in items if isinstance(item, Event)]
