"""The life of incidents: what belongs together is one, each opening has one end, and missing data ends nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from agent.engine.attribution import diagnosed
from agent.engine.graph import Place
from agent.engine.handling import Verb, said
from agent.engine.incident import ENDS, incident, plain
from agent.engine.incidentbook import RELAPSE_S, Book, Standing
from agent.engine.incidents import CALM_S, FLAPS
from agent.model import Severity, labels
from tests.fakes.life import Life, process


def test_an_incident_opens_and_resolves() -> None:
    """One symptom, one incident, one opening, one end; numbers begin with 1."""
    life = Life()
    life.fires("memory", process(7))
    assert life.one().phase == "open"
    assert life.one().title == "memory: python3 (pid 7)"
    assert life.events[0].reason == "memory: python3 (pid 7): too much"
    life.ends("memory", labels(pid=7))
    assert life.told() == ["opened", "resolved"]
    assert (life.one().phase, life.one().ending) == ("closed", "resolved")


def test_symptoms_of_one_process_tree_are_one_incident() -> None:
    """Another tree, another process of the family, the unit it runs in: all join; a stranger does not."""
    life = Life()
    life.fires("memory", process(7, unit="web.service"))
    life.fires("latency", process(7))
    life.fires("latency", replace(process(8), pids=frozenset({"7", "8"})))
    life.fires("unit", Place(labels(unit="web.service"), {"unit": "web.service"}))
    life.fires("memory", process(99))
    assert sorted(life.book.incidents) == [1, 2]
    assert len(life.one().complaints) == 4
    assert life.told() == ["opened"]


def test_the_host_joins_the_host_only() -> None:
    """A symptom of the host is not part of whatever else is open; another one of the host is part of it."""
    life = Life()
    life.fires("memory", process(7))
    life.fires("host", Place())
    life.fires("pressure", Place())
    life.fires("disk", Place(labels(device="sda"), {"device": "sda"}))
    life.fires("disk", Place(labels(device="sdb"), {"device": "sdb"}))
    assert [len(life.one(n).complaints) for n in (1, 2, 3, 4)] == [1, 2, 1, 1]


def test_it_ends_with_its_last_symptom() -> None:
    """One of two symptoms that is over leaves it open."""
    life = Life()
    life.fires("memory", process(7))
    life.fires("latency", process(7))
    life.ends("memory", labels(pid=7))
    assert life.one().firing
    life.ends("latency", labels(pid=7))
    assert life.told() == ["opened", "resolved"]


def test_what_it_is_about_may_end() -> None:
    """An entity that was seen to end closes the incident as gone, not as resolved."""
    life = Life()
    life.fires("memory", process(7))
    life.ends("memory", labels(pid=7), "gone")
    assert life.told() == ["opened", "gone"]
    assert life.one().ending == "gone"


def test_missing_data_ends_nothing() -> None:
    """Hours without data leave it open, and the timeline says so once."""
    life = Life()
    life.fires("memory", process(7))
    life.standing["memory", labels(pid=7)] = Standing(missing=True)
    life.wait(7200)
    assert life.one().phase == "open"
    assert life.told() == ["opened"]
    assert life.notes.count((1, "no data")) == 1


def test_it_recovers_while_it_is_known_to_be_better() -> None:
    """The judge's clearing shows as a phase, and losing sight of it takes that back."""
    life, key = Life(), ("memory", labels(pid=7))
    life.fires("memory", process(7))
    for standing, phase in ((Standing(clearing=True), "recovering"), (Standing(missing=True), "open")):
        life.standing[key] = standing
        life.round()
        assert life.one().phase == phase
    assert life.told() == ["opened"]


def test_severity_is_the_worst_that_is_active() -> None:
    """A graver symptom raises it, its end lowers it, and both are told; the worst is remembered."""
    life = Life()
    life.fires("memory", process(7))
    life.fires("latency", process(7), Severity.CRITICAL)
    assert life.one().severity is Severity.CRITICAL
    life.ends("latency", labels(pid=7))
    assert (life.one().severity, life.one().worst) == (Severity.WARNING, Severity.CRITICAL)
    assert [e.reason for e in life.events[1:]] == ["severity: warning → critical", "severity: critical → warning"]


def test_a_relapse_reopens_it() -> None:
    """The same symptom on the same process within the window is the same incident, a further episode; later it is a new one."""
    life = Life()
    life.fires("memory", process(7))
    life.ends("memory", labels(pid=7))
    life.wait(RELAPSE_S - 60)
    life.fires("memory", process(7))
    life.ends("memory", labels(pid=7))
    assert life.told() == ["opened", "resolved", "reopened", "resolved"]
    assert life.one().episode == 2
    life.wait(RELAPSE_S + 60)
    life.fires("memory", process(7))
    assert life.told(2) == ["opened"]


def test_a_restarted_service_is_the_same_patient() -> None:
    """A new process of the same service with the same symptom is a relapse; so is none of another service or a login session."""
    life = Life()
    life.fires("memory", process(7, "web.service"))
    life.fires("memory", process(17, "session-3.scope"))
    for pid in (7, 17):
        life.ends("memory", labels(pid=pid), "gone")
    life.fires("memory", process(8, "web.service"))
    life.fires("memory", process(18, "session-3.scope"))
    life.fires("memory", process(28, "mail.service"))
    assert life.told(1) == ["opened", "gone", "reopened"]
    assert life.told(3) == life.told(4) == ["opened"]


def test_a_reused_pid_is_somebody_else() -> None:
    """The number alone does not make two processes one."""
    life = Life()
    life.fires("memory", process(7), start=100.0)
    life.ends("memory", labels(pid=7), "gone")
    life.fires("memory", process(7), start=500.0)
    assert sorted(life.book.incidents) == [1, 2]


def flapping() -> Life:
    """An incident that came back until it is taken to be flapping."""
    life = Life()
    life.fires("memory", process(7))
    for _ in range(FLAPS):
        life.ends("memory", labels(pid=7))
        life.wait(120)
        life.fires("memory", process(7))
    return life


def test_one_that_comes_and_goes_is_told_of_once() -> None:
    """From then on it stays open, and neither its ends nor its returns are told."""
    life = flapping()
    assert life.one().phase == "flapping"
    before = life.told()
    assert before[-2:] == ["reopened", "flapping"]
    for _ in range(5):
        life.ends("memory", labels(pid=7))
        life.wait(120)
        life.fires("memory", process(7))
    assert life.told() == before


def test_flapping_ends_when_it_was_known_quiet() -> None:
    """Time without data does not count as quiet."""
    life, key = flapping(), ("memory", labels(pid=7))
    life.ends(*key)
    assert life.book.watched == {key}
    life.wait(3 * CALM_S)
    assert life.one().phase == "flapping"
    life.wait(CALM_S + 60, quiet=frozenset({key}))
    assert life.told()[-2:] == ["flapping", "resolved"]


def test_flapping_that_lasts_is_a_lasting_trouble() -> None:
    """It settles, and its end is then told as of any other."""
    life = flapping()
    life.wait(CALM_S + 60)
    assert life.one().phase == "open"
    life.ends("memory", labels(pid=7))
    assert life.told()[-3:] == ["flapping", "settled", "resolved"]


def test_a_flapping_process_that_is_gone_is_not_waited_for() -> None:
    """Nobody could ever know that it is quiet."""
    life = flapping()
    life.ends("memory", labels(pid=7))
    life.ends("memory", labels(pid=7), "gone")
    life.wait(CALM_S + 60)
    assert life.told()[-1] == "gone"


# ---------------------------------------------------------------------------------------------- any series of symptoms

PLACES = [process(1, "a.service"), process(2, "a.service"), process(3), Place(), Place(labels(uuid="GPU-1"), {"uuid": "GPU-1"})]
TREES = ["memory", "latency"]


class AnySeries(RuleBasedStateMachine):
    """Symptoms that come, go, vanish and lose their data in any order, with gaps of any length and restarts of the agent."""

    def __init__(self) -> None:
        super().__init__()
        self.life = Life()

    @initialize()
    def start(self) -> None:
        """Begin quiet."""
        self.life = Life()

    @rule(tree=st.sampled_from(TREES), place=st.sampled_from(PLACES), severity=st.sampled_from(list(Severity)))
    def fires(self, tree: str, place: Place, severity: Severity) -> None:
        """A symptom that does not fire begins to."""
        if (tree, place.key) not in self.life.standing:
            self.life.fires(tree, place, severity)

    @rule(number=st.integers(0), gone=st.booleans())
    def ends(self, number: int, gone: bool) -> None:
        """One of those that fire is known to be over, or its entity ended."""
        if self.life.standing:
            key = sorted(self.life.standing)[number % len(self.life.standing)]
            self.life.ends(*key, to="gone" if gone and key[1] else "resolved")

    @rule(number=st.integers(0), missing=st.booleans(), clearing=st.booleans())
    def stands(self, number: int, missing: bool, clearing: bool) -> None:
        """One of those that fire loses its data, or gets better."""
        if self.life.standing:
            key = sorted(self.life.standing)[number % len(self.life.standing)]
            self.life.standing[key] = Standing(missing, clearing and not missing)
            self.life.round()

    @rule(seconds=st.sampled_from([5, 60, 600, 2000, 4000]), known=st.booleans())
    def passes(self, seconds: int, known: bool) -> None:
        """Time goes by, with data or without."""
        quiet = frozenset((t, p.key) for t in TREES for p in PLACES) - set(self.life.standing) if known else frozenset()
        seen, before = len(self.life.events), self.life.book
        self.life.wait(seconds, quiet)
        ended = [before.incidents[e.incident] for e in self.life.events[seen:] if e.kind in ENDS]
        assert known or all(c.ended == "gone" for i in ended for c in i.complaints), "time without data ended an incident"

    @rule(tree=st.sampled_from(TREES), place=st.sampled_from(PLACES))
    def comes_and_goes(self, tree: str, place: Place) -> None:
        """A symptom that does not fire does so a few times."""
        for _ in range(FLAPS + 1):
            self.fires(tree, place, Severity.WARNING)
            self.life.ends(tree, place.key)
            self.life.wait(60)

    @rule(number=st.integers(0), place=st.sampled_from(PLACES), trees=st.sets(st.sampled_from(TREES)), name=st.sampled_from("ab"))
    def diagnosed(self, number: int, place: Place, trees: set[str], name: str) -> None:
        """One of those that fire is looked into; what is found may be about anybody."""
        if self.life.standing:
            key = sorted(self.life.standing)[number % len(self.life.standing)]
            pid, uuid = (dict(place.key).get(kind) for kind in ("pid", "uuid"))
            kind = "process" if pid else "gpu" if uuid else "host"
            target = {"kind": kind, "name": "x", "pid": int(pid) if pid else None, "uuid": uuid, "unit": place.labels.get("unit")}
            found = {"id": f"memory.{name}", "title": "T", "severity": "critical", "confidence": {"lo": 0.8, "hi": 0.9}}
            found |= {"target": target, "symptoms": sorted(trees), "consequences": ["memory.b"], "culprits": []}
            diagnosis = {"causes": [found], "possible": [], "ruled_out": [], "not_checked": []}
            self.life.take(diagnosed(self.life.book, self.life.now, diagnosis, key, lambda cause: ())[0])

    @rule(number=st.integers(0), verb=st.sampled_from(["ack", "assign", "close"]))
    def somebody_says(self, number: int, verb: Verb) -> None:
        """A person handles one of the open ones."""
        if self.life.book.open:
            one = self.life.book.open[number % len(self.life.book.open)]
            self.life.take(said(self.life.book, self.life.now, one, verb, "ada", "x"))

    @rule()
    def restarts(self) -> None:
        """The agent is killed and goes on from what it kept."""
        kept = {n: incident(plain(i)) for n, i in self.life.book.incidents.items()}
        assert kept == self.life.book.incidents
        self.life.book = Book(self.life.book.next_id, 0.0, kept)

    @invariant()
    def each_opening_has_one_end(self) -> None:
        """Openings and ends of an incident take turns, and begin with an opening."""
        turns: dict[int, list[str]] = {}
        for event in self.life.events:
            if event.kind in ENDS or event.kind in ("opened", "reopened"):
                turns.setdefault(event.incident, []).append("end" if event.kind in ENDS else "begin")
        for number, found in turns.items():
            assert found == ["begin", "end"] * (len(found) // 2) + ["begin"] * (len(found) % 2)
            if number in self.life.book.incidents:
                assert self.life.one(number).firing == (found[-1] == "begin")

    @invariant()
    def what_fires_is_in_one_incident(self) -> None:
        """No symptom that fires is without an incident or in two, and none is kept that does not fire. Only a person closes one
        in which something does."""
        active = Counter(c.key for i in self.life.book.incidents.values() for c in i.active)
        assert active == Counter(dict.fromkeys(self.life.standing, 1))
        assert all(i.firing or i.ending == "closed" for i in self.life.book.incidents.values() if i.active)

    @invariant()
    def what_is_told_is_what_is_kept(self) -> None:
        """The last event of an incident is of its version, and tells whether it is over and how grave it is."""
        last = {e.incident: e for e in self.life.events}
        for number, kept in self.life.book.incidents.items():
            assert (last[number].n, last[number].severity) == (kept.version, kept.severity)
            assert last[number].told.firing == kept.firing

    @invariant()
    def numbers_and_versions_count_up(self) -> None:
        """Incidents are numbered in the order they opened, and their events without a gap."""
        opened = [e.incident for e in self.life.events if e.kind == "opened"]
        assert opened == list(range(1, len(opened) + 1))
        for number in opened:
            counted = [e.n for e in self.life.events if e.incident == number]
            assert counted == list(range(1, len(counted) + 1))


TestAnySeries = AnySeries.TestCase
TestAnySeries.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
