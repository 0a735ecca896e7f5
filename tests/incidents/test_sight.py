"""What the desk sees of the host: who a symptom concerns, who has ended, what is known to be quiet."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.engine.evaluate import Transition
from agent.engine.rounds import RoundCache
from agent.engine.trees import RuleSet
from agent.incidents.sight import Sight
from agent.model import ENTITY_ENDED, Event, Severity, labels
from tests.fakes.rules import rule_set
from tests.fakes.view import FakeView

RULES = rule_set(
    """
tree: busy
each: [pid]
symptom: {when: "process_threads > 100"}
checks: [{id: many, expr: "process_threads > 100"}]
causes:
  busy.threads: {title: Many threads, support: {many: 0.8}}
"""
)
INFO = labels(pid=7, subject=7, comm="trainer", user="ada", unit="train.service", cgroup="/x", container="", job="")
VIEW = FakeView.of(
    {
        ("process_info", INFO): [1.0],
        ("process_start_time_seconds", labels(pid=7)): [500.0],
        ("process_threads", labels(pid=7)): [50.0],
        ("process_threads", labels(pid=9)): [500.0],
        ("gpu_process_info", labels(pid=7, uuid="GPU-1", gpu=0)): [1.0],
    }
)


def sight(view: FakeView = VIEW) -> Sight:
    """One round's."""
    return Sight(view, RoundCache())


def change(to: str, pid: int = 7) -> Transition:
    """A symptom of a process."""
    return Transition(0.0, "busy", labels(pid=pid), to, -60.0, Severity.WARNING, text="too many")  # type: ignore[arg-type]


def test_a_symptom_is_seen_with_whom_it_concerns() -> None:
    """The process, when it began, what it belongs to and the GPU it works on."""
    [seen] = sight().seen([change("firing"), change("pending"), change("missing")])
    place = seen.complaint.place
    assert (place.labels["comm"], place.labels["unit"], place.labels["uuid"]) == ("trainer", "train.service", "GPU-1")
    assert (place.pids, seen.complaint.start, seen.complaint.text) == (frozenset({"7"}), 500.0, "too many")
    assert (seen.impact.users, seen.impact.gpus) == (("ada",), ("GPU-1",))


@pytest.mark.parametrize("to", ["resolved", "gone"])
def test_an_end_is_seen_bare(to: str) -> None:
    """Which symptom it is says enough."""
    [seen] = sight().seen([change(to)])
    assert seen.complaint.key == ("busy", labels(pid=7))


def test_only_what_is_known_to_be_quiet_is() -> None:
    """Not what fires, not what has no data; what nobody judges any more is not waited for."""
    watched = frozenset(("busy", labels(pid=pid)) for pid in (7, 8, 9))
    assert sight().quiet(RULES, watched) == {("busy", labels(pid=7))}
    assert sight().quiet(RuleSet(), watched) == watched


def test_the_end_of_what_is_watched_is_seen() -> None:
    """Of nobody else's."""
    view = replace(VIEW, happened=[Event(0.0, ENTITY_ENDED, labels(pid=pid)) for pid in (7, 9)])
    [seen] = sight(view).ended(frozenset({("busy", labels(pid=7))}))
    assert (seen.change.to, seen.complaint.key) == ("gone", ("busy", labels(pid=7)))
    assert sight(view).ended(frozenset()) == []
