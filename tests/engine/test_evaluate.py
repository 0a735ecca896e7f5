"""The judge's step: when symptoms begin, fire, hold and end."""

from __future__ import annotations

from agent.engine.evaluate import JudgeState, Transition, judge
from agent.engine.trees import RuleSet
from agent.model import ENTITY_ENDED, Event, Labels, labels
from tests.fakes.rules import of, rule_set
from tests.fakes.view import FakeView


def tree(symptom: str, each: str = "[pid]") -> RuleSet:
    """One tree with this symptom."""
    return rule_set(
        f"tree: memory\neach: {each}\nsymptom: {{{symptom}}}\nchecks: [{{id: a, expr: process_threads > 1}}]\n"
        "causes: {memory.some-thing: {title: t, support: {a: 0.6}}}"
        if each != "[]"
        else f"tree: host\nsymptom: {{{symptom}}}\nchecks: [{{id: a, expr: host_load1 > 1}}]\n"
        "causes: {host.some-thing: {title: t, support: {a: 0.6}}}"
    )


def history(rules: RuleSet, view: FakeView, until: float, step: float = 5.0) -> list[Transition]:
    """All transitions of rounds at 0, step, 2 step … until."""
    state, found, now = JudgeState(), [], 0.0
    while now <= until:
        state, transitions = judge(rules, view.at(now), state)
        found += transitions
        now += step
    return found


def words(transitions: list[Transition]) -> list[tuple[float, str]]:
    """When and what."""
    return [(t.time, t.to) for t in transitions]


MANY = 'when: "process_threads > 10", clear: "process_threads < 5", for: 10s, keep_for: 10s'


def test_pending_fires_after_for_and_resolves_after_keep_for() -> None:
    """A symptom must hold for its time before it fires and be clear for its time before it ends; the onset is its beginning."""
    view = FakeView.of({of("process_threads", 1): "1*12 20*40 1*60"})
    found = history(tree(MANY), view, 100.0)
    assert words(found) == [(15.0, "pending"), (25.0, "firing"), (65.0, "resolved")]
    assert {t.onset for t in found} == {15.0}
    assert found[1].labels == labels(pid=1)
    assert found[1].text == "process_threads = 20 > 10"


def test_between_the_two_thresholds_nothing_changes() -> None:
    """Hysteresis: below ``when`` but above ``clear`` a firing symptom stays, and an ok one stays ok."""
    view = FakeView.of({of("process_threads", 1): "7*20 20*30 7*200"})
    assert words(history(tree(MANY), view, 240.0)) == [(20.0, "pending"), (30.0, "firing")]


def test_a_short_spike_never_fires() -> None:
    """False within ``for`` goes back to ok."""
    view = FakeView.of({of("process_threads", 1): "1*10 20*6 1*30"})
    assert words(history(tree(MANY), view, 40.0)) == [(10.0, "pending"), (20.0, "ok")]


def test_a_relapse_sets_the_clearing_clock_back() -> None:
    """Clear, not clear, clear again: ``keep_for`` counts from the last relapse."""
    view = FakeView.of({of("process_threads", 1): "20*31 1*8 20*2 1*60"})
    assert words(history(tree(MANY), view, 90.0))[-1] == (55.0, "resolved")


def test_missing_data_neither_fires_nor_resolves() -> None:
    """A series that merely stops holds the symptom for ever, marked as missing, and a pending one waits for data."""
    gone = FakeView.of({of("process_threads", 1): "20*31", "host_load1": "0*1001"})
    assert [w for _, w in words(history(tree(MANY), gone, 1000.0))] == ["pending", "firing", "missing"]
    slow = tree('when: "process_threads > 10", for: 5m')
    waits = FakeView.of({of("process_threads", 1): "20*101", "host_load1": "0*1001"})
    assert [w for _, w in words(history(slow, waits, 1000.0))] == ["pending", "missing"]


def test_data_that_comes_back_goes_on_where_it_stopped() -> None:
    """After a gap the symptom is judged again; the gap counts neither as firing time nor as clear time."""
    view = FakeView.of({of("process_threads", 1): "20*31 _*100 1*40"})
    found = words(history(tree(MANY), view, 170.0))
    assert [w for _, w in found] == ["pending", "firing", "missing", "data_back", "resolved"]
    assert found[-1][0] - found[-2][0] == 10.0


def test_on_missing_alert_treats_silence_as_the_symptom() -> None:
    """Where silence is the fault, no data fires after ``for`` and says so."""
    rules = tree('when: "host_load1 < 0", on_missing: alert, for: 10s', "[]")
    view = FakeView.of({"host_load1": "_*1000"})
    found = history(rules, view, 30.0)
    assert words(found) == [(0.0, "pending"), (10.0, "firing")]
    assert found[-1].missing


def test_an_entity_seen_to_end_closes_as_gone() -> None:
    """The end of the process closes its symptom; a new process with the same pid starts afresh."""
    view = FakeView.of({of("process_threads", 1): "20*100", of("process_threads", 2): "20*100"})
    view.happened.append(Event(42.0, ENTITY_ENDED, labels(pid=1)))
    mine = [t for t in history(tree(MANY), view, 70.0) if t.labels == labels(pid=1)]
    assert words(mine) == [(0.0, "pending"), (10.0, "firing"), (42.0, "gone"), (45.0, "pending"), (55.0, "firing")]
    other = [t for t in history(tree(MANY), view, 70.0) if t.labels == labels(pid=2)]
    assert words(other) == [(0.0, "pending"), (10.0, "firing")]


def test_an_old_end_does_not_close_a_new_process() -> None:
    """An end seen before a symptom began belongs to an earlier process of that pid, however late it is still in the window."""
    view = FakeView.of({of("process_threads", 1): "1*50 20*50"})
    view.happened.append(Event(48.0, ENTITY_ENDED, labels(pid=1)))
    assert words(history(tree(MANY), view, 80.0)) == [(50.0, "pending"), (60.0, "firing")]


def test_without_clear_the_opposite_of_when_ends_it() -> None:
    """A symptom without ``clear`` or times fires and resolves at once."""
    view = FakeView.of({"host_load1": "0*10 9*10 0*10"})
    assert words(history(tree('when: "host_load1 > 4"', "[]"), view, 25.0)) == [(10.0, "firing"), (20.0, "resolved")]


def test_a_tree_taken_away_closes_its_symptoms() -> None:
    """After a reload without the tree, what fired is closed as gone: every alarm gets its end."""
    view = FakeView.of({of("process_threads", 1): "20*100"})
    state = JudgeState()
    for now in (0.0, 10.0):
        state, _ = judge(tree(MANY), view.at(now), state)
    state, found = judge(RuleSet(), view.at(20.0), state)
    assert words(found) == [(20.0, "gone")]
    assert state.symptoms == {}


def test_only_asked_processes_are_judged() -> None:
    """The daemon judges its subjects, not every process of the host; ok symptoms keep no state."""
    view = FakeView.of({of("process_threads", pid): "20*20" for pid in (1, 2)})
    state, found = judge(tree(MANY), view.at(5.0), JudgeState(), pids=frozenset({"2"}))
    assert [t.labels for t in found] == [labels(pid=2)]
    assert list(state.symptoms) == [("memory", labels(pid=2))]


def test_in_turns_everybody_is_asked_within_two_rounds() -> None:
    """Half of the well ones a round; one that is not well is asked in every round, and few are too."""
    many = [of("process_threads", pid) for pid in range(1, 41)]
    view, rules = FakeView.of(dict.fromkeys(many, "20*60")), tree(MANY)
    state, first = judge(rules, view.at(10.0), JudgeState(), turn=0)
    assert 10 < len(first) < 30
    state, second = judge(rules, view.at(15.0), state, turn=1)
    assert {t.labels for t in (*first, *second)} == {labels for _, labels in many}
    assert len(first) + len(second) == 40
    _, third = judge(rules, view.at(20.0), state, turn=2)
    assert {t.labels for t in third if t.to == "firing"} == {t.labels for t in first}
    few = FakeView.of({of("process_threads", pid): "20*60" for pid in range(1, 17)})
    assert [len(judge(rules, few.at(10.0), JudgeState(), turn=turn)[1]) for turn in (0, 1)] == [16, 16]
    host = tree('when: "host_load1 > 4"', each="[]")
    assert all(judge(host, FakeView.of({"host_load1": "9*20"}).at(10.0), JudgeState(), turn=turn)[1] for turn in (0, 1))


def test_a_series_the_instance_never_had_keeps_nothing_from_ending() -> None:
    """Process 1 has no cgroup figures at all; of process 2 they stopped, and nobody knows what they would say."""
    rules = tree('when: "process_threads > 10 or process_anonymous_bytes > 1GiB"')
    view = FakeView.of(
        {
            of("process_threads", 1): "20*30 1*60",
            of("process_threads", 2): "20*30 1*60",
            of("process_anonymous_bytes", 2): "1GiB*5",
        },
        5.0,
    )
    ends = {dict(t.labels)["pid"]: t.to for t in history(rules, view, 350.0)}
    assert ends == {"1": "resolved", "2": "missing"}


def test_nothing_ends_while_nothing_is_heard() -> None:
    """Silence of everything is no sign of health."""
    rules = tree('when: "process_threads > 10 or process_anonymous_bytes > 1GiB"')
    view = FakeView.of({of("process_threads", 1): "20*12", "host_load1": "1*80"}, 5.0)
    assert words(history(rules, view, 350.0))[-1][1] == "missing"


def test_a_series_is_lacking_by_the_labels_the_condition_fixes() -> None:
    """A GPU that counts corrected errors only is not asked for the others; one whose counter stopped is."""
    rules = tree("when: \"process_threads > 10 or errors{type='a'} > 5\"")
    columns: dict[tuple[str, Labels] | str, str] = {of("process_threads", pid): "20*30 1*60" for pid in (1, 2)}
    columns |= {("errors", labels(pid=pid, type="b")): "0*90" for pid in (1, 2)}
    columns["errors", labels(pid=2, type="a")] = "0*5"
    ends = {dict(t.labels)["pid"]: t.to for t in history(rules, FakeView.of({**columns}, 5.0), 350.0)}
    assert ends == {"1": "resolved", "2": "missing"}
