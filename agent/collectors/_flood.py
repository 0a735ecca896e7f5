"""A flood of one event: told at once the first time, then as a sum. Different events are never held back."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace

from agent.model import Event

AGAIN_S = 10.0
"""Repeats are summed up for so long; below the 15 s in which the judge takes reports for one."""
MOST = 1024
"""So many different events are remembered; the oldest is told and forgotten."""


@dataclass(slots=True)
class _Kept:
    event: Event
    told: float
    count: int = 0


class Flood:
    """Which repeats to tell when. ``now`` is monotonic; an event carries how often it came as the field ``count``."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, _Kept] = {}

    def take(self, key: Hashable, event: Event, count: int, now: float) -> list[Event]:
        """The event if it is new or its time is over, else nothing: :meth:`due` tells of it later."""
        kept = self._kept.get(key)
        if kept is None:
            self._kept[key] = _Kept(event, now)
            return [_counted(event, count)]
        kept.event = event
        kept.count += count
        return []

    def forget(self, key: Hashable) -> list[Event]:
        """The opposite happened (a link is back): the next of these is news again. What was summed up so far is told."""
        kept = self._kept.pop(key, None)
        return [_counted(kept.event, kept.count)] if kept is not None and kept.count else []

    def due(self, now: float) -> list[Event]:
        """Sums whose time is over; what was quiet as long is forgotten."""
        over = [key for key, kept in self._kept.items() if now - kept.told >= AGAIN_S]
        over += [*self._kept][: max(0, len(self._kept) - MOST)]
        told = []
        for key in dict.fromkeys(over):
            kept = self._kept.pop(key)
            if kept.count:
                told.append(_counted(kept.event, kept.count))
                self._kept[key] = _Kept(kept.event, now)
        return told


def _counted(event: Event, count: int) -> Event:
    return replace(event, fields={**event.fields, "count": count})
