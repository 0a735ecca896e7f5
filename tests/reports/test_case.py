"""An incident's report as data: every item of the procedure, from the state file and the recording."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent import plugins
from agent.config import Config
from agent.errors import UsageError
from agent.model import ENTITY_ENDED, Event, labels
from agent.reports import case, kept, questions, steps, surroundings
from agent.store.recording import Recording
from tests.reports.worlds import CASE, CLOSED, LEAK, ONSET, OPENED, SECRET, START, course, record, sources, state

GROWS, OTHER = ("process_anonymous_bytes", labels(pid=7)), ("process_anonymous_bytes", labels(pid=9))


@pytest.fixture(scope="module")
def rules() -> Any:
    """The shipped trees."""
    return plugins.rules_or_raise(plugins.installed(), Config())


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, rules: Any) -> Any:
    """The report of a leak that was recorded, refused a playbook, and ended."""
    kernel = Event(ONSET + 5, "kernel", text="Out of memory", fields={"kind": "oom_kill"})
    late = Event(ONSET + 900, "kernel", text="forged", fields={"kind": "xid"}, trusted=False)
    end = Event(CLOSED - 1, ENTITY_ENDED, labels(pid=7), "trainer")
    course_ = course(1200, 5, lambda t: {GROWS: 1e8 + t * 1e5, OTHER: 1.0})
    recording = record(tmp_path_factory.mktemp("rec"), course_, [kernel, late, end])
    return case.report(case.of_state(state(CASE, replace(CASE, id=5)), 3), sources(recording, rules), CLOSED + 3600)


def test_it_says_how_long_each_step_took(told: Any) -> None:
    """From the onset to its being noticed, from there to cause, message, person and end."""
    assert told["intervals"] == {
        "noticed_s": 10.0, "diagnosed_s": 20.0, "told_s": None, "acknowledged_s": 30.0, "closed_s": 290.0, "lasted_s": 300.0,
    }  # fmt: skip


def test_the_timeline_has_all_sources_in_order(told: Any) -> None:
    """Symptom, incident, playbook, message, kernel log, processes; what anybody could have written only close to the onset."""
    times = [line["time"] for line in told["timeline"]]
    assert times == sorted(times)
    assert {line["source"] for line in told["timeline"]} == {
        "symptom",
        "incident",
        "playbook",
        "message",
        "kernel log",
        "recording",
    }
    assert "forged" not in json.dumps(told)


def test_refused_actions_come_with_their_reason(told: Any) -> None:
    """And with who decided."""
    (run,) = told["actions"]
    assert (run["phase"], run["steps"][-1]["who"], run["steps"][-1]["why"]) == ("denied", "guard", "the allow list is empty")


def test_only_series_of_what_suffered_are_shown(told: Any) -> None:
    """Another process's are not its business."""
    assert [(s["metric"], s["labels"]["pid"]) for s in told["series"]] == [("process_anonymous_bytes", "7")]
    (line,) = told["series"]
    assert line["name"] == "trainer (7)"
    assert min(line["times"]) >= START
    assert max(line["times"]) <= CLOSED + surroundings.LATER_S


def test_what_moves_is_shown_before_what_stands_and_zeros_only_alone() -> None:
    """A tree with a dozen series shows those that tell something."""
    mine, world = {"pid": "7"}, dict[str, str]()
    known = (("a", [2, 2], mine), ("b", [0, 0], mine), ("h", [0, 9], world), ("c", [0, 1], mine))
    still, zero, host, moves = ({"metric": m, "values": v, "labels": labels_} for m, v, labels_ in known)
    assert surroundings.telling([still, zero, host, moves]) == [moves, host, still]
    assert surroundings.telling([zero]) == [zero]
    many = [{"metric": str(n), "values": [0, n], "labels": mine} for n in range(1, 20)]
    assert len(surroundings.telling(many)) == surroundings.SERIES_MOST


def test_what_matters_and_was_not_recorded_is_named(tmp_path: Path, rules: Any) -> None:
    """A section without data says so."""
    empty = case.report(case.of_state(state(CASE), 3), sources(record(tmp_path, [(START, {})]), rules), CLOSED)
    assert empty["series"] == []
    assert "process_anonymous_bytes" in empty["sources"]["not_recorded"]


def test_secrets_are_masked(told: Any) -> None:
    """Wherever they came from."""
    assert SECRET not in json.dumps(told)
    assert "[redacted]" in told["incident"]["causes"][0]["evidence"][0]["says"]


def test_open_questions_say_how_to_answer_them(told: Any) -> None:
    """What is possible and what was not checked, with the command."""
    assert [(q["text"].split()[0], q["command"]) for q in told["open_questions"]] == [
        ("Is", "look closer"),
        ("memory.native", "apt-get install gdb"),
    ]


def test_what_one_command_would_check_is_one_question() -> None:
    """A tree that lacks one series must not fill a page; of many reasons the first are told."""
    lacks = [{"id": f"memory.c{n}", "because": f"no {n % 3}", "try": "wait"} for n in range(5)]
    found = case.of_state(
        state(replace(CASE, not_checked=(*lacks, {"id": "gpu.x", "because": "no tool", "try": ""}), possible=())), 3
    )
    assert questions.open_questions(found) == [
        {
            "text": ", ".join(n["id"] for n in lacks) + " were not checked",
            "why": "no 0; no 1; and 1 more reason",
            "command": "wait",
        },
        {"text": "Is all well elsewhere? 1 check of gpu could not be made", "why": "no tool", "command": ""},
    ]


def test_prevention_comes_from_advice_and_history(told: Any) -> None:
    """What its rule says, not the advice once more; that it was there before, and that nobody could help or be reached."""
    said = " ".join(step["text"] for step in told["prevention"])
    assert "Bound every cache" in said
    assert LEAK["advice"] not in said
    assert "1 other incident that is kept" in said
    assert "recycle-worker was refused" in said
    assert "pager did not arrive" in said


def test_how_it_ended_is_said_and_by_whom() -> None:
    """A person's words count; while it is open, what is to be done."""
    closed = steps.resolution(case.of_state(state(CASE), 3))
    advice = f"If it has not been done: {LEAK['advice']}"
    assert [s["text"] for s in closed] == ["ada: on it", "Every symptom is known to be over.", advice]
    open_ = case.of_state(state(replace(CASE, closed=None, phase="diagnosed", ending=""), run=False), 3)
    assert [s["text"] for s in steps.resolution(open_)][1:] == [
        f"To be done: {LEAK['advice']}", "Playbook recycle-worker can do it.", "Step of the procedure: memory cleanup.",
    ]  # fmt: skip
    blind = case.of_state(state(replace(CASE, closed=None, phase="open", ending="", causes=()), run=False), 3)
    assert steps.resolution(blind)[-1]["command"] == "anfl-agent diagnose memory --deep --pid 7"
    assert questions.open_questions(blind)[0]["text"] == "What is the root cause?"


def test_an_agent_that_stopped_leaves_it_open_how_it_went_on(tmp_path: Path, rules: Any) -> None:
    """An incident lasted at least until the last reading, however much later the report is made; an agent at work knows more."""
    found = case.of_state(state(replace(CASE, closed=None, phase="diagnosed", ending="", updated=OPENED)), 3)
    recording = record(tmp_path, course(700, 5, lambda t: {GROWS: 1e8 + t}))
    late = case.report(found, sources(recording, rules), START + 9e5)
    assert late["known_until"] is not None
    assert late["intervals"]["lasted_s"] == 100.0
    soon = case.report(found, sources(recording, rules), START + 760)
    assert (soon["known_until"], soon["intervals"]["lasted_s"]) == (None, 160.0)
    never = case.report(found, sources(Recording(str(tmp_path / "none")), rules), START + 9e5)
    assert never["known_until"] is None


def test_what_one_command_would_tell_of_several_causes_is_one_question() -> None:
    """What is possible and what was not checked, by that command; checks of other kinds are one line, not a page."""
    may = tuple({"id": f"memory.{n}", "confidence": {"lo": 0.0, "hi": 0.5}, "missing": ["x"], "try": "look"} for n in "ab")
    unchecked = ({"id": "memory.x", "because": "no time", "try": "look"}, {"id": "latency.y", "because": "no data", "try": "wait"})
    asked = questions.open_questions(case.of_state(state(replace(CASE, possible=may, not_checked=unchecked)), 3))
    assert [(q["text"], q["why"], q["command"]) for q in asked] == [
        ("Is it also one of memory.a (up to 0.50), memory.b (up to 0.50)?", "unknown: x; no time", "look"),
        ("Is all well elsewhere? 1 check of latency could not be made", "no data", ""),
    ]


def test_a_condition_is_told_once(told: Any) -> None:
    """The onset has it; the opening does not say it again."""
    lines = [line["text"] for line in told["timeline"] if "process_anonymous_bytes grows" in line["text"]]
    assert len(lines) == 1


def test_every_shipped_cause_says_how_to_prevent_it(rules: Any) -> None:
    """A report without that would lack an item of the procedure."""
    assert [name for name, cause in rules.causes.items() if not cause.prevent] == []


def test_an_older_state_file_without_playbooks_and_messages_will_do() -> None:
    """What it has no table for was not done."""
    db = state(CASE, run=False, message=False)
    for table in ("runs", "alert_outbox"):
        db.execute(f"DROP TABLE {table}")
    assert (kept.runs(db, 3), kept.messages(db, 3)) == ([], [])


def test_messages_of_other_incidents_stay_out() -> None:
    """Those of this one come with their error."""
    assert kept.messages(state(CASE), 4) == []
    (message,) = kept.messages(state(CASE), 3)
    assert (message["to"], message["arrived"], message["error"]) == ("pager", None, "connection refused")


def test_no_such_incident() -> None:
    """A mistake of the caller."""
    with pytest.raises(UsageError):
        case.of_state(state(CASE), 99)


def test_a_chart_never_shows_what_is_yet_to_come() -> None:
    """From before the onset to now, or a little after the end."""
    assert surroundings.span(ONSET, OPENED + 30, OPENED + 30)[1] == OPENED + 30
    assert surroundings.span(ONSET, CLOSED, CLOSED + 9e9)[1] < CLOSED + 301
