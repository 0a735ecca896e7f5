"""Whether a playbook may act, now, on this target: pure, asked at the proposal and again in the tick of the reservation.

Every rule here was learnt from somebody's accident: stale decisions replayed after a restart, endless reboot loops because the
attempt was not counted before acting, limits lost with the process, unknown taken for healthy.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from agent.model import Target
from agent.remedy.model import Decision, Facts, House, Run, Tally
from agent.remedy.playbook import Playbook, Who

BREAKER_WINDOW_S = 3600.0
BREAKER_ACTIONS = 6
BREAKER_FAILURES = 3
"""So many actions, or failed ones, within an hour and nothing more is done until a person resets it, with a reason."""
STORM_WINDOW_S = 300.0
STORM_PROPOSALS = 10
"""More proposals than this in five minutes are one large trouble, not ten small ones."""
SPARES_GPU = ("kill_gpu_orphans", "capture_evidence", "notify")
"""Steps on a GPU that take it away from nobody who works."""
OWN_UNITS = ("anfl-agent*", "anfl-profile*", "anfl-remediate*")


def decide(playbook: Playbook, run: Run, facts: Facts, tally: Tally, house: House) -> Decision:
    """Go, or every reason why not."""
    reasons = (
        *_house(playbook, house),
        *_fresh(playbook, run, facts),
        *_target(playbook, run.target, facts.uid),
        *_gpus(playbook, run, facts, tally),
        *_often(playbook, run, facts, tally),
    )
    return Decision(not reasons, reasons)


def suits(playbook: Playbook, target: Target) -> bool:
    """Whether it may ever act on this target, as far as lists can tell."""
    return not any(_target(playbook, target, None))


def hindered(house: House) -> str:
    """What holds for the whole host and forbids acting now; "" if nothing does."""
    held = (house.lost_state, house.volatile, house.paused and f"paused: {house.paused}", house.tripped, house.permit)
    return next((why for why in held if why), "")


def breaker(tally: Tally) -> str:
    """Why the breaker trips now; "" if it does not."""
    if tally.recent_actions >= BREAKER_ACTIONS:
        return f"{tally.recent_actions} actions within an hour"
    if tally.recent_failures >= BREAKER_FAILURES:
        return f"{tally.recent_failures} actions within an hour did not help"
    return ""


def storm(tally: Tally) -> bool:
    """Whether so much is proposed that nothing more should be."""
    return tally.recent_proposals >= STORM_PROPOSALS


def _house(playbook: Playbook, house: House) -> Iterator[str]:
    if playbook.class_ == "observe":
        return
    if house.lost_state:
        yield f"the record of what was done is lost ({house.lost_state}): observing only until 'anfl-agent playbooks reset'"
    if house.volatile:
        yield f"what is done cannot be kept ({house.volatile}): observing only until it can"
    if house.paused:
        yield f"paused: {house.paused}"
    if house.tripped:
        yield f"the breaker is open: {house.tripped}"
    if house.permit:
        yield f"no permit from outside: {house.permit}"


def _fresh(playbook: Playbook, run: Run, facts: Facts) -> Iterator[str]:
    needs = playbook.needs
    if playbook.digest != run.digest:
        yield "the playbook was changed since this was proposed"
    if not facts.incident_open:
        yield f"incident {run.incident} is over"
    if facts.lo is None:
        yield f"{run.cause} is no longer found"
    elif facts.lo + 1e-9 < needs.confidence:
        yield f"confidence {facts.lo:.2f} is below {needs.confidence:.2f}"
    if facts.now - facts.judged_at > needs.max_age:
        yield f"the diagnosis is {facts.now - facts.judged_at:.0f} s old, {needs.max_age:.0f} are allowed"
    if needs.data == "complete" and not facts.complete:
        yield "the symptom stands without data"
    if not facts.target_there:
        yield "the target is gone, or another has its number"


def _target(playbook: Playbook, target: Target, uid: int | None) -> Iterator[str]:
    allowed = playbook.target
    if target.kind not in allowed.kinds:
        yield f"it acts on {' or '.join(allowed.kinds)}, not on a {target.kind}"
    if any(fnmatchcase(target.unit or "", own) for own in OWN_UNITS):
        yield "the agent does not act on itself"
    if target.pid is not None and target.pid <= 1:
        yield "the host's first process is never touched"
    if any(fits(who, target, uid) for who in allowed.deny):
        yield "the target is on the deny list"
    if playbook.class_ != "observe" and not any(fits(who, target, uid) for who in allowed.allow):
        yield "the target is not on the allow list" if allowed.allow else "nothing is allowed yet: the allow list is empty"


def _gpus(playbook: Playbook, run: Run, facts: Facts, tally: Tally) -> Iterator[str]:
    """A job keeps at least one GPU that it can work on, whatever is done to the others."""
    takes = playbook.class_ in ("disruptive", "destructive") and any(step.do not in SPARES_GPU for step in playbook.steps)
    if run.target.kind != "gpu" or run.target.uuid is None or not takes:
        return
    if facts.gpu_users is None:
        yield "who works on that GPU is not known"
        return
    others = {r.target.uuid for r in tally.running if r.id != run.id and r.target.kind == "gpu"}
    away = {run.target.uuid, *facts.gpus_lost, *others}
    for job, gpus in sorted(facts.gpu_users.items()):
        if run.target.uuid in gpus and gpus <= away:
            yield f"it is the {'last' if len(gpus) > 1 else 'only'} GPU of {job}"


def fits(who: Who, target: Target, uid: int | None = None) -> bool:
    """Every key of the line holds; a line without keys fits nothing. A key the target does not have does not hold."""
    wanted = {k: v for k, v in vars(who).items() if v not in ("", None)}
    have = {
        "unit": target.unit,
        "cgroup": target.cgroup,
        "user": target.user,
        "comm": target.name,
        "container": target.container,
        "gpu": target.uuid,
        "uid": uid,
    }
    return bool(wanted) and all(have[k] is not None and _holds(have[k], v) for k, v in wanted.items())


def _holds(have: object, wanted: object) -> bool:
    return have == wanted if isinstance(wanted, int) else fnmatchcase(str(have), str(wanted))


def _often(playbook: Playbook, run: Run, facts: Facts, tally: Tally) -> Iterator[str]:
    limits = playbook.limits
    recent = [at for at in tally.reservations if facts.now - at < limits.max.per]
    if playbook.class_ != "observe" and len(recent) >= limits.max.count:
        yield f"{len(recent)} times within {limits.max.per / 3600:g} h, {limits.max.count} are allowed"
    if tally.attempts_in_incident >= limits.attempts_per_incident:
        yield f"{tally.attempts_in_incident} attempts in incident {run.incident}, {limits.attempts_per_incident} are allowed"
    if tally.last_end is not None and facts.now - tally.last_end < limits.cooldown:
        yield f"the last one ended {facts.now - tally.last_end:.0f} s ago, the cool-down is {limits.cooldown:.0f} s"
    others = [r for r in tally.running if r.id != run.id and not r.quiet]
    if any((r.group, r.kin) == (run.group, run.kin) for r in others):
        yield "the same kind of action is under way for this target"
    elif others and playbook.class_ in ("disruptive", "destructive"):
        yield f"run {others[0].id} is under way: one at a time on a host"
