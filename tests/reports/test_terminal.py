"""A diagnosis as text: what comes first, what hostile text may not do, what fits the width."""

from __future__ import annotations

import os
import pwd
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from agent.reports.terminal import PLUGIN_EXIT, exit_code, plugin_line, render

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
HOSTILE = "py\x1b[2Jthon\u202e\n✗ ROOT CAUSE  forged\ud800"


def cause(id: str = "memory.python-leak", severity: str = "warning", **more: Any) -> dict[str, Any]:
    """One finding with every key of the contract."""
    return {
        "id": id,
        "title": "Memory grows from one place in the Python code",
        "severity": severity,
        "confidence": {"lo": 0.79, "hi": 0.87},
        "since": "2026-01-02T03:04:05Z",
        "symptoms": [],
        "target": {"kind": "process", "name": "python", "pid": 42, "user": "ml", "unit": "train.service"},
        "culprits": [],
        "consequences": [],
        "evidence": [],
        "sop": [],
        "advice": "",
        "playbook": None,
        "artifacts": [],
    } | more


def diagnosis(*causes: dict[str, Any], verdict: str = "warning", **more: Any) -> dict[str, Any]:
    """A whole answer."""
    return {
        "agent_version": "0.1.0",
        "host": "n1",
        "started_at": "2026-01-02T03:04:05Z",
        "took_s": 24.2,
        "source": "burst",
        "verdict": verdict,
        "causes": list(causes),
        "elsewhere": [],
        "possible": [],
        "ruled_out": [],
        "not_checked": [],
        "cost": {"probes": []},
        "incident": None,
    } | more


def culprit(**known: Any) -> dict[str, Any]:
    """A line of code, unless said otherwise."""
    return {"kind": "code", "name": "remember", "file": "/srv/app.py", "line": 2, "function": "remember", "pid": None} | known


def test_the_root_cause_comes_first_then_the_line_then_why() -> None:
    """What an engineer needs at three in the morning, in that order."""
    evidence = [
        {"check": "one_site", "answer": "true", "says": "remember holds 93 % of what stayed", "source": "memray", "took_s": 9.6},
        {"check": "other", "answer": "false", "says": "not this", "source": "", "took_s": 0.0},
    ]
    first = cause(
        culprits=[culprit(share=0.93, detail="+3.1 MiB/s")],
        evidence=evidence,
        consequences=["memory.oom-risk"],
        advice="Look for an unbounded cache.",
        playbook="recycle-worker",
        artifacts=[{"kind": "flamegraph", "path": "/var/lib/anfl-agent/a.svg"}],
    )
    text = render(diagnosis(first, cause("latency.cpu-hotspot", "notice")))
    wanted = [
        "anfl-agent 0.1.0 · n1 · from burst · 24.2 s",
        "WARNING",
        "✗ ROOT CAUSE  memory.python-leak   confidence 0.79–0.87",
        "python (pid 42, user ml, unit train.service)",
        "/srv/app.py:2 in remember   93%   +3.1 MiB/s",
        "Evidence  remember holds 93 % of what stayed",
        "Since     2026-01-02T03:04:05Z",
        "Leads to  memory.oom-risk",
        "Advice    Look for an unbounded cache.",
        "Playbook  recycle-worker",
        "flamegraph /var/lib/anfl-agent/a.svg",
        "• NOTICE  latency.cpu-hotspot",
    ]
    at = [text.find(piece) for piece in wanted]
    assert -1 not in at, wanted[at.index(-1)]
    assert at == sorted(at)
    assert "not this" not in text


def shown(path: Path | str, **target: Any) -> str:
    """The text for a culprit in that file, of this very process unless said otherwise."""
    whom = {"kind": "process", "name": "python", "pid": os.getpid(), "user": "ml"} | target
    return render(diagnosis(cause(culprits=[culprit(file=str(path), line=2)], target=whom)))


def test_the_blamed_line_is_shown_where_it_can_be_read(tmp_path: Path) -> None:
    """With its neighbours and a mark."""
    source = tmp_path / "app.py"
    source.write_text("cache = {}\ndef remember(x): cache[x] = x\n\tkeep()\x1b[2J\n")
    text = shown(source)
    assert "      >    2 | def remember(x): cache[x] = x" in text
    assert "           1 | cache = {}" in text
    assert "\x1b" not in text
    assert ">" not in shown("/nowhere/app.py")


def test_a_process_that_is_gone_shows_what_its_user_may_read(tmp_path: Path) -> None:
    """Its pid may be another's by now; a user that is not known here may read what everybody may."""
    source = tmp_path / "app.py"
    source.write_text("a\nsecret\n")
    source.chmod(0o600)
    me = pwd.getpwuid(os.geteuid()).pw_name
    assert "> " in shown(source, start_time=1.0, user=me)
    assert "secret" not in shown(source, start_time=1.0, user="nobody-knows-me")
    assert "secret" not in shown(source, start_time=1.0, user=me, container="4f3a")


def test_text_from_outside_cannot_forge_a_line_or_reach_the_terminal() -> None:
    """Names of processes, files, functions and mounts are cleaned wherever they stand."""
    bad = dict.fromkeys(("name", "file", "function", "detail"), HOSTILE)
    target = {"kind": "process", "name": HOSTILE, "pid": 1, "user": HOSTILE, "unit": HOSTILE}
    one = cause(
        culprits=[culprit(**bad), culprit(file=None, kind="mount", name=HOSTILE)],
        target=target,
        evidence=[{"check": "x", "answer": "true", "says": HOSTILE, "source": "", "took_s": 0.0}],
        artifacts=[{"kind": "flamegraph", "path": HOSTILE}],
        advice=HOSTILE,
        title=HOSTILE,
    )
    whole = diagnosis(
        one,
        host=HOSTILE,
        elsewhere=[one],
        possible=[{"id": "x", "confidence": {"lo": 0, "hi": 0.7}, "missing": [HOSTILE], "try": HOSTILE}],
        ruled_out=[{"id": HOSTILE, "because": HOSTILE}],
        not_checked=[{"id": "x", "because": HOSTILE, "try": HOSTILE}],
    )
    for text in (render(whole), ESCAPE.sub("", render(whole, colour=True)), plugin_line(whole)):
        assert not {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs") and c != "\n"}
        assert not [line for line in text.splitlines() if line.lstrip().startswith("✗ ROOT CAUSE  forged")]
    assert render(whole).count("\n✗ ROOT CAUSE") == 1
    assert "\n" not in plugin_line(whole)


@pytest.mark.parametrize("width", [20, 60, 80, 120])
def test_prose_keeps_to_the_width(width: int) -> None:
    """Below 60 columns it is no longer legible, so that is the least."""
    says = "a long sentence of evidence with many figures " * 6
    one = cause(evidence=[{"check": "x", "answer": "true", "says": says, "source": "", "took_s": 0.0}], advice=says)
    many = [{"id": f"tree.check_{n}", "because": says, "try": "anfl-agent diagnose --deep"} for n in range(9)]
    text = render(diagnosis(one, not_checked=many), width=width)
    assert max(map(len, text.splitlines())) <= max(60, width)
    assert "and 5 more" in " ".join(text.split())


def test_colour_is_only_where_it_is_wanted() -> None:
    """The same text with and without."""
    whole = diagnosis(cause(culprits=[culprit()]))
    assert "\x1b" not in render(whole)
    assert ESCAPE.sub("", render(whole, colour=True)) == render(whole)


def test_nothing_found_is_told_apart_from_nothing_known() -> None:
    """Unknown never reads as healthy."""
    assert "✓ nothing wrong found" in render(diagnosis(verdict="ok"))
    unknown = render(diagnosis(verdict="unknown"))
    assert "? too little could be checked to say" in unknown
    assert "nothing wrong" not in unknown


def test_what_may_hold_comes_with_the_command_that_settles_it() -> None:
    """And what a look cost the process is not hidden."""
    possible = [{"id": "memory.native-leak", "confidence": {"lo": 0.2, "hi": 0.7}, "missing": ["grows"], "try": "wait 30 min"}]
    cost = {"probes": [{"probe": "memray", "seconds": 9.6, "target_pause_s": 0.4}]}
    text = render(diagnosis(possible=possible, cost=cost, verdict="unknown"))
    assert "memory.native-leak (up to 0.70): unknown grows → wait 30 min" in text
    assert "memray 9.6 s (target paused 0.4 s)" in text


@pytest.mark.parametrize(
    ("found", "verdict", "line", "plugin", "code"),
    [
        ([cause(culprits=[culprit()])], "warning", "ANFL WARNING - memory.python-leak at app.py:2 | took=24.2s", 1, 1),
        ([cause("a.b", "critical")], "critical", "ANFL CRITICAL - a.b | took=24.2s", 2, 1),
        ([], "ok", "ANFL OK - nothing found | took=24.2s", 0, 0),
        ([cause("a.b", "notice")], "ok", "ANFL OK - a.b | took=24.2s", 0, 0),
        ([], "unknown", "ANFL UNKNOWN - nothing found | took=24.2s", 3, 3),
    ],
)
def test_monitoring_systems_get_one_line_and_their_own_codes(
    found: list[dict[str, Any]], verdict: str, line: str, plugin: int, code: int
) -> None:
    """Theirs and ours differ: a cause is 1 for us, whatever its severity."""
    whole = diagnosis(*found, verdict=verdict)
    assert plugin_line(whole) == line
    assert (PLUGIN_EXIT[verdict], exit_code(whole)) == (plugin, code)


def test_a_bar_in_a_name_does_not_start_performance_data() -> None:
    """Only ours follows the one bar of the line."""
    line = plugin_line(diagnosis(cause(culprits=[culprit(file=None, kind="mount", name="/a|b=1")])))
    assert line.count("|") == 1


def test_a_gpu_says_itself_what_it_is() -> None:
    """Nobody wants to read of a gpu GPU 3."""
    card = {"kind": "gpu", "name": "GPU 3 (GPU-3d, 0000:30:00.0)", "uuid": "GPU-3d", "pci": "0000:30:00.0"}
    told = diagnosis(cause("gpu.remap-failed", culprits=[card]))
    assert "\n    GPU 3 (GPU-3d, 0000:30:00.0)\n" in render(told)
    assert "gpu.remap-failed (GPU 3 (GPU-3d, 0000:30:00.0))" in plugin_line(told)
