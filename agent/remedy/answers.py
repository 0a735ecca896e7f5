"""Playbooks and their runs as JSON, for the socket and the command line."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from agent.engine.report import when
from agent.model import JsonObject
from agent.remedy import tables
from agent.remedy.model import Run
from agent.remedy.playbook import Mode, Playbook, allowed_mode
from agent.store.audit import Check, head_of


def listing(playbooks: Mapping[str, Playbook], ceiling: Mode, at: sqlite3.Connection) -> JsonObject:
    """``anfl.playbooks/1``: what there is, in which mode, what waits or runs, and what holds for all."""
    return {
        "schema": "anfl.playbooks/1",
        "ceiling": ceiling,
        "switches": tables.switches(at),
        "playbooks": [summary(one, ceiling) for one in playbooks.values()],
        "runs": [run(one) for one in tables.runs(at, most=200)],
    }


def summary(one: Playbook, ceiling: Mode) -> JsonObject:
    """One playbook in short."""
    return {
        "id": one.id,
        "title": one.title,
        "class": one.class_,
        "mode": one.mode,
        "in_force": allowed_mode(one, ceiling),
        "causes": [str(c) for c in one.needs.causes],
        "steps": [str(s.do) for s in one.steps],
        "allow": [_plain(w) for w in one.target.allow],
        "deny": [_plain(w) for w in one.target.deny],
        "next": str(one.next) or None,
        "sop": list(one.sop),
        "advice": one.advice,
        "digest": one.digest,
    }


def run(one: Run) -> JsonObject:
    """One run."""
    target = {k: v for k, v in asdict(one.target).items() if v is not None}
    return {
        "id": one.id,
        "playbook": one.playbook,
        "incident": one.incident,
        "cause": one.cause,
        "target": target,
        "mode": one.mode,
        "phase": str(one.phase),
        "reason": one.reason,
        "rung": one.rung,
        "created": when(one.created),
        "updated": when(one.updated),
        "expires": when(one.expires),
        "approvals": list(one.approvals),
        "undoable": bool(one.undo),
    }


def audit(at: sqlite3.Connection, most: int) -> JsonObject:
    """``anfl.audit/1``: the newest records, and whether their chain in the state is whole."""
    number, digest = tables.head(at)
    records = [{**r, "time": when(r["time"])} for r in tables.audit(at, most)]
    return {
        "schema": "anfl.audit/1",
        "head": {"seq": number, "hash": digest, "text": head_of(number, digest)},
        "broken_at": tables.broken_link(at),
        "records": records,
    }


def checked(found: Check, path: str, state: JsonObject | None = None) -> JsonObject:
    """``anfl.audit-check/1``: a look over the whole audit file. ``state``: what :func:`audit` says, to be compared."""
    wrong = f"line {found.line}: {found.why}" if found.line else ""
    if state is not None and not wrong:
        if state["broken_at"] is not None:
            wrong = f"record {state['broken_at']} was changed in the state"
        elif (state["head"]["seq"], state["head"]["hash"]) != (found.seq, found.hash):
            wrong = f"the state's last record is {state['head']['text']}, the file's {head_of(found.seq, found.hash)}"
    head = {"seq": found.seq, "hash": found.hash, "text": head_of(found.seq, found.hash)}
    return {"schema": "anfl.audit-check/1", "path": path, "records": found.seq, "head": head, "wrong": wrong or None}


def _plain(who: Any) -> dict[str, Any]:
    return {k: v for k, v in vars(who).items() if v not in ("", None)}
