"""Whether a playbook may act, now, on this target."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agent.model import Target
from agent.remedy.guard import breaker, decide, fits, storm
from agent.remedy.model import Facts, House, Phase, Run, Tally
from agent.remedy.playbook import Who
from agent.yamlfile import Text
from tests.fakes.remedyworld import CALM, KEY, RECYCLE, TARGET, playbooks

NOW = 1_000_000.0
BOOKS = playbooks(CALM, RECYCLE)
NOTHING, OPEN = Tally(), House()
FACTS = Facts(NOW, True, 0.9, NOW - 10, True, True, 1000)


def run(**changes: Any) -> Run:
    """A run of the disruptive playbook."""
    book = BOOKS["recycle"]
    made = Run(
        1,
        "recycle",
        book.digest,
        book.group,
        5,
        "memory.oom-risk",
        KEY,
        TARGET,
        "auto",
        Phase.APPROVED,
        NOW - 20,
        NOW - 20,
        NOW + 500,
    )
    return replace(made, **changes)


def reasons(facts: Facts = FACTS, tally: Tally = NOTHING, house: House = OPEN, **changes: Any) -> str:
    """Why not; "" for go."""
    decision = decide(BOOKS["recycle"], run(**changes), facts, tally, house)
    assert decision.go == (not decision.reasons)
    return "; ".join(decision.reasons)


def test_with_everything_in_order_it_goes() -> None:
    """The guard is no wall."""
    assert reasons() == ""


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"incident_open": False}, "incident 5 is over"),
        ({"lo": None}, "no longer found"),
        ({"lo": 0.69}, "confidence 0.69 is below 0.70"),
        ({"judged_at": NOW - 121}, "the diagnosis is 121 s old"),
        ({"complete": False}, "stands without data"),
        ({"target_there": False}, "another has its number"),
        ({"uid": 0}, "deny list"),
    ],
)
def test_what_is_stale_or_forbidden_stops_it(facts: dict[str, Any], why: str) -> None:
    """Each reason is said."""
    assert why in reasons(replace(FACTS, **facts))


@pytest.mark.parametrize(
    ("target", "why"),
    [
        (replace(TARGET, unit="other.service"), "not on the allow list"),
        (replace(TARGET, unit=None), "not on the allow list"),
        (replace(TARGET, unit="anfl-agent.service"), "does not act on itself"),
        (replace(TARGET, pid=1), "first process"),
        (Target("host", "n1"), "not on a host"),
    ],
)
def test_only_what_was_allowed_is_touched(target: Target, why: str) -> None:
    """Nothing is allowed by being unknown."""
    assert why in reasons(target=target)


@pytest.mark.parametrize(
    ("tally", "why"),
    [
        (Tally(reservations=(NOW - 10_000, NOW - 5_000)), "2 times within 6 h"),
        (Tally(attempts_in_incident=2), "2 attempts in incident 5"),
        (Tally(last_end=NOW - 100), "the cool-down is 1800 s"),
        (Tally(running=(run(id=2, phase=Phase.VERIFYING),)), "under way for this target"),
        (Tally(running=(run(id=2, phase=Phase.INTENT, target=replace(TARGET, unit="x", pid=9), group="y"),)), "one at a time"),
    ],
)
def test_limits_count_what_was_reserved(tally: Tally, why: str) -> None:
    """Whatever became of it."""
    assert why in reasons(tally=tally)


def test_limits_forget_what_is_long_ago() -> None:
    """Six hours, and the cool-down."""
    assert reasons(tally=Tally(reservations=(NOW - 22_000, NOW - 21_700), last_end=NOW - 2000)) == ""


@pytest.mark.parametrize("name", ["paused", "tripped", "lost_state", "permit"])
def test_what_holds_for_the_host_stops_everything_but_looking(name: str) -> None:
    """A pause, an open breaker, lost state, no permit."""
    house = House(**{name: "because"})
    assert "because" in reasons(house=house)
    looking = replace(BOOKS["recycle"], class_="observe")
    assert decide(looking, run(), FACTS, Tally(), house).go


def test_a_playbook_that_was_changed_since_does_not_go() -> None:
    """What was agreed to was another one."""
    assert "was changed since" in reasons(digest="other")


def test_the_breaker_trips_by_many_and_by_vain_actions() -> None:
    """Six in an hour, or three that did not help."""
    assert (breaker(Tally(recent_actions=5)), breaker(Tally(recent_failures=2))) == ("", "")
    assert "6 actions" in breaker(Tally(recent_actions=6))
    assert "did not help" in breaker(Tally(recent_failures=3))
    assert (storm(Tally(recent_proposals=9)), storm(Tally(recent_proposals=10))) == (False, True)


def test_a_line_of_a_list_fits_only_if_all_of_it_does() -> None:
    """And an empty one fits nothing."""
    assert fits(Who(unit="svc@*", user="ml"), TARGET)
    assert not fits(Who(unit="svc@*", user="root"), TARGET)
    assert not fits(Who(), TARGET)
    assert not fits(Who(uid=0), TARGET, None)


def test_a_restarted_worker_is_the_same_worker_to_the_limits() -> None:
    """Its pid is new, its unit is not."""
    again = run(target=replace(TARGET, pid=99, start_time=5.0))
    assert again.kin == run().kin
    assert again.identity != run().identity


GPU = Target("gpu", "gpu 3", uuid="GPU-3")
RESET = replace(
    BOOKS["recycle"],
    steps=(replace(BOOKS["recycle"].steps[0], do=Text("gpu_reset")),),
    target=replace(BOOKS["recycle"].target, kinds=("gpu",), allow=(Who(gpu="*"),)),
)


@pytest.mark.parametrize(
    ("users", "lost", "running", "why"),
    [
        ({}, (), (), ""),
        ({"job 7": {"GPU-2", "GPU-3"}}, (), (), ""),
        ({"job 7": {"GPU-3"}}, (), (), "it is the only GPU of job 7"),
        ({"job 7": {"GPU-2", "GPU-3"}}, ("GPU-2",), (), "it is the last GPU of job 7"),
        ({"job 7": {"GPU-2", "GPU-3"}}, (), ("GPU-2",), "it is the last GPU of job 7"),
        ({"job 7": {"GPU-1", "GPU-2", "GPU-3"}}, ("GPU-2",), (), ""),
        ({"job 7": {"GPU-1"}}, (), (), ""),
        ({"job 7": {"GPU-2", "GPU-3"}, "job 8": {"GPU-3"}}, (), (), "it is the only GPU of job 8"),
        (None, (), (), "who works on that GPU is not known"),
    ],
)
def test_a_job_keeps_at_least_one_gpu(users: Any, lost: tuple[str, ...], running: tuple[str, ...], why: str) -> None:
    """Of those it can work on; who is unknown may be anybody."""
    known = None if users is None else {job: frozenset(gpus) for job, gpus in users.items()}
    facts = replace(FACTS, gpu_users=known, gpus_lost=frozenset(lost))
    others = tuple(run(id=2, phase=Phase.VERIFYING, target=Target("gpu", "gpu", uuid=u), quiet=True) for u in running)
    decision = decide(RESET, run(target=GPU), facts, Tally(running=others), OPEN)
    assert decision.reasons == ((why,) if why else ())


def test_what_takes_no_gpu_away_is_not_held_up_by_it() -> None:
    """Orphans are nobody's job; a limit of power is a thing that can be taken back."""
    facts = replace(FACTS, gpu_users={"job 7": frozenset({"GPU-3"})})
    ends = replace(RESET, steps=(replace(RESET.steps[0], do=Text("kill_gpu_orphans")),))
    caps = replace(RESET, class_="reversible")
    assert [decide(book, run(target=GPU), facts, NOTHING, OPEN).go for book in (ends, caps)] == [True, True]
