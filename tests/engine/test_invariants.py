"""What must hold whatever happens."""

from __future__ import annotations

from array import array

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.engine.confidence import confidence
from agent.engine.evaluate import JudgeState, judge
from agent.engine.graph import rooted
from agent.engine.tableview import TableView
from agent.engine.trees import Cause
from agent.model import ENTITY_ENDED, Column, Event, Severity, labels
from tests.engine.test_evaluate import MANY, tree
from tests.engine.test_graph import found

NAMES = ["a", "b", "c", "d", "e"]
TRUTH = st.sampled_from([True, False, None])
WEIGHTS = st.dictionaries(st.sampled_from(NAMES), st.floats(0.01, 1.0))


@given(
    st.sets(st.sampled_from(NAMES)), WEIGHTS, WEIGHTS, st.fixed_dictionaries(dict.fromkeys(NAMES, TRUTH)), st.sampled_from(NAMES)
)
def test_knowing_more_only_narrows_the_interval(require, support, refute, truths, name) -> None:  # type: ignore[no-untyped-def]
    """``lo`` never exceeds ``hi``, and an answer to an open question never widens them."""
    cause = Cause("t.c", "t", "t", Severity.WARNING, tuple(sorted(require)), support, refute)
    before = confidence(cause, truths)
    assert 0.0 <= before.lo <= before.hi + 1e-12 <= 1.0 + 1e-9
    if truths[name] is None:
        for answer in (True, False):
            after = confidence(cause, {**truths, name: answer})
            assert before.lo - 1e-12 <= after.lo <= after.hi + 1e-12 <= before.hi + 2e-12


@given(st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6)).filter(lambda e: e[0] < e[1])))
def test_every_active_cause_is_a_root_or_rides_in_one(edges: set[tuple[int, int]]) -> None:
    """Nothing active is lost, and nothing is both."""
    causes = [found(f"t.c{i}", *(f"t.c{b}" for a, b in sorted(edges) if a == i)) for i in range(7)]
    roots, led = rooted(causes)
    named = {r.cause.id for r in roots}
    carried = {id_ for r in roots for id_ in r.finding.consequences}
    assert named | carried == {c.cause.id for c in causes}
    assert not named & carried
    assert {a.cause.id for a in led} == carried


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([1.0, 7.0, 20.0, None]), min_size=2, max_size=40), st.none() | st.integers(5, 150))
def test_every_firing_ends_once_and_only_on_what_was_seen(levels: list[float | None], ends: int | None) -> None:
    """Firing closes by resolved or gone, once; resolved needs data below ``clear``, gone needs the end of the process."""
    series = [(float(i), v) for i, v in enumerate(v for level in levels for v in [level] * 5) if v is not None]
    column = Column(array("d", [t for t, _ in series]), array("d", [v for _, v in series]))
    events = [Event(float(ends), ENTITY_ENDED, labels(pid=1))] if ends else []
    view = TableView({"process_threads": {labels(pid=1): column}}, events)
    rules, state, firing = tree(MANY), JudgeState(), False
    for now in range(0, 5 * len(levels) + 60, 5):
        state, transitions = judge(rules, view.at(float(now)), state)
        for t in transitions:
            if t.to == "firing":
                assert not firing
            if t.to in ("resolved", "gone"):
                assert firing
            if t.to == "resolved":
                assert any(v < 5.0 for at, v in series if now - 30.0 <= at <= now)
            if t.to == "gone":
                assert ends is not None
            firing = t.to == "firing" or (firing and t.to in ("missing", "data_back"))
        assert firing == any(s.phase == "firing" for s in state.symptoms.values())
