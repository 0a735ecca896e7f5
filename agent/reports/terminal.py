"""A diagnosis (``anfl.diagnosis/1``) as text for a terminal: root cause first, then why, then what else."""

from __future__ import annotations

import contextlib
import os
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agent.host import asread, procs
from agent.host.text import clean
from agent.reports.document import clock

Json = Mapping[str, Any]
Paint = Callable[[str, str], str]

CODES = {"red": "31;1", "yellow": "33;1", "green": "32;1", "dim": "2", "bold": "1", "cyan": "36"}
COLOUR_OF = {"critical": "red", "warning": "yellow", "ok": "green", "notice": "cyan", "unknown": "yellow"}
EVIDENCE_LINES = 6
SHOWN_OPEN = 4


def render(diagnosis: Json, *, colour: bool = False, width: int = 100) -> str:
    """The whole text. ``width`` is in columns (at least 60); figures are never cut."""
    paint: Paint = (lambda text, code: f"\x1b[{CODES[code]}m{text}\x1b[0m") if colour else (lambda text, code: text)
    page = _Page(paint, max(60, width))
    page.head(diagnosis)
    causes: Sequence[Json] = diagnosis["causes"]
    for number, cause in enumerate(causes):
        page.cause(cause, first=number == 0)
    if not causes:
        page.nothing(diagnosis)
    for cause in diagnosis["elsewhere"]:
        page.elsewhere(cause)
    page.items("Possible", _folded([_possible(p) for p in diagnosis["possible"]]))
    page.items("Ruled out", [r["id"] for r in diagnosis["ruled_out"]], inline=True)
    page.items("Not checked", _folded([_unchecked(n) for n in diagnosis["not_checked"]]))
    page.cost(diagnosis)
    return "\n".join(page.lines) + "\n"


def causes(found: Sequence[Json], *, colour: bool = False, width: int = 100) -> list[str]:
    """The lines of root causes by themselves, the first as the root cause."""
    paint: Paint = (lambda text, code: f"\x1b[{CODES[code]}m{text}\x1b[0m") if colour else (lambda text, code: text)
    page = _Page(paint, max(60, width))
    for number, cause in enumerate(found):
        page.cause(cause, first=number == 0)
    return page.lines


def plugin_line(diagnosis: Json) -> str:
    """One line in the monitoring-plugin convention (Nagios, NHC, Slurm prologs)."""
    word = {"ok": "OK", "warning": "WARNING", "critical": "CRITICAL", "unknown": "UNKNOWN"}[diagnosis["verdict"]]
    causes = [c for c in diagnosis["causes"] if c["severity"] != "notice"] or diagnosis["causes"]
    if causes:
        text = "; ".join(f"{c['id']}{_where(c)}" for c in causes[:3])
    elif diagnosis["possible"]:
        text = "possible: " + ", ".join(p["id"] for p in diagnosis["possible"][:3])
    else:
        text = "nothing found"
    return clean(f"ANFL {word} - {text}".replace("|", "/"), 400) + f" | took={diagnosis['took_s']:.1f}s"


PLUGIN_EXIT = {"ok": 0, "warning": 1, "critical": 2, "unknown": 3}


def exit_code(diagnosis: Json) -> int:
    """0 nothing wrong, 1 something found, 3 too little could be checked to say."""
    return {"ok": 0, "warning": 1, "critical": 1, "unknown": 3}[diagnosis["verdict"]]


class _Page:
    def __init__(self, paint: Paint, width: int) -> None:
        self.paint = paint
        self.width = width
        self.lines: list[str] = []

    def head(self, d: Json) -> None:
        of = f" of {clock(d['started_at'])}" if d["source"] == "recording" else ""  # "03:12" may be that of another day
        left = f"anfl-agent {d['agent_version']} · {clean(d['host'], 60)} · from {d['source']}{of} · {d['took_s']:.1f} s"
        verdict = d["verdict"].upper()
        gap = " " * max(2, self.width - len(left) - len(verdict))
        self.lines.append(left + gap + self.paint(verdict, COLOUR_OF[d["verdict"]]))

    def nothing(self, d: Json) -> None:
        if d["verdict"] == "ok":
            self.lines.append(self.paint("✓ nothing wrong found", "green"))
        else:
            self.lines.append(self.paint("? too little could be checked to say", "yellow"))

    def cause(self, c: Json, *, first: bool) -> None:
        mark = "✗ ROOT CAUSE" if first else "✗ AND ALSO"
        if c["severity"] == "notice":
            mark = "• NOTICE"
        interval = c["confidence"]
        sure = f"confidence {interval['lo']:.2f}" + (f"–{interval['hi']:.2f}" if interval["hi"] > interval["lo"] + 0.005 else "")
        self.lines.append("")
        self.lines.append(f"{self.paint(mark, COLOUR_OF[c['severity']])}  {self.paint(c['id'], 'bold')}   {sure}")
        self._wrap(f"{clean(c['title'], 200)}: {_target(c['target'])}", "  ")
        for culprit in c["culprits"][:4]:
            self._culprit(culprit, c["target"])
        shown = [e for e in c["evidence"] if e["answer"] == "true"][:EVIDENCE_LINES]
        for number, line in enumerate(shown):
            self._wrap(clean(line["says"], 400), "  Evidence  " if number == 0 else "            ", "            ")
        if c.get("since"):
            self.lines.append(f"  Since     {c['since']}")
        if c["consequences"]:
            self._wrap(", ".join(c["consequences"]), "  Leads to  ")
        if c["advice"]:
            self._wrap(clean(c["advice"], 400), "  Advice    ")
        if c.get("playbook"):
            self.lines.append(f"  Playbook  {c['playbook']}")
        for artifact in c["artifacts"]:
            self.lines.append(f"  {artifact['kind']:<9} {clean(artifact['path'], 300)}")

    def _culprit(self, c: Json, target: Json) -> None:
        if c.get("file"):
            place = f"{clean(c['file'], 200)}:{c['line']}" if c.get("line") else clean(c["file"], 200)
            head = f"{place} in {clean(c['function'], 100)}" if c.get("function") else place
        else:
            head = _called(c) + (f" (pid {c['pid']})" if c.get("pid") else "")
        share = f"   {c['share']:.0%}" if c.get("share") is not None else ""
        detail = f"   {clean(c['detail'], 160)}" if c.get("detail") else ""
        self.lines.append(f"    {self.paint(head, 'bold')}{share}{detail}")
        for number, text in _excerpt(c, target):
            marker = ">" if number == c["line"] else " "
            line = f"      {marker} {number:>4} | {text}"
            self.lines.append(self.paint(line[: self.width], "cyan" if marker == ">" else "dim"))

    def elsewhere(self, c: Json) -> None:
        self._wrap(f"{c['id']}{_where(c)}: {clean(c['title'], 200)}", "\n▲ ELSEWHERE  ", "  ")

    def items(self, title: str, texts: Sequence[str], *, inline: bool = False) -> None:
        if not texts:
            return
        self.lines.append("")
        if inline:
            self._wrap(" · ".join(clean(t, 300) for t in texts), f"  {title:<12}", " " * 14)
            return
        for number, text in enumerate(texts):
            self._wrap(clean(text, 500), f"? {title:<12}" if number == 0 else " " * 14, " " * 14)

    def cost(self, d: Json) -> None:
        probes = d["cost"]["probes"]
        if not probes:
            return
        parts = [f"{p['probe']} {p['seconds']:.1f} s" + _pause(p["target_pause_s"]) for p in probes]
        self.lines.append("")
        self._wrap(" · ".join(parts), "  Cost        ", " " * 14)

    def _wrap(self, text: str, first: str, then: str | None = None) -> None:
        rest = " " * len(first) if then is None else then
        wrapped = textwrap.wrap(
            text, self.width, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
        )
        self.lines += wrapped or [first.rstrip()]


def _pause(seconds: float) -> str:
    return f" (target paused {seconds:.1f} s)" if seconds >= 0.05 else ""


def _target(t: Json) -> str:
    name = clean(t.get("name") or t["kind"], 120)
    facts = [f"pid {t['pid']}" if t.get("pid") else ""]
    facts += [f"{key} {clean(str(t[key]), 80)}" for key in ("user", "unit", "container", "job") if t.get(key)]
    inside = ", ".join(f for f in facts if f)
    return f"{name} ({inside})" if inside else name


def _called(culprit: Json) -> str:
    """``process python``; ``GPU 3 (…)`` says itself what it is."""
    name = clean(culprit.get("name") or "", 120)
    return name if name.lower().startswith(f"{culprit['kind']} ") else f"{culprit['kind']} {name}"


def _where(c: Json) -> str:
    for culprit in c["culprits"]:
        if culprit.get("file"):
            return f" at {clean(os.path.basename(culprit['file']), 120)}:{culprit.get('line') or '?'}"
        if culprit.get("name"):
            return f" ({_called(culprit)})"
    return ""


def _possible(p: Json) -> str:
    interval = p["confidence"]
    text = f"{p['id']} (up to {interval['hi']:.2f})"
    if p["missing"]:
        text += f": unknown {', '.join(p['missing'])}"
    return text + (f" → {p['try']}" if p["try"] else "")


def _folded(texts: list[str]) -> list[str]:
    """The first few; the others are counted and stand in the JSON."""
    rest = len(texts) - SHOWN_OPEN
    return texts if rest <= 1 else [*texts[:SHOWN_OPEN], f"and {rest} more: see --json"]


def _unchecked(n: Json) -> str:
    return f"{n['id']}: {n['because']}" + (f" → {n['try']}" if n["try"] else "")


def _excerpt(c: Json, target: Json) -> list[tuple[int, str]]:
    """Three source lines around the culprit, where the sufferer's user could read them too; nothing otherwise.

    A program may say of itself that it runs in any file there is, and what is shown here ends up in tickets and chats.
    """
    path, line = c.get("file"), c.get("line")
    if not path or not line or not os.path.isabs(path):
        return []
    found = (asread.read_soon(reader, path) for reader in _readers(c, target))
    texts = next((content for content in found if content is not None), b"").decode("utf-8", "replace").splitlines()
    window = range(max(1, line - 1), min(len(texts), line + 1) + 1)
    return [(n, clean(texts[n - 1].expandtabs(4), 160)) for n in window]


def _readers(c: Json, target: Json) -> Iterator[asread.Reader]:
    """The process that was blamed or suffers, in its own root and, if it is in no container, in ours; its user if it is gone."""
    pid, start = c.get("pid") or target.get("pid"), target.get("start_time")
    other = pid is None or (pid == target.get("pid") and start is not None and not procs.still(pid, start))
    reader = asread.of_user(target.get("user"))
    if pid is not None and not other:
        with contextlib.suppress(OSError, ValueError, IndexError):
            reader = asread.of_process(pid)
            yield reader
    if not target.get("container"):
        yield replace(reader, root="/")
