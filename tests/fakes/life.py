"""A book of incidents, driven round by round."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from agent.engine.evaluate import Transition
from agent.engine.graph import Place
from agent.engine.incident import Complaint, Impact, Incident, IncidentEvent, Key
from agent.engine.incidentbook import Book, Seen, Standing, Step
from agent.engine.incidents import judged
from agent.model import Labels, Severity, labels

ROUND_S = 5.0
NOBODY = Impact()


def process(pid: int, unit: str = "", comm: str = "python3") -> Place:
    """Where a process is."""
    known = {"pid": str(pid), "comm": comm} | ({"unit": unit} if unit else {})
    return Place(labels(pid=pid), known, frozenset({str(pid)}))


@dataclass
class Life:
    """A book, driven round by round; remembers every event and what fires."""

    book: Book = field(default_factory=Book)
    now: float = 1_000_000.0
    events: list[IncidentEvent] = field(default_factory=list)
    standing: dict[Key, Standing] = field(default_factory=dict)
    notes: list[tuple[int, str]] = field(default_factory=list)

    def take(self, step: Step) -> None:
        """Go on from a step."""
        self.book = step.book
        self.events += step.events
        self.notes += [(e.incident, e.what) for e in step.entries]

    def round(self, *seen: Seen, quiet: frozenset[Key] = frozenset()) -> None:
        """One round of the judge."""
        self.now += ROUND_S
        self.take(judged(self.book, self.now, seen, self.standing, quiet))

    def fires(
        self,
        tree: str,
        place: Place,
        severity: Severity = Severity.WARNING,
        start: float | None = None,
        impact: Impact = NOBODY,
    ) -> None:
        """A symptom begins, of which the judge knows whom it concerns."""
        self.standing[tree, place.key] = Standing()
        change = Transition(self.now, tree, place.key, "firing", self.now - 60, severity)
        complaint = Complaint(tree, place.key, severity, self.now - 60, self.now, "too much", place, start)
        self.round(Seen(change, complaint, impact))

    def ends(self, tree: str, key: Labels, to: Any = "resolved") -> None:
        """A symptom is over."""
        self.standing.pop((tree, key), None)
        change = Transition(self.now, tree, key, to, self.now - 60, Severity.WARNING)
        self.round(Seen(change, Complaint(tree, key, Severity.WARNING, self.now, self.now)))

    def wait(self, seconds: float, quiet: frozenset[Key] = frozenset()) -> None:
        """Rounds in which nothing changes."""
        for _ in range(int(seconds / ROUND_S)):
            self.round(quiet=quiet)

    def told(self, number: int = 1) -> list[str]:
        """The kinds of an incident's events."""
        return [e.kind for e in self.events if e.incident == number]

    def one(self, number: int = 1) -> Incident:
        """An incident."""
        return self.book.incidents[number]
