"""From random series with gaps to messages: judge, incidents, pipeline and outbox together, and receivers that fail at random."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from agent.alerting import Alerts
from agent.alerts.intake import alert_of
from agent.alerts.model import DONE, Outcome, Row
from agent.engine.evaluate import JudgeState, judge
from agent.engine.incident import Incident
from agent.engine.incidentbook import Book, Standing
from agent.engine.incidents import CALM_S, judged
from agent.engine.rounds import RoundCache
from agent.engine.windows import STALE_AFTER
from agent.incidents.sight import Sight
from agent.model import Sample, Series, labels
from agent.store.ring import Ring
from tests.alerts.worlds import World, receiver
from tests.fakes.rules import rule_set

RULES = rule_set(
    """
tree: busy
each: [pid]
symptom: {when: "process_threads > 100", for: 10s, keep_for: 20s}
checks: [{id: many, expr: "process_threads > 100"}]
causes:
  busy.threads: {title: Many threads, require: [many], support: {many: 0.8}}
"""
)
EVERY = 5.0
STALE_S = STALE_AFTER  # until then the last value is taken to hold
SEARCH = (Phase.explicit, Phase.reuse, Phase.generate)  # shrinking half an hour of rounds takes too long
PIDS = (11, 12)
QUICK = Alerts(group_wait=10.0, group_interval=30.0, settle=0.0, group_by=("incident",))


@dataclass
class Chain:
    """A host whose processes have the given course."""

    random: Random
    world: World = field(init=False)
    book: Book = field(default_factory=Book)
    state: JudgeState = field(default_factory=JudgeState)
    ring: Ring = field(default_factory=Ring)
    cache: RoundCache = field(default_factory=RoundCache)
    known: dict[int, tuple[float, float]] = field(default_factory=dict)  # pid → (time, value) last seen

    def __post_init__(self) -> None:
        self.world = World(receivers=(receiver("a"), receiver("b"), receiver("am", "alertmanager")), settings=QUICK)
        self.world.answers = self.answer

    def answer(self, row: Row) -> Outcome:
        """A third of the attempts fails, some of these after the message arrived."""
        chance = self.random.random()
        if chance < 0.2:
            return Outcome("retry", "refused")
        return Outcome("retry", "no answer", unsure=True) if chance < 0.33 else DONE

    def live(self, seconds: float, values: dict[int, float | None], every: float = EVERY) -> None:
        """Rounds in which each process has so many threads, or no data."""
        for _ in range(int(seconds / every)):
            self.world.now += every
            now, samples = self.world.now, [Sample(Series("host_load1"), 0.0)]
            for pid, value in values.items():
                if value is None:
                    continue
                known = labels(pid=pid, subject=pid, comm=f"p{pid}", user="u", unit="", cgroup="/", container="", job="")
                samples += [Sample(Series("process_info", known), 1.0), Sample(Series("process_threads", labels(pid=pid)), value)]
                samples.append(Sample(Series("process_start_time_seconds", labels(pid=pid)), 1.0))
                self.known[pid] = (now, value)
            self.ring.add(now, samples)
            self.round()

    def round(self) -> None:
        """Judge, keep the book, look, send."""
        view = self.ring.at(self.ring.now)
        self.state, changes = judge(RULES, view, self.state, cache=self.cache)
        sight, watched = Sight(view, self.cache), self.book.watched
        standing = {key: Standing(s.missing, s.clearing) for key, s in self.state.symptoms.items() if s.phase == "firing"}
        step = judged(self.book, view.now, [*sight.seen(changes), *sight.ended(watched)], standing, sight.quiet(RULES, watched))
        self.book = step.book
        for incident in step.changed:
            self.take(incident)
        self.world.look()
        self.world.send()
        if self.random.random() < 0.05:
            self.world.begin()

    def take(self, incident: Incident) -> None:
        """As the courier does. It ends only where the last that is known of the process is that it is well, and that is fresh."""
        if incident.ending == "resolved" and incident.updated == self.world.now:
            last = max(incident.complaints, key=lambda complaint: complaint.over or 0.0)
            at, value = self.known[int(dict(last.labels)["pid"])]
            assert value <= 100
            assert self.world.now - at <= STALE_S + EVERY
        before = self.world.alerts.get(str(incident.id))
        alert = alert_of(replace(incident, looked=incident.looked or incident.updated), before, self.world.now)
        if before is not None or alert.status == "firing":
            self.world.put(alert)


def histories(chain: Chain) -> dict[tuple[str, str], list[str]]:
    """What each receiver saw of each incident, in order; copies of a message (same id) once."""
    seen: dict[tuple[str, str], list[str]] = {}
    had: set[tuple[str, str]] = set()
    for name, told in chain.world.got:
        if (name, told["id"]) in had:
            continue
        had.add((name, told["id"]))
        for alert in told["alerts"]:
            seen.setdefault((name, alert["incident"]), []).append("over" if told["kind"] == "over" else alert["status"])
    return seen


course = st.lists(
    st.tuples(
        st.sampled_from([5, 10, 20, 30, 60, 120]),
        st.fixed_dictionaries({pid: st.sampled_from([10.0, 200.0, 200.0, None]) for pid in PIDS}),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=8, deadline=None, phases=SEARCH, suppress_health_check=[HealthCheck.too_slow])
@given(course=course, seed=st.integers(0, 2**32))
def test_each_firing_has_one_closing_notice_for_everybody_who_saw_it(course: list, seed: int) -> None:  # type: ignore[type-arg]
    """Whatever the series do, whatever receivers do, wherever the agent is killed; and in the end nobody has an open one."""
    chain = Chain(Random(seed))
    for seconds, values in course:
        chain.live(seconds, values)
    chain.live(60, dict.fromkeys(PIDS, 10.0))
    chain.world.answers = lambda row: DONE
    chain.live(CALM_S + 1200, dict.fromkeys(PIDS, 10.0), 10.0)
    for (name, incident), seen in histories(chain).items():
        closings = [kind for kind in seen if kind != "firing"]
        openings = [i for i, kind in enumerate(seen) if kind == "firing" and (i == 0 or seen[i - 1] != "firing")]
        assert len(closings) == len(openings) + seen.count("over"), (name, incident, seen)
        assert seen[-1] != "firing", (name, incident, seen)
        assert "resolved" not in seen or seen.index("firing") < seen.index("resolved"), (name, incident, seen)
    assert not chain.world.alerts
    assert not chain.world.outbox.ledger.rows


@settings(max_examples=6, deadline=None, phases=SEARCH, suppress_health_check=[HealthCheck.too_slow])
@given(gap=st.sampled_from([60, 300, 1200]), seed=st.integers(0, 2**32))
def test_missing_data_never_resolves(gap: int, seed: int) -> None:
    """However long the gap, nobody is told of an end; it comes when the process is known to be well."""
    chain = Chain(Random(seed))
    chain.live(60, {11: 200.0})
    chain.live(gap, {11: None})
    assert all(alert["status"] == "firing" for _, told in chain.world.got for alert in told["alerts"])
    assert chain.world.got
    chain.world.answers = lambda row: DONE
    chain.live(600, {11: 10.0})
    assert {seen[-1] for seen in histories(chain).values()} == {"resolved"}
