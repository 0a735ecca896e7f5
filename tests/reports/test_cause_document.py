"""The section on the root cause: words first, whom it happened to, and what was ruled out without filling pages."""

from __future__ import annotations

from typing import Any

from agent.reports.cause_document import cause, ruled_out, sentences, target
from agent.reports.document import Heading, Para, Table

HOST = {"kind": "host", "name": "", "pid": None}
KILL: Any = {
    "id": "memory.oom-killed",
    "title": "The kernel killed a process",
    "confidence": {"lo": 0.8, "hi": 0.8},
    "target": HOST,
    "culprits": [{"kind": "process", "name": "trainer", "pid": 7}, {"kind": "cgroup", "name": "/job", "pid": None}],
    "consequences": [],
    "evidence": [{"check": "killed", "answer": "true", "says": "happened(kernel) = 1 > 0", "source": "metrics"}],
    "artifacts": [{"kind": "memray-report", "path": "/a.html"}],
}


def report(*causes: Any, victims: tuple[str, ...] = ()) -> Any:
    """What of a report bears on it."""
    return {"incident": {"causes": causes}, "victims": victims}


def test_whom_it_happened_to_is_not_called_the_culprit() -> None:
    """Where the rule says so; what is no process is to blame all the same."""
    tables = [block for block in cause(report(KILL, victims=("memory.oom-killed",)), lambda path: None) if isinstance(block, Table)]
    assert tables[0].rows[1:] == (
        ("Suffers", "the host"),
        ("Confidence", "0.80"),
        ("Happened to", "process trainer (pid 7)"),
        ("Culprit", "cgroup /job"),
    )
    blamed = [block for block in cause(report(KILL), lambda path: None) if isinstance(block, Table)]
    assert [row[0] for row in blamed[0].rows[3:]] == ["Culprit", ""]


def test_who_has_no_share_in_it_is_not_blamed() -> None:
    """The few other descriptors of a leak of files, say; the first is named whatever its share."""
    shares = (0.001, 0.5, 0.001, None)
    files = [{"kind": "path", "name": f"/{n}", "pid": None, "share": share} for n, share in enumerate(shares)]
    tables = [b for b in cause(report({**KILL, "culprits": files}), lambda path: None) if isinstance(b, Table)]
    assert [row[1].split(",")[0] for row in tables[0].rows[3:]] == ["path /0", "path /1", "path /3"]


def test_a_further_cause_is_told_by_its_heading_and_shares_its_files() -> None:
    """Files that both were found by are named once."""
    blocks = cause(report(KILL, {**KILL, "id": "b.c", "title": "Another"}), lambda path: None)
    assert [b.text for b in blocks if isinstance(b, Heading)] == ["Root cause", "Evidence", "And also: Another", "Evidence"]
    assert str(blocks).count("/a.html") == 1


def test_evidence_says_its_words_first_and_each_once() -> None:
    """The condition stands behind them; one without words stands alone."""
    assert sentences("x = 2 > 1; it grows; fast; it grows") == "it grows; fast (x = 2 > 1)"
    assert sentences("x = 2 > 1") == "x = 2 > 1"


def test_what_was_ruled_out_of_other_kinds_fills_no_page() -> None:
    """Causes of the incident's own kind come with their reason, those alike together; all others by name."""
    known = (("memory.a", "no"), ("memory.b", "few"), ("memory.c", "few"), ("host.x", "1"), ("host.y", "2"), ("gpu.z", "3"))
    i = {
        "complaints": [{"tree": "memory_fast"}],
        "causes": [],
        "ruled_out": [{"id": name, "because": why} for name, why in known],
    }
    assert ruled_out(i)[1:] == [
        Table(("cause", "because"), (("memory.a", "no"),)),
        Para("memory.b, memory.c: few."),
        Para("Of other kinds: host: x, y; gpu: z.", soft=True),
    ]


def test_a_sufferer_is_told_by_what_is_known_of_it() -> None:
    """A host has no name here: the report's head has it."""
    assert target(HOST) == "the host"
    assert target({"kind": "process", "name": "a", "pid": 7, "user": "ada", "unit": None}) == "a (pid 7, user ada)"
