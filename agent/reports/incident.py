"""Incidents (``anfl.incidents/1``, ``anfl.incident/1``) as text for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from agent.host.text import clean
from agent.reports import terminal
from agent.reports.terminal import CODES, COLOUR_OF

Json = Mapping[str, Any]

LINES_OF_TIMELINE = 30
PROCESSES_SHOWN = 8
RULED_OUT_SHOWN = 12
NOTHING = "no open incidents"


def listing(incidents: Sequence[Json], now: float, *, colour: bool = False, width: int = 100) -> str:
    """One line an incident, the worst open ones first; what is over comes last."""
    if not incidents:
        return NOTHING
    order = ("critical", "warning", "notice")
    ranked = sorted(incidents, key=lambda i: (i["closed"] is not None, order.index(i["severity"]), -i["id"]))
    return "\n".join(_line(i, now, colour, width) for i in ranked)


def _line(i: Json, now: float, colour: bool, width: int) -> str:
    open_ = i["closed"] is None
    state = i["phase"] if open_ else i["ending"]
    span = duration(now - moment(i["opened"])) if open_ else f"{duration(now - moment(i['closed']))} ago"
    facts = [f"seen by {clean(i['acknowledged'], 32)}" if i["acknowledged"] else ""]
    facts += ["no data" if i["missing"] else "", f"came {i['episode']} times" if i["episode"] > 1 else ""]
    known = "  ".join(f for f in facts if f)
    severity = i["severity"] if open_ else i["worst"]
    painted = _paint(f"{severity:<8}", COLOUR_OF[severity] if open_ else "dim", colour)
    head = f"#{i['id']:<4} {painted}  {state:<11}  {span:>10}  "
    room = max(20, width - 42 - (len(known) + 2 if known else 0))
    return f"{head}{clean(i['title'], room)}" + (f"  {known}" if known else "")


def page(i: Json, now: float, *, colour: bool = False, width: int = 100) -> str:
    """All of one incident."""
    width = max(60, width)
    severity = i["severity"] if i["closed"] is None else i["worst"]
    lines = [f"#{i['id']} {_paint(severity.upper(), COLOUR_OF[severity], colour)} {_state(i, now)}"]
    lines += _wrap(clean(i["title"], 300), "  ", width)
    lines += _wrap(_people(i), "  People    ", width)
    lines += _wrap(_suffers(i["impact"]), "  Suffers   ", width)
    for number, c in enumerate(i["complaints"][:LINES_OF_TIMELINE]):
        lines += _wrap(_complaint(c), "  Symptoms  " if number == 0 else " " * 12, width)
    lines += terminal.causes(i["causes"], colour=colour, width=width)
    if not i["causes"] and i["possible"]:
        lines += ["", *_wrap(", ".join(p["id"] for p in i["possible"]), "? Possible    ", width)]
    if i["ruled_out"]:
        named = [r["id"] for r in i["ruled_out"][:RULED_OUT_SHOWN]]
        more = len(i["ruled_out"]) - len(named)
        text = " · ".join(named) + (f" and {more} more: see --json" if more else "")
        lines += ["", *_wrap(text, "  Ruled out   ", width)]
    lines += ["", "  Timeline", *_timeline(i["timeline"], width)]
    return "\n".join(lines)


def _state(i: Json, now: float) -> str:
    opened = f"opened {i['opened']}"
    again = f", for the {i['episode']}. time" if i["episode"] > 1 else ""
    if i["closed"] is None:
        return f"· {i['phase']} · {opened}, {duration(now - moment(i['opened']))} ago{again}"
    into = f" #{i['merged_into']}" if i["merged_into"] else ""
    return f"· {i['ending']}{into} {i['closed']} · {opened}{again}"


def _people(i: Json) -> str:
    parts = [f"acknowledged by {clean(i['acknowledged'], 64)}" if i["acknowledged"] else ""]
    parts += [f"assigned to {clean(i['assigned'], 64)}" if i["assigned"] else ""]
    return ", ".join(p for p in parts if p)


def _suffers(impact: Json) -> str:
    processes = [f"{clean(p['name'], 32)} ({p['pid']})" for p in impact["processes"][:PROCESSES_SHOWN]]
    more = len(impact["processes"]) - len(processes) + impact["more"]
    parts = [", ".join(processes) + (f" and {more} more" if more else "")]
    for key, word in (("gpus", "GPU"), ("units", "unit"), ("containers", "container"), ("jobs", "job"), ("users", "user")):
        if impact[key]:
            parts.append(f"{word} {', '.join(clean(v, 80) for v in impact[key][:PROCESSES_SHOWN])}")
    return " · ".join(p for p in parts if p)


def _complaint(c: Json) -> str:
    where = " ".join([c["tree"], *(f"{k}={clean(v, 80)}" for k, v in c["labels"].items())])
    state = f"{c['ended']} {c['over']}" if c["over"] else "no data now" if c["missing"] else "better" if c["clearing"] else ""
    text = f": {clean(c['text'], 300)}" if c["text"] else ""
    return f"{where} since {c['since']}" + (f" ({state})" if state else "") + text


def _timeline(entries: Sequence[Json], width: int) -> list[str]:
    cut = len(entries) - LINES_OF_TIMELINE
    lines = [f"    … {cut} earlier lines: see --json"] if cut > 0 else []
    for e in entries[-LINES_OF_TIMELINE:]:
        who = f" [{clean(e['who'], 64)}]" if e["who"] else ""
        said = f": {clean(e['text'], 500)}" if e["text"] else ""
        lines += _wrap(f"{e['time'][:19].replace('T', ' ')}  {e['what']}{who}{said}", "    ", width, " " * 25)
    return lines


def _wrap(text: str, first: str, width: int, then: str | None = None) -> list[str]:
    if not text:
        return []
    rest = " " * len(first) if then is None else then
    return textwrap.wrap(text, width, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False)


def _paint(text: str, code: str, colour: bool) -> str:
    return f"\x1b[{CODES[code]}m{text}\x1b[0m" if colour else text


def moment(text: str) -> float:
    """Unix seconds of an RFC 3339 time."""
    return datetime.fromisoformat(text).timestamp()


def duration(seconds: float) -> str:
    """``40 s``, ``12 min``, ``3 h 20 min``, ``2 d 4 h``."""
    minutes = max(0, int(seconds)) // 60
    if minutes < 1:
        return f"{max(0, int(seconds))} s"
    if minutes < 60:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"


def exact(seconds: float) -> str:
    """The same with seconds up to ten minutes, where they count: ``1 min 35 s``."""
    whole = max(0, round(seconds))
    return f"{whole // 60} min {whole % 60} s" if 60 <= whole < 600 and whole % 60 else duration(whole)
