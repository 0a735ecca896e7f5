"""The book of incidents, and one step being written into it: what changed, what is told of it, what the timeline says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace

from agent.dataclass import dataclass
from agent.engine.evaluate import Transition
from agent.engine.graph import Place
from agent.engine.incident import Complaint, Entry, Impact, Incident, IncidentEvent, Key, Kind
from agent.engine.overlap import handles, place_of

RELAPSE_S = 1800.0
"""A symptom that comes back within this time is a relapse of the same incident."""


@dataclass(frozen=True)
class Seen:
    """A symptom that changed, with who it concerns."""

    change: Transition
    complaint: Complaint
    impact: Impact = field(default_factory=Impact)


@dataclass(frozen=True)
class Standing:
    """How a firing symptom stands in this round."""

    missing: bool = False
    clearing: bool = False


@dataclass(frozen=True)
class Book:
    """All open incidents, those closed a short while ago, and those closed by a person while something still fires. ``at`` is the
    time of the judge's last round."""

    next_id: int = 1
    at: float = 0.0
    incidents: Mapping[int, Incident] = field(default_factory=dict)

    @property
    def open(self) -> list[Incident]:
        """Those not closed, oldest first."""
        return [i for _, i in sorted(self.incidents.items()) if i.firing]

    def holder(self, key: Key) -> Incident | None:
        """The incident that has this symptom now."""
        return next((i for _, i in sorted(self.incidents.items()) if any(c.key == key for c in i.active)), None)

    @property
    def watched(self) -> frozenset[Key]:
        """Symptoms that are over, of flapping incidents: whether they are known to stay so decides when those end."""
        return frozenset(c.key for i in self.open if i.flapping and not i.active for c in i.complaints)


@dataclass(frozen=True)
class Step:
    """What one step changed."""

    book: Book
    changed: tuple[Incident, ...] = ()
    events: tuple[IncidentEvent, ...] = ()
    entries: tuple[Entry, ...] = ()


class Draft:
    """One step being made."""

    def __init__(self, book: Book, now: float) -> None:
        self.now = now
        self.known = dict(book.incidents)
        self._events: list[IncidentEvent] = []
        self._next, self._at = book.next_id, book.at
        self._entries: list[Entry] = []
        self._changed: dict[int, None] = {}
        self.fresh: dict[int, Kind] = {}
        """Opened or reopened in this step; told of at its end, when all that belongs to them is known."""
        self._near: dict[tuple[str, str], dict[int, None]] | None = None
        self._holders: dict[Key, int] | None = None

    @property
    def open(self) -> list[Incident]:
        """Those not closed, oldest first."""
        return [i for _, i in sorted(self.known.items()) if i.firing]

    def near(self, place: Place) -> list[Incident]:
        """Incidents, open and closed, that may have to do with a place, oldest first. A storm must not ask every one for each."""
        if self._near is None:
            self._near = {}
            for incident in self.known.values():
                self.found_at(incident, *(c.place for c in incident.complaints))
        found = {number for handle in handles(place) for number in self._near.get(handle, ())}
        return [self.known[number] for number in sorted(found)]

    def found_at(self, incident: Incident, *places: Place) -> None:
        """An incident is to be found at these places too, and where its root cause is."""
        if self._near is not None:
            root = (place_of(incident.root["target"]),) if incident.root is not None else ()
            for handle in (h for place in (*places, *root) for h in handles(place)):
                self._near.setdefault(handle, {})[incident.id] = None

    @property
    def holders(self) -> dict[Key, int]:
        """Numbers of incidents by the symptoms that are active in them; kept up to date by who changes those."""
        if self._holders is None:
            self._holders = {c.key: i.id for i in self.known.values() for c in i.active}
        return self._holders

    def touched(self, incident: Incident) -> bool:
        """Whether this step changed it so far."""
        return incident.id in self._changed or incident.id in self.fresh

    def begin(self, complaint: Complaint) -> Incident:
        """A new incident with the next number."""
        made = Incident(self._next, self.now, self.now, since=complaint.onset)
        self._next += 1
        self.fresh[made.id] = "opened"
        return made

    def put(self, incident: Incident) -> Incident:
        """Its new state; unchanged ones are not noted."""
        if self.known.get(incident.id) != incident:
            incident = replace(incident, updated=self.now)
            self.known[incident.id] = incident
            self._changed[incident.id] = None
        return incident

    def note(self, incident: Incident, what: str, text: str = "", who: str = "", at: float | None = None) -> None:
        """A line of its timeline."""
        self._entries.append(Entry(incident.id, self.now if at is None else at, what, text, who))

    def tell(self, incident: Incident, kind: Kind, reason: str, who: str = "") -> Incident:
        """Something to hear of; also a line of its timeline."""
        incident = self.put(replace(incident, version=incident.version + 1))
        self.note(incident, kind, reason, who)
        self._events.append(IncidentEvent("", incident.id, incident.version, kind, self.now, incident.severity, reason, incident))
        return incident

    def step(self, *, judged: bool = False) -> Step:
        """What came of it; what closed long ago is left to the file."""
        kept = {
            i.id: i
            for i in self.known.values()
            if i.firing or i.active or (i.closed is not None and self.now - i.closed < RELAPSE_S)
        }
        changed = tuple(self.known[number] for number in self._changed)
        return Step(Book(self._next, self.now if judged else self._at, kept), changed, tuple(self._events), tuple(self._entries))
