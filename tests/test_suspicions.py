"""Suspicions: nobody hears of one until a look has proven it; looks are few."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import pytest

from agent.engine.evaluate import Transition
from agent.model import JsonObject, Labels, Severity, labels
from agent.suspicions import LOOK_AGAIN_S, LOOKS, PACE_S, Suspicions, bears_out
from tests.fakes.rules import rule_set

RULES = rule_set(
    """
tree: busy
each: [pid]
symptom: {when: "process_threads > 100", severity: warning}
checks: [{id: many, expr: "process_threads > 100"}]
causes:
  busy.threads: {title: Many threads, require: [many], support: {many: 0.8}}
""",
    """
tree: busy_fast
each: [pid]
symptom: {when: "process_threads > 50", suspicion: [busy]}
checks: []
causes: {}
""",
    """
tree: busy_too
each: [pid]
symptom: {when: "process_threads > 40", suspicion: [busy]}
checks: []
causes: {}
""",
)
To = Literal["pending", "firing", "resolved", "gone", "ok", "missing", "data_back"]


def change(to: To, tree: str = "busy_fast", pid: int = 7) -> Transition:
    """One change of a symptom."""
    return Transition(100.0, tree, labels(pid=pid), to, 90.0, Severity.WARNING, text="process_threads = 60 > 50")


def key(pid: int = 7) -> tuple[str, Labels]:
    """The suspicion's."""
    return "busy_fast", labels(pid=pid)


def found(id: str = "busy.threads", severity: str = "warning", kind: str = "process") -> JsonObject:
    """As much of a diagnosis as is looked at."""
    cause: dict[str, Any] = {"id": id, "severity": severity, "target": {"kind": kind}}
    return {"causes": [cause]}


def test_a_symptom_is_heard_and_a_suspicion_is_not() -> None:
    """Only what is no suspicion goes on to incidents."""
    both = [change("firing", "busy"), change("firing")]
    assert Suspicions().sift(RULES, both) == [both[0]]


def test_what_a_look_proves_is_told_from_its_beginning_to_its_end() -> None:
    """The beginning is handed out once, later changes are heard, and after its end all begins anew."""
    kept = Suspicions()
    kept.sift(RULES, [change("firing")])
    assert kept.due(0.0) == change("firing")
    assert kept.proven(RULES, key(), found()) == change("firing")
    assert kept.proven(RULES, key(), found()) is None
    over = [change("missing"), change("resolved")]
    assert kept.sift(RULES, over) == over
    assert kept.sift(RULES, [change("firing"), change("resolved")]) == []


def test_a_suspicion_that_was_over_before_the_look_ended_is_not_told() -> None:
    """Nothing stands any more that could be an incident."""
    kept = Suspicions()
    kept.sift(RULES, [change("firing"), change("gone")])
    assert kept.due(0.0) is None
    assert kept.proven(RULES, key(), found()) is None


@pytest.mark.parametrize("diagnosis", [{"causes": []}, found("other.threads"), found(severity="notice"), found(kind="host")])
def test_another_topic_a_notice_or_the_hosts_trouble_proves_nothing(diagnosis: JsonObject) -> None:
    """The suspicion stands, and is not told."""
    kept = Suspicions()
    kept.sift(RULES, [change("firing")])
    assert kept.proven(RULES, key(), diagnosis) is None
    assert not any(bears_out(RULES, "busy_fast", cause) for cause in diagnosis["causes"])


def test_one_that_stands_is_looked_into_again_after_a_while() -> None:
    """Not before: what was healthy a minute ago most likely still is."""
    kept = Suspicions()
    kept.sift(RULES, [change("firing")])
    assert kept.due(0.0) is not None
    assert kept.due(LOOK_AGAIN_S - 1) is None
    assert kept.due(LOOK_AGAIN_S) is not None


def test_looks_of_a_tree_are_few() -> None:
    """However many processes are suspected, an hour has so many looks, for the newest first; the next hour has its own."""
    kept = Suspicions()
    kept.sift(RULES, [change("firing", pid=pid) for pid in range(100)])
    looked = [found for s in range(60) if (found := kept.due(float(s))) is not None]
    assert [dict(one.labels)["pid"] for one in looked] == [str(pid) for pid in range(99, 99 - LOOKS, -1)]
    assert kept.due(PACE_S + 60.0) is not None


def test_a_tree_that_suspects_many_does_not_keep_others_from_being_looked_into() -> None:
    """Each has looks of its own."""
    kept = Suspicions()
    kept.sift(RULES, [change("firing", "busy_too")])
    kept.sift(RULES, [change("firing", pid=pid) for pid in range(100)])
    assert "busy_too" in {found.tree for s in range(60) if (found := kept.due(float(s))) is not None}


def test_what_was_told_before_a_restart_goes_on_to_be_told() -> None:
    """Its end must reach the incident it belongs to."""
    kept = Suspicions()
    kept.know(RULES, [key(), ("busy", labels(pid=7))])
    assert kept.sift(RULES, [change("resolved")]) == [change("resolved")]


def test_after_a_reload_nobody_looks_into_what_no_rule_suspects() -> None:
    """Its tree is gone, so nothing would ever end it."""
    kept = Suspicions()
    kept.sift(RULES, [change("firing"), change("firing", "busy_too")])
    fewer = replace(RULES, trees={name: tree for name, tree in RULES.trees.items() if name != "busy_fast"})
    assert kept.reread(fewer, []) == []
    assert [kept.due(0.0), kept.due(1.0)] == [change("firing", "busy_too"), None]


def test_what_is_a_plain_symptom_after_a_reload_is_told() -> None:
    """It fired before and will not fire again; its end is heard too."""
    kept = Suspicions()
    kept.sift(RULES, [change("firing")])
    plain = replace(RULES, trees={**RULES.trees, "busy_fast": RULES.trees["busy"]})
    assert kept.reread(plain, []) == [change("firing")]
    assert kept.sift(plain, [change("resolved")]) == [change("resolved")]
    assert kept.due(0.0) is None


def test_what_was_told_before_a_reload_is_heard_to_end() -> None:
    """Also if its tree has become a suspicion."""
    kept = Suspicions()
    assert kept.reread(RULES, [key()]) == []
    assert kept.sift(RULES, [change("resolved")]) == [change("resolved")]
