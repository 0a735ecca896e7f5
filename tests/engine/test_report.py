"""The JSON contract."""

from __future__ import annotations

import json
from dataclasses import fields

from agent.diagnosis import Confidence, Diagnosis, EvidenceLine, Finding, NotChecked, Possible, ProbeCost, RuledOut
from agent.engine.report import to_json
from agent.model import Artifact, Culprit, Severity, Target

FINDING = Finding(
    id="memory.python-leak",
    title="It leaks",
    severity=Severity.WARNING,
    confidence=Confidence(0.79, 0.874),
    target=Target("process", "python", pid=7, start_time=12.5, user="u"),
    since=1_700_000_000.25,
    symptoms=("memory",),
    culprits=(Culprit("code", "remember", file="/a.py", line=42, function="remember", share=0.93, rate=3250585.61, detail="x"),),
    consequences=("memory.oom-risk",),
    evidence=(EvidenceLine("one_site", "true", "says", "memray", 9.6),),
    sop=("memory cleanup",),
    advice="Look.",
    playbook="recycle-worker",
    artifacts=(Artifact("flamegraph", "/x.html"),),
)
DIAGNOSIS = Diagnosis(
    agent_version="0.1",
    host="n1",
    started_at=1_700_000_000.0,
    took_s=24.2,
    source="burst",
    verdict="warning",
    causes=(FINDING,),
    possible=(Possible("t.p", Confidence(0.2, 0.7), ("c",), "anfl-agent diagnose"),),
    ruled_out=(RuledOut("t.r", "no"),),
    not_checked=(NotChecked("t.n", "no gdb", "install gdb"),),
    cost=(ProbeCost("memray", 9.6, 0.4),),
)

KEYS = ["schema", "agent_version", "host", "started_at", "took_s", "source", "verdict", "causes", "elsewhere", "possible"]
KEYS += ["ruled_out", "not_checked", "cost", "incident"]
CAUSE_KEYS = ["id", "title", "severity", "confidence", "since", "symptoms", "target", "culprits", "consequences", "evidence"]
CAUSE_KEYS += ["sop", "advice", "playbook", "artifacts"]


def test_a_diagnosis_has_the_shape_of_the_contract() -> None:
    """Every key, with RFC 3339 times in UTC and ``try`` spelled so."""
    made = to_json(DIAGNOSIS)
    assert list(made) == KEYS
    assert (made["schema"], made["started_at"], made["verdict"]) == ("anfl.diagnosis/1", "2023-11-14T22:13:20.000Z", "warning")
    cause = made["causes"][0]
    assert list(cause) == CAUSE_KEYS
    assert (cause["severity"], cause["confidence"], cause["since"]) == (
        "warning",
        {"lo": 0.79, "hi": 0.874},
        "2023-11-14T22:13:20.250Z",
    )
    assert set(cause["target"]) >= {"kind", "name", "pid", "start_time", "unit", "container", "job", "user", "uuid"}
    culprit = cause["culprits"][0]
    assert set(culprit) == {f.name for f in fields(Culprit)}
    assert (culprit["rate"], culprit["share"], culprit["line"]) == (3250585.6, 0.93, 42)
    assert cause["evidence"] == [{"check": "one_site", "answer": "true", "says": "says", "source": "memray", "took_s": 9.6}]
    assert made["possible"][0]["try"] == "anfl-agent diagnose"
    assert made["not_checked"] == [{"id": "t.n", "because": "no gdb", "try": "install gdb"}]
    assert made["cost"] == {"probes": [{"probe": "memray", "seconds": 9.6, "target_pause_s": 0.4}]}


def test_it_is_plain_json() -> None:
    """No infinity, no NaN, no types of ours."""
    odd = Diagnosis("0.1", "n1", 0.0, float("inf"), "burst", "ok", cost=(ProbeCost("p", float("nan")),))
    for diagnosis in (DIAGNOSIS, odd):
        assert json.loads(json.dumps(to_json(diagnosis), allow_nan=False)) == to_json(diagnosis)
