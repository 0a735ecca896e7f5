"""From checks and closer looks to a root cause."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.diagnosis import Finding, RuledOut
from agent.engine.diagnose import Assessment, Meta, Scope, assess, conclude
from agent.engine.walk import ProbeKey
from agent.model import Culprit, Evidence, Severity, Target, labels
from tests.fakes.rules import look, of, process, rule_set
from tests.fakes.view import FakeView

MEMORY = """
tree: memory
each: [pid]
symptom: {when: "grow(process_anonymous_bytes, 20s) > 2MiB / 1m"}
checks:
  - {id: steep, expr: "grow(process_anonymous_bytes, 20s) > 2MiB / 1m"}
  - {id: hours, expr: "floor_slope(process_anonymous_bytes, 1h) > 1MiB / 1m"}
  - {id: one_site, if: "steep or hours", probe: memray, with: {seconds: 8}, expr: "leak_share > 50%"}
causes:
  memory.python-leak:
    title: Memory grows from one place in the Python code
    require: [one_site]
    support: {one_site: 0.7, steep: 0.3, hours: 0.4}
    leads_to: [memory.oom-risk]
    playbook: recycle-worker
    advice: Look at the named line.
  memory.oom-risk: {title: The limit will be hit, support: {tight: 0.8}, severity: critical}
"""
TIGHT = '  - {id: tight, expr: "host_memory_available_bytes < 1GiB"}\ncauses:'
MEMORY = MEMORY.replace("causes:", TIGHT)
LATENCY = """
tree: latency
each: [pid]
symptom: {when: "rate(process_cpu_seconds_total, 10s) > 90%"}
checks:
  - {id: computes, expr: "rate(process_cpu_seconds_total, 10s) > 60%"}
  - {id: hot, if: computes, probe: pyspy, expr: "hot_share > 50%"}
  - {id: others, if: computes, probe: neighbours, expr: "other_cores > 0.5"}
  - {id: felt, if: computes, probe: pyspy, expr: "waits"}
causes:
  latency.cpu-hotspot: {title: It computes in one place, require: [hot], support: {hot: 0.8}, felt_by: [felt], culprit: [hot_share]}
  latency.cpu-saturated: {title: Others take the CPUs, support: {others: 0.7}}
"""
HOST = """
tree: host
symptom: {when: "host_load1 > 4"}
checks: [{id: loaded, expr: "host_load1 > 4"}, {id: full, expr: "any_of(filesystem_free_bytes < 1MiB)"}]
causes:
  host.loaded: {title: The load is high, support: {loaded: 0.6}, severity: notice}
  stability.disk-full: {title: A disk is full, support: {full: 0.9}, severity: critical}
"""
LINE = Culprit("code", "remember", file="/srv/app.py", line=42, function="remember", share=0.93)
LEAK = Evidence(
    "memray", {"leak_share": 0.93}, {"leak_share": (LINE,)}, {"leak_share": "remember holds 93 % of what stayed"}, took_s=9.6
)
NO_LEAK = Evidence("memray", {"leak_share": 0.1}, took_s=9.0)
HOT = Evidence("pyspy", {"hot_share": 0.9, "waits": True}, {"hot_share": (replace(LINE, name="spin"),)})
META = Meta("0.1", "n1", 1000.0, 24.2, "burst")

GROWS, FLAT = "100MiB+1MiBx60", "100MiB*61"


def host(
    memory: dict[int, str],
    cpu: dict[int, str] | None = None,
    subject: int | None = None,
    mounts: dict[str, str] | None = None,
    **more: str,
) -> FakeView:
    """A host whose processes have these memory and CPU series; ``subject`` makes them one tree."""
    series: dict[object, str] = {of("process_anonymous_bytes", pid): text for pid, text in memory.items()}
    series |= {of("process_cpu_seconds_total", pid): text for pid, text in (cpu or {}).items()}
    series |= {process(pid, subject, comm=f"w{pid}"): "1*61" for pid in {*memory, *(cpu or {})}}
    series |= {("filesystem_free_bytes", labels(mountpoint=m)): text for m, text in (mounts or {}).items()}
    series |= {"host_memory_available_bytes": "8GiB*61", "host_load1": "1*61", **more}
    return FakeView.of(series)  # type: ignore[arg-type]


def at(*pids: int) -> Scope:
    """The first pid is the target."""
    return Scope(Target("process", pid=pids[0]), pids)


def ids(findings: tuple[Finding, ...]) -> list[str]:
    """Names only."""
    return [f.id for f in findings]


def looks(assessment: Assessment) -> list[tuple[str, int | None]]:
    """Which looks are wanted, in order."""
    return [(r.key.probe, r.key.pid) for r in assessment.wanted]


def test_growth_opens_the_gate_and_the_look_settles_it() -> None:
    """First possible with the look that would tell; with its answer the root, its culprit, target and evidence."""
    rules, view = rule_set(MEMORY), host({1: GROWS})
    first = assess(rules, view, at(1), {})
    assert (first.causes, looks(first), first.verdict) == ((), [("memray", 1)], "unknown")
    request = first.wanted[0]
    assert (request.cost, request.settings, request.causes) == ("heavy", {"seconds": 8.0}, ("memory.python-leak",))
    assert (request.target.pid, request.target.name) == (1, "w1")
    then = assess(rules, view, at(1), {request.key: LEAK})
    root = then.causes[0]
    assert (root.id, root.culprits, root.playbook, then.wanted) == ("memory.python-leak", (LINE,), "recycle-worker", ())
    assert (root.confidence.lo, root.confidence.hi) == (pytest.approx(0.79), pytest.approx(0.874))
    assert (root.target.kind, root.target.pid, root.symptoms, then.verdict) == ("process", 1, ("memory",), "warning")
    says = {line.check: line for line in root.evidence}
    assert says["steep"].says == "grow(process_anonymous_bytes, 20s) = 1 MiB/s > 2MiB / 1m"
    assert says["one_site"].says == "leak_share = 93 % > 50%; remember holds 93 % of what stayed"
    assert (says["one_site"].source, says["one_site"].took_s, says["hours"].answer) == ("memray", 9.6, "unknown")


def test_an_answer_against_it_rules_it_out() -> None:
    """The required look says no: ruled out, with the figure that says so, and the host is ok."""
    found = assess(rule_set(MEMORY), host({1: GROWS}), at(1), look("memray", 1, NO_LEAK, seconds=8.0))
    assert (found.causes, found.wanted, found.verdict) == ((), (), "ok")
    assert RuledOut("memory.python-leak", "one_site is false: leak_share = 10 % > 50%") in found.ruled_out


def test_a_closed_gate_is_no() -> None:
    """A healthy process needs no closer look, and nothing stays possible because none was taken."""
    rules = rule_set(MEMORY.replace("steep or hours", "steep"))
    found = assess(rules, host({1: FLAT}), at(1), {})
    assert (found.causes, found.possible, found.wanted, found.verdict) == ((), (), (), "ok")


def test_an_open_question_stays_possible_with_the_way_to_settle_it() -> None:
    """A gate nobody can judge because its series are not there: unknown, never healthy, and what would help."""
    found = assess(rule_set(MEMORY), host({}, {1: "0+0.1x60"}), at(1), {})
    assert (found.verdict, found.wanted) == ("unknown", ())
    assert found.possible[0].missing == ("one_site", "steep", "hours")
    assert found.possible[0].try_ == "anfl-agent doctor"


def test_what_needs_more_history_is_listed_with_the_command_that_waits_for_it() -> None:
    """A condition over an hour cannot be judged after a minute: not checked, and how long to sample."""
    found = conclude(assess(rule_set(MEMORY), host({1: FLAT}), at(1), {}), META)
    unchecked = {n.id: n for n in found.not_checked}
    assert unchecked["memory.hours"].because == "too little data for process_anonymous_bytes"
    assert unchecked["memory.hours"].try_ == "anfl-agent diagnose memory --pid 1 --for 75m"


def test_a_series_that_stopped_is_no_question_of_age() -> None:
    """A short history alone leaves nothing possible; figures that stopped coming, or those of others only, do."""
    rules = rule_set(
        """
tree: host
each: [pid]
symptom: {when: "slope(process_anonymous_bytes, 10m) > 1MiB / 1s"}
checks: [{id: steep, expr: "slope(process_anonymous_bytes, 10m) > 1MiB / 1s"}]
causes: {host.steep: {title: It is steep, support: {steep: 0.9}}}
"""
    )
    young = host({1: FLAT, 2: FLAT})
    assert assess(rules, young, at(1), {}).verdict == "ok"
    for unheard in (young.at(200.0), host({2: FLAT}, {1: "0+0.1x60"})):
        found = assess(rules, unheard, at(1), {})
        assert ([p.id for p in found.possible], found.verdict) == (["host.steep"], "unknown")


def test_a_look_that_could_not_be_taken_says_why_and_what_helps() -> None:
    """The probe's own reason and mend go into not_checked and into the possible cause."""
    refused = Evidence("memray", because="gdb is not installed", try_="apt-get install gdb")
    found = assess(rule_set(MEMORY), host({1: GROWS}), at(1), look("memray", 1, refused, seconds=8.0))
    assert (found.wanted, found.possible[0].try_) == ((), "apt-get install gdb")
    unchecked = {n.id: n for n in conclude(found, META).not_checked}
    assert unchecked["memory.one_site"].because == "gdb is not installed"
    assert unchecked["memory.hours"].because == "too little data for process_anonymous_bytes"


def test_looks_left_out_are_listed_with_the_reason() -> None:
    """When time is spent, what was still wanted is not checked, with the command for a longer look."""
    found = conclude(assess(rule_set(MEMORY), host({1: GROWS}), at(1), {}), META, "only 15 s were allowed")
    unchecked = {n.id: n for n in found.not_checked}["memory.one_site"]
    assert unchecked.because == "memray was not run: only 15 s were allowed"
    assert unchecked.try_ == "anfl-agent diagnose memory --pid 1 --deep"


def test_one_fault_in_several_workers_is_one_finding() -> None:
    """Four workers that leak at one line are one cause on their subject; each place is named once."""
    view = host({1: FLAT, 2: GROWS, 3: GROWS}, subject=1)
    answers = look("memray", 2, LEAK, seconds=8.0) | look("memray", 3, LEAK, seconds=8.0)
    found = assess(rule_set(MEMORY), view, at(1, 2, 3), answers)
    assert (ids(found.causes), found.causes[0].culprits) == (["memory.python-leak"], (LINE,))
    assert (found.causes[0].target.pid, found.causes[0].target.name) == (1, "w1")


def test_the_steepest_worker_is_looked_at_first_and_the_others_not_again() -> None:
    """One answer that names the place is enough: the same cause in a sibling would change nothing."""
    view = host({1: FLAT, 2: GROWS, 3: "100MiB+3MiBx60"}, subject=1)
    rules = rule_set(MEMORY)
    assert looks(assess(rules, view, at(1, 2, 3), {})) == [("memray", 3), ("memray", 2)]
    then = assess(rules, view, at(1, 2, 3), look("memray", 3, LEAK, seconds=8.0))
    assert (ids(then.causes), then.wanted, then.further) == (["memory.python-leak"], (), ())
    assert then.causes[0].target.pid == 3


def test_looks_are_ordered_by_cost_and_by_what_they_settle() -> None:
    """Free before light before heavy; one look serves every check and every process it is about."""
    rules = rule_set(MEMORY, LATENCY)
    view = host({1: GROWS, 2: FLAT}, {1: "0+0.7x60", 2: "0+0.9x60"}, subject=1)
    wanted = assess(rules, view, at(1, 2), {}).wanted
    assert [(r.key.probe, r.key.pid) for r in wanted] == [("neighbours", 1), ("pyspy", 2), ("pyspy", 1), ("memray", 1)]
    assert wanted[1].checks == ("latency.hot", "latency.felt")


def test_what_it_leads_to_rides_inside_the_root() -> None:
    """The risk is a consequence of the leak: one root, as severe as what it leads to."""
    view = host({1: GROWS}, host_memory_available_bytes="100MiB*61")
    found = assess(rule_set(MEMORY), view, at(1), look("memray", 1, LEAK, seconds=8.0))
    assert (ids(found.causes), found.causes[0].consequences) == (["memory.python-leak"], ("memory.oom-risk",))
    assert (ids(found.consequences), found.causes[0].severity, found.verdict) == (
        ["memory.oom-risk"],
        Severity.CRITICAL,
        "critical",
    )


def test_a_consequence_alone_still_sends_for_its_cause() -> None:
    """The risk is certain; the look that may find what leads to it is still wanted."""
    view = host({1: GROWS}, host_memory_available_bytes="100MiB*61")
    found = assess(rule_set(MEMORY), view, at(1), {})
    assert (ids(found.causes), looks(found)) == (["memory.oom-risk"], [("memray", 1)])


def test_two_independent_faults_come_out_as_two_roots() -> None:
    """A leak and a neighbour: both named, the surer first."""
    answers = look("memray", 1, LEAK, seconds=8.0) | look("neighbours", 1, Evidence("neighbours", {"other_cores": 1.5}))
    found = assess(rule_set(MEMORY, LATENCY), host({1: GROWS}, {1: "0+0.9x60"}), at(1), answers)
    assert ids(found.causes) == ["memory.python-leak", "latency.cpu-saturated"]


def test_a_hotspot_nobody_suffers_from_is_a_notice() -> None:
    """Without a sufferer the verdict is ok; an unanswered question about sufferers is no sufferer."""
    rules, view = rule_set(LATENCY), host({}, {1: "0+0.9x60"})
    calm = Evidence("neighbours", {"other_cores": 0.0})
    for waits, severity, verdict in (
        (True, Severity.WARNING, "warning"),
        (False, Severity.NOTICE, "ok"),
        (None, Severity.NOTICE, "ok"),
    ):
        hot = replace(HOT, answers={"hot_share": 0.9, "waits": waits})
        found = assess(rules, view, at(1), look("pyspy", 1, hot) | look("neighbours", 1, calm))
        assert (ids(found.causes), found.causes[0].severity, found.verdict) == (["latency.cpu-hotspot"], severity, verdict)
        assert found.causes[0].culprits[0].name == "spin"


def test_looks_that_cannot_change_the_root_are_only_offered() -> None:
    """With a critical root, what could at most be a warning is left for spare time."""
    rules = rule_set(MEMORY, HOST)
    scope = Scope(Target("host"), (1,))
    found = assess(rules, host({1: GROWS}, mounts={"/data": "0*61", "/": "9GiB*61"}), scope, {})
    assert (ids(found.causes), found.wanted) == (["stability.disk-full"], ())
    assert [r.key.probe for r in found.further] == ["memray"]
    assert found.causes[0].culprits == (Culprit("mount", "/data"),)
    unchecked = {n.id: n.because for n in conclude(found, META).not_checked}
    assert unchecked["memory.one_site"] == "memray was not run: it could not change the root cause"


def test_a_neighbours_fault_is_elsewhere() -> None:
    """Only what reaches the target, or something on it, is its root; a host-wide cause that leads to nothing here is not."""
    view = host({1: FLAT, 2: GROWS}, host_load1="9*61")
    found = assess(rule_set(MEMORY, HOST), view, at(1, 2), look("memray", 2, LEAK, seconds=8.0))
    assert (ids(found.causes), sorted(ids(found.elsewhere))) == ([], ["host.loaded", "memory.python-leak"])
    assert {f.target.kind for f in found.elsewhere} == {"host", "process"}
    assert all(r.key.pid != 2 for r in (*found.wanted, *found.further))


def test_a_scope_limits_trees_and_carries_onsets() -> None:
    """Named trees only; what the judge knows about the beginning becomes ``since``."""
    scope = replace(at(1), trees=frozenset({"memory"}), onsets={("memory", labels(pid=1)): 17.0})
    found = assess(rule_set(MEMORY, HOST), host({1: GROWS}, host_load1="9*61"), scope, look("memray", 1, LEAK, seconds=8.0))
    assert (ids(found.causes), found.causes[0].since) == (["memory.python-leak"], 17.0)


def test_the_host_alone_can_be_asked() -> None:
    """Without a target everything that is found counts."""
    found = assess(rule_set(MEMORY, HOST), host({}, host_load1="9*61"), Scope(), {})
    assert (ids(found.causes), found.verdict) == (["host.loaded"], "ok")


def test_the_same_question_always_gets_the_same_answer() -> None:
    """Assessing is a function: the same view and answers give equal assessments."""
    rules, view = rule_set(MEMORY, LATENCY, HOST), host({1: GROWS, 2: GROWS}, {1: "0+0.7x60"}, subject=1)
    answers = {ProbeKey("memray", 2, (("seconds", 8.0),)): LEAK}
    first, second = (conclude(assess(rules, view, at(1, 2), answers), META) for _ in range(2))
    assert first == second


def test_a_look_that_does_not_apply_answers_no_instead_of_unknown() -> None:
    """A program that is not Python has no hot place in Python code: nothing stays possible for want of a look."""
    rules, view = rule_set(LATENCY), host({}, {1: "0+0.9x60"})
    calm = look("neighbours", 1, Evidence("neighbours", {"other_cores": 0.0}))
    refused = Evidence("pyspy", because="process 1 is not a Python program")
    for applies, possible in ((True, ["latency.cpu-hotspot"]), (False, [])):
        found = assess(rules, view, at(1), look("pyspy", 1, replace(refused, applies=applies)) | calm)
        assert ids(found.possible) == possible
