"""What the parsers of families write into: events, with repeats merged and later lines added."""

from __future__ import annotations

from dataclasses import replace

from agent.engine.kernel.record import Happening, Record, Value

AGAIN_S = 60.0
"""The same record again within this is a repeat, later it is a new event."""
KEEP_CHARACTERS = 1000
"""So much of a record's text stays with its event."""
NEAR_LINES = 40
"""How many lines may stand between the parts of one report: an OOM kill prints a table of tasks, an oops its registers."""


class Log:
    """Events in the order of their first record. ``record`` is the one being read."""

    def __init__(self) -> None:
        self.record = Record("")
        self.events: list[Happening] = []
        self.line = 0
        self.turn = 0
        self._told = -2

    def add(self, kind: str, fields: dict[str, Value], same: tuple[object, ...] | None = None, waits: bool = False) -> Happening:
        """A new event, or one more of the last if both are ``same`` (by default: the same text). ``waits``: lines to come belong
        to it."""
        record, self._told = self.record, self.line
        key = (kind, record.trusted, *(same if same is not None else (record.text,)))
        last = self.events[-1] if self.events else None
        moment = record.moment
        if last is not None and last.same == key and not _apart(last.last, moment):
            last.count += record.repeat
            last.last = moment
            return last
        if len(record.text) > KEEP_CHARACTERS:
            record = replace(record, text=record.text[:KEEP_CHARACTERS])
        made = Happening(kind, record, fields, key, record.repeat, moment, turn=self.turn, waits=waits)
        self.events.append(made)
        return made

    def again(self, times: int) -> None:
        """A syslog daemon says that its last message came so many times more."""
        if self.events and self.line - self._told <= 1:
            self.events[-1].count += times

    def next(self, record: Record) -> None:
        """The next record is to be read."""
        self.line += 1
        self.record = record

    def take(self, everything: bool = False) -> list[Happening]:
        """The events that are complete: those that wait for no more lines, or have waited since the last call."""
        kept = [] if everything else [e for e in self.events if e.waits and e.turn == self.turn]
        done = [e for e in self.events if everything or not e.waits or e.turn < self.turn]
        self.events = kept
        self.turn += 1
        return done


def _apart(before: float | None, now: float | None) -> bool:
    return before is not None and now is not None and not -AGAIN_S <= now - before <= AGAIN_S
