"""Holds drills one after the other: start the fault, ask for a diagnosis, judge it, leave nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from agent.dataclass import dataclass
from agent.drill import kept, needs
from agent.drill.case import Case
from agent.drill.patient import NotHeld, Patient, start_background, start_patient
from agent.drill.postbox import Told
from agent.drill.pythons import find_pythons
from agent.drill.report import CaseResult, Report
from agent.drill.score import Score, ambient_causes, foreign_causes, foreign_targets, score
from agent.drill.simulated import Simulator, playing, simulate
from agent.drill.variant import Variant, make_variant
from agent.errors import AgentError, Unavailable
from agent.host.lane import aside

Diagnose = Callable[[list[str], Mapping[str, str]], Awaitable[dict[str, Any]]]
"""Runs ``diagnose`` with these arguments and these variables in its environment; its JSON. ``--config FILE`` comes first."""

Progress = Callable[[str], None]

Alarm = Callable[[tuple[str, ...], int | None], Awaitable[Told | float]]
"""Waits until the running agent has told of one of these causes (none: of anything) on a target by itself: what was delivered, or
how long it was waited for."""

Watchman = Callable[[str, Mapping[str, str]], contextlib.AbstractAsyncContextManager[Alarm | None]]
"""Keeps an agent running on that configuration file, with these variables in its environment (daemon mode). Without an alarm it is
asked at once."""

BASELINE_FOR = "5s"


@dataclass
class _Ward:
    """What all drills of one run share."""

    diagnose: Diagnose
    progress: Progress
    pythons: Mapping[str, str]
    watchman: Watchman | None = None
    simulator: Simulator | None = None
    keep: Path | None = None
    ambient: frozenset[str] | None = None
    results: list[CaseResult] = field(default_factory=list)


def pick_sample(cases: Sequence[Case], count: int, seed: int) -> tuple[Case, ...]:
    """``count`` of the cases, another choice for every seed."""
    chosen = random.Random(seed).sample(list(cases), min(count, len(cases)))
    return tuple(sorted(chosen, key=lambda case: case.id))


async def run_drills(
    cases: Sequence[Case],
    *,
    diagnose: Diagnose,
    progress: Progress,
    mode: str = "oneshot",
    runs: int = 1,
    seed: int = 0,
    retries: int = 0,
    watchman: Watchman | None = None,
    simulator: Simulator | None = None,
    keep: Path | None = None,
) -> Report:
    """Hold every case ``runs`` times, as variants ``seed``, ``seed + 1`` … (variant 0 is the case as written).

    One that fails is held up to ``retries`` times more, and the report says so: other work on the host is a fault of its own.
    ``watchman`` is needed for mode ``daemon``; what was recorded and answered in each drill stays in a folder below ``keep``.
    One baseline diagnosis of the host, before the first fault, marks ambient causes.
    """
    ward = _Ward(diagnose, progress, await find_pythons(), watchman if mode == "daemon" else None, simulator, keep)
    for number in range(seed, seed + runs):
        for case in cases:
            result = await _hold(ward, case, number)
            while result.status in ("failed", "broken") and result.tries <= retries:
                progress(f"{_line(result)}; once more")
                result = replace(await _hold(ward, case, number), tries=result.tries + 1)
            ward.results.append(result)
            progress(_line(result))
    return Report(tuple(ward.results), seed, mode, tuple(sorted(ward.ambient or ())))


def _line(result: CaseResult) -> str:
    name = f"{result.id}" + (f" (variant {result.variant})" if result.variant else "")
    seconds = f" in {result.seconds:.0f} s" if result.seconds is not None else ""
    return (
        f"{result.status:7} {name}{seconds}"
        + (f" (try {result.tries})" if result.tries > 1 else "")
        + (f": {result.why}" if result.why else "")
    )


async def _hold(ward: _Ward, case: Case, number: int) -> CaseResult:
    """One drill in a private folder that is removed whatever happens."""
    if why := await _cannot(ward, case):
        return CaseResult(case.id, "skipped", case.control, number, why=why)
    place = Path(await aside(lambda: tempfile.mkdtemp(prefix="anfl-drill-")))
    try:
        variant = await aside(lambda: make_variant(case, number, place / "case", ward.pythons))
        return await _drill(ward, variant, place)
    except Unavailable as lacking:
        return CaseResult(case.id, "skipped", case.control, number, why=str(lacking))
    except NotHeld as broken:
        return CaseResult(case.id, "broken", case.control, number, why=str(broken))
    except AgentError as failed:
        return CaseResult(case.id, "failed", case.control, number, why=str(failed))
    finally:
        await asyncio.shield(aside(lambda: shutil.rmtree(place, ignore_errors=True)))


async def _cannot(ward: _Ward, case: Case) -> str:
    if (case.sim or "gpu-sim" in case.needs) and ward.simulator is None:
        return "this run has no GPU simulator"
    return await needs.missing_need(case, ward.pythons, simulator=ward.simulator is not None)


async def _drill(ward: _Ward, variant: Variant, place: Path) -> CaseResult:
    case = variant.case
    python = await needs.workload_python(case, variant.python, ward.pythons)
    if "memray" in case.needs and variant.python:
        ward.progress(f"{case.id}: memray for {variant.python}")
        await needs.memray_for(variant.python.removeprefix("py"))
    room = await aside(lambda: kept.room(keep, case.id, variant.number)) if (keep := ward.keep) is not None else None
    config = await aside(lambda: _private_config(case, place, room))
    simulated = await simulate(ward.simulator, case.sim, place)
    if ward.ambient is None:
        ward.progress("a baseline of the host before the first fault")
        ward.ambient = ambient_causes(await _baseline(ward, await aside(lambda: _healthy_config(case, place))))
    ward.progress(f"{case.id}: {case.title}" + (f" ({variant.describe()})" if variant.number else ""))
    async with contextlib.AsyncExitStack() as stack:
        env = simulated.environment if simulated else {}
        alarm = await stack.enter_async_context(ward.watchman(config, env)) if ward.watchman else None
        patient = await stack.enter_async_context(_patient(variant, python))
        await stack.enter_async_context(playing(simulated, patient))
        result = await _examine(ward, variant, patient, config, alarm, env, room)
    return replace(result, kept="" if room is None else str(room))


async def _baseline(ward: _Ward, config: str) -> Mapping[str, Any]:
    try:
        return await ward.diagnose(["--config", config, "--for", BASELINE_FOR, "--json"], {})
    except AgentError as failed:
        ward.progress(f"no baseline: {failed}")
        return {}


@contextlib.asynccontextmanager
async def _patient(variant: Variant, python: str) -> AsyncIterator[Patient]:
    """The workload and its background load; both are gone afterwards, on every way out."""
    background = await start_background(variant.background, python, variant.case.folder)
    try:
        patient = await start_patient(variant.case, python)
        try:
            yield patient
        finally:
            await asyncio.shield(patient.running.stop())
    finally:
        if background is not None:
            await asyncio.shield(background.stop())


async def _examine(
    ward: _Ward, variant: Variant, patient: Patient, config: str, alarm: Alarm | None, env: Mapping[str, str], room: Path | None
) -> CaseResult:
    case, began = variant.case, time.monotonic()
    subject = [] if patient.target is None else ["--pid", str(patient.target)]
    right = (case.expect.cause, *case.expect.accept) if case.expect and not case.control else ()
    told = await alarm(right, patient.target) if alarm else None
    if alarm and isinstance(told, Told) and case.expect and not case.control:
        told = await _told_also(alarm, told, case.expect.also, patient.target)
    if case.control and told is not None:
        if isinstance(told, Told) or patient.running.rc is not None:
            return _watched(variant, told, time.monotonic() - began)
        told = None
    asked = began if isinstance(told, Told) else time.monotonic()
    try:
        own = told.diagnosis if isinstance(told, Told) else None
        diagnosis = own or await ward.diagnose(["--config", config, *subject, "--for", case.for_, "--json"], env)
    except AgentError as failed:
        return _result(variant, Score(False, None, "none", (), f"diagnose failed: {failed}"), time.monotonic() - asked, None)
    took = time.monotonic() - asked
    if room is not None:
        await aside(lambda: kept.note(room, diagnosis))
    patient.drain()
    ambient = ward.ambient or frozenset()
    if not case.control:
        ambient |= await aside(lambda: foreign_causes(diagnosis, patient.running.owns))
    if patient.target is None:  # the whole host was asked about, and others work on it
        ambient |= await aside(lambda: foreign_targets(diagnosis, patient.running.owns))
    judged = score(case, diagnosis, ambient, patient.guilty)
    if fate := patient.fate or await aside(patient.lost):  # a probe that kills its target is worse than a wrong answer
        judged = Score(False, judged.rank, judged.culprit, judged.named, f"the workload died meanwhile ({fate})")
    after = told.at - began if isinstance(told, Told) else None
    if judged.passed and told is not None and (why := _untold(told)):
        judged = Score(False, judged.rank, judged.culprit, judged.named, why)
    elif isinstance(told, Told) and after is not None and after > told.due > 0 and not judged.why:
        judged = replace(judged, why=f"told after {after:.0f} s, due within {told.due:g} s")
    return _result(variant, judged, took, None if told is None else after is not None, after)


async def _told_also(alarm: Alarm, first: Told, also: Sequence[str], pid: int | None) -> Told | float:
    """What was told of all roots of several faults: one diagnosis may name them all, or each is told of by itself."""
    told = first
    for cause in also:
        named = list((told.diagnosis or {}).get("causes", ()))
        if any(known["id"] == cause for known in named):
            continue
        other = await alarm((cause,), pid)
        if not isinstance(other, Told):
            return other
        known_ids = {known["id"] for known in named}
        named += [c for c in (other.diagnosis or {}).get("causes", ()) if c["id"] not in known_ids]
        told = replace(
            told, at=max(told.at, other.at), due=max(told.due, other.due), diagnosis={**(told.diagnosis or {}), "causes": named}
        )
    return told


def _watched(variant: Variant, told: Told | float, seconds: float) -> CaseResult:
    """A healthy workload that somebody was told of, or that has done its work while nobody was."""
    if isinstance(told, Told):
        alarm = Score(False, None, "none", (told.cause,), f"false alarm: the running agent told of {told.cause or 'a symptom'}")
        return _result(variant, alarm, seconds, True, seconds)
    return _result(variant, Score(True, None, "none", (), "it ended while it was watched"), seconds, False)


def _untold(told: Told | float) -> str:
    """What an alert lacks: that it came, or whom it blames, or what to type next."""
    if isinstance(told, float):
        return f"the running agent told nobody of it by itself within {told:g} s"
    lacks = [name for name, said in (("culprit", told.culprit), ("command", told.command)) if not said]
    return f"the alert names no {' and no '.join(lacks)}" if lacks else ""


def _result(variant: Variant, judged: Score, seconds: float, alerted: bool | None, alert_s: float | None = None) -> CaseResult:
    return CaseResult(
        variant.case.id,
        "passed" if judged.passed else "failed",
        variant.case.control,
        variant.number,
        judged.rank,
        judged.culprit,
        seconds,
        judged.named,
        judged.why,
        variant.describe(),
        alerted,
        alert_seconds=alert_s,
    )


def _private_config(case: Case, place: Path, room: Path | None = None) -> str:
    """A configuration of its own for every drill: no daemon of this host is asked, none of its files are touched."""
    config: dict[str, Any] = {
        "state_dir": str((room or place).resolve() / "state"),
        "socket": str(place / "agent.sock"),
        "listen": "127.0.0.1:0",
    }
    if case.kernel_log:
        log = place / "kernel.log"
        log.write_text("".join(f"{line}\n" for line in case.kernel_log), "utf-8")
        told = {"collectors": {"kernel_log": {"path": str(log)}}, "kernel_log": {"trust_user_records": True}}
        config = merged(config, told)
    path = place / "config.yaml"
    path.write_text(json.dumps(merged(config, case.config), indent=1), "utf-8")
    if room is not None:
        kept.furnish(room, str(path))
    return str(path)


def _healthy_config(case: Case, place: Path) -> str:
    """The same without what the case tells of its fault, or that would pass for something the host had before."""
    (place / "baseline").mkdir()
    return _private_config(replace(case, kernel_log=(), config={}), place / "baseline")


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` laid on ``under``, mapping by mapping."""
    both = {key: merged(under[key], value) for key, value in over.items() if isinstance(value, Mapping) and key in under}
    return {**under, **over, **both}
