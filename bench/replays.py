"""Every public drill recorded by a running agent, then lived again from the recording under a copy of the rules kept elsewhere.

    python bench/replays.py [--told] [--keep DIR] [--case ID ...] [--hold-only | --replay-only] [--json FILE] ...

The agent is a process of its own and watches from before the fault; it is asked once, and looks by itself into what fires. With
``--told`` it is not asked: it must tell of the fault by itself, as a drill in daemon mode has it; ``told`` is how long that took.
Then ``anfl-agent replay`` must give the answers again: causes, confidences, culprits, what every check said and with which figures.
``asked`` and ``symptoms`` are the answers given live that a replay gives in the same words, of all that were given. What was held
once stays in ``--keep``: a run that was broken off goes on there, and a changed replay is tried on the same recordings.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from agent import data, replay
from agent.config import Config
from agent.drill import oneshot, watchman
from agent.drill.case import Case
from agent.drill.read import read_cases
from agent.drill.runner import Alarm, Watchman, run_drills
from agent.engine.trees import RuleSet
from agent.plugins import installed, rules_or_raise
from agent.sim.script import GpuSimulator
from agent.store.recording import Recording
from agent.suspicions import borne_out

REPLAY_LIMIT_S = 120.0
EVER = (0.0, float(1 << 40))


@dataclass(frozen=True)
class Row:
    """One drill: how it went, and answers that came again in the same words, of those given."""

    case: str
    drill: str
    why: str
    asked: tuple[int, int] = (0, 0)
    symptoms: tuple[int, int] = (0, 0)
    differs: tuple[str, ...] = ()
    told: float | None = None

    @property
    def given(self) -> bool:
        """Whether anything was answered."""
        return self.asked[1] + self.symptoms[1] > 0

    @property
    def same(self) -> bool:
        """Whether something was answered, and all of it again."""
        return self.given and not self.differs and self.asked[0] == self.asked[1] and self.symptoms[0] == self.symptoms[1]


@contextlib.asynccontextmanager
async def asked_at_once(config: str, env: Mapping[str, str]) -> AsyncIterator[Alarm | None]:
    """A running agent that is asked instead of waited for."""
    async with watchman.running(config, env):
        yield None


async def hold(case: Case, keep: Path, limit: float, baseline: dict[str, Any], watched: Watchman) -> None:
    """Hold one drill and keep what was recorded; the host's baseline is asked for once."""

    async def diagnose(args: list[str], env: Mapping[str, str]) -> dict[str, Any]:
        first = Path(args[args.index("--config") + 1]).parent.name == "baseline"
        if first and baseline:
            return baseline
        found = await oneshot.diagnose(args, env)
        if first:
            baseline.update(found)
        return found

    drill: dict[str, Any] = {"status": "broken", "why": f"no end within {limit:g} s", "kept": None}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit):
            report = await run_drills(
                [case], diagnose=diagnose, progress=say, mode="daemon", watchman=watched, simulator=GpuSimulator(), keep=keep
            )
            drill = report.results[0].as_json()
    (keep / f"{case.id}.json").write_text(json.dumps(drill), "utf-8")


def say(text: str) -> None:
    """Progress, beside the table."""
    print(f"{time.strftime('%H:%M:%S', time.gmtime())} {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def rules_elsewhere() -> Iterator[Path]:
    """A copy of the rules, as one has it on another machine."""
    with tempfile.TemporaryDirectory(prefix="anfl-bench-") as folder:
        copy = Path(folder) / "rules"
        shutil.copytree(data.folder("rules"), copy)
        yield copy


def played(case: str, keep: Path, rules: Path, shipped: RuleSet) -> Row:
    """The table's row of a drill that was held."""
    drill = json.loads((keep / f"{case}.json").read_text("utf-8"))
    known, told = (case, drill["status"], drill["why"]), drill.get("alert_seconds")
    if not drill["kept"]:
        return Row(*known, told=told)
    recording, config = Path(drill["kept"]) / "state" / "recording", Path(drill["kept"]) / "config.yaml"
    argv = [sys.executable, "-m", "agent", "--config", str(config), "replay", str(recording), "--rules", str(rules), "--json", "-q"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=REPLAY_LIMIT_S)
    try:
        said = json.loads(done.stdout)
        again, fired = said["asked"], [f for f in said["findings"] if f["agrees_with_live"] is not None]
    except (ValueError, LookupError):
        return Row(*known, differs=(f"replay ended with {done.returncode}: {done.stderr.strip()[-200:]}",), told=told)
    given = replay.Told.of(Recording(str(recording)), *EVER).answers
    suspicions = {name: tree for name, tree in shipped.trees.items() if tree.symptom.suspicion}
    fires = [answer for answer in given if answer.asked.symptom]
    symptoms = sum(a.asked.symptom not in suspicions or borne_out(shipped, a.asked.symptom, a.diagnosis) for a in fires)
    differs = [text for f in (*again, *fired) if not f["agrees_with_live"] for text in difference(f)]
    missing = [] if len(fired) >= symptoms else [f"{symptoms - len(fired)} symptoms that fired live did not fire again"]
    return Row(
        *known,
        (sum(f["agrees_with_live"] is True for f in again), len(given) - len(fires)),
        (sum(f["agrees_with_live"] is True for f in fired), symptoms),
        (*missing, *differs),
        told,
    )


def difference(finding: Mapping[str, Any]) -> list[str]:
    """What a replay says otherwise than the live answer, cause by cause."""
    live, now = (
        {f"{c['id']} {c['target'].get('pid') or ''}".strip(): c for c in finding[d]["causes"]} for d in ("live", "diagnosis")
    )
    about = finding["tree"] or "asked"
    lines = [f"{about}: {name} only live" for name in live if name not in now]
    lines += [f"{about}: {name} only in the replay" for name in now if name not in live]
    for name in (n for n in live if n in now):
        for key in ("confidence", "culprits"):
            if live[name][key] != now[name][key]:
                lines.append(f"{about}: {name} {key}: {live[name][key]} is now {now[name][key]}")
        before = {e["check"]: (e["answer"], e["says"]) for e in live[name]["evidence"]}
        after = {e["check"]: (e["answer"], e["says"]) for e in now[name]["evidence"]}
        lines += [
            f"{about}: {name} {c}: {before.get(c)} is now {after.get(c)}" for c in before | after if before.get(c) != after.get(c)
        ]
    return lines or [f"{about}: the order of {list(live)} is now {list(now)}"]


def table(rows: list[Row]) -> str:
    """As a page shows it."""
    lines = ["| drill | held | told after, s | asked | symptoms | same |", "| --- | --- | --- | --- | --- | --- |"]
    for row in rows:
        counts = [f"{again} of {given}" if given else "–" for again, given in (row.asked, row.symptoms)]
        told = "–" if row.told is None else f"{row.told:.0f}"
        lines.append(
            f"| {row.case} | {row.drill} | {told} | {' | '.join(counts)} | {'yes' if row.same else 'no' if row.given else '–'} |"
        )
    held = [row for row in rows if row.given]
    lines += ["", f"{sum(row.same for row in held)} of {len(held)} drills recorded give the same answers again."]
    return "\n".join(lines)


def main() -> int:
    """Hold what was not held yet, replay all, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--case", action="append", default=[])
    parser.add_argument("--told", action="store_true", help="wait until the agent tells by itself")
    parser.add_argument("--for", dest="sample", help="sample so long instead of what a case says, such as 6s")
    parser.add_argument("--limit", type=float, default=420.0)
    parser.add_argument("--until", help="hold no drill after this time of day (UTC), such as 12:30")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--hold-only", action="store_true")
    what.add_argument("--replay-only", action="store_true")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the agent and the fault must not outlive it
    with contextlib.ExitStack() as stack:
        keep = args.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="anfl-bench-")))
        keep.mkdir(parents=True, exist_ok=True)
        cases, baseline = read_cases(data.folder("drills"), args.case), dict[str, Any]()
        shipped = rules_or_raise(installed(), Config())
        rules, rows = stack.enter_context(rules_elsewhere()), list[Row]()
        for case in cases:
            done = keep / f"{case.id}.json"
            late = args.until is not None and time.strftime("%H:%M", time.gmtime()) >= args.until
            if args.sample:
                case = replace(case, for_=args.sample)
            if not done.exists() and not args.replay_only and not late:
                asyncio.run(hold(case, keep, args.limit, baseline, watchman.running if args.told else asked_at_once))
            if done.exists() and not args.hold_only:
                rows.append(played(case.id, keep, rules, shipped))
                for text in rows[-1].differs:
                    say(f"{case.id}: {text}")
    print(table(rows))
    if args.json:
        args.json.write_text(json.dumps([vars(row) for row in rows], indent=1), "utf-8")
    return 0 if all(row.same or not row.given for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
