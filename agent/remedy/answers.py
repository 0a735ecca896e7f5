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
    """``anfl.audit/1``: the newest records, and whether the chain is whole."""
    number, digest = tables.head(at)
    records = [{**r, "time": when(r["time"])} for r in tables.audit(at, most)]
    return {
        "schema": "anfl.audit/1",
        "head": {"seq": number, "hash": digest},
        "broken_at": tables.broken_link(at),
        "records": records,
    }


def _plain(who: Any) -> dict[str, Any]:
    return {k: v for k, v in vars(who).items() if v not in ("", None)}
