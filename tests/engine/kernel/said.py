"""What lines say, for tests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from agent.engine.kernel.lines import records
from agent.engine.kernel.reader import Reader
from agent.engine.kernel.record import Happening


def read(lines: Iterable[str]) -> list[Happening]:
    """The events of a log."""
    reader = Reader()
    for record in records(lines):
        reader.feed(record)
    return reader.take()


def said(*lines: str) -> list[dict[str, Any]]:
    """The same as plain fields, those that are null left out."""
    return [{"kind": e.kind, "count": e.count, **{k: v for k, v in e.fields.items() if v is not None}} for e in read(lines)]


def kinds(*lines: str) -> list[str]:
    """Only their kinds."""
    return [event.kind for event in read(lines)]


def has(event: dict[str, Any], **wanted: Any) -> bool:
    """Whether an event has these fields."""
    return wanted.items() <= event.items()
