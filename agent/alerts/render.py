"""A message (``anfl.alert/1``) as people read it: plain text, Markdown for chats, HTML for mail.

Everything from outside is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from agent.host.text import html_safe

Json = Mapping[str, Any]
MARK = {"critical": "🔴", "warning": "🟠", "notice": "🔵"}
COLOUR = {"critical": "#b3261e", "warning": "#b06000", "notice": "#1a56a8", "resolved": "#1b7f3b"}
LINKS = (("Approve or refuse", "plea_link"), ("Runbook", "runbook"), ("Details", "link"))
_SPECIAL = re.compile(r"([\\`*_\[\]<>~|#])")


def text(told: Json) -> str:
    """Plain text."""
    return "\n".join(_lines(told, _Plain())) + "\n"


def markdown(told: Json) -> str:
    """CommonMark, as chats want it; names and commands are code, the rest is escaped, nobody is called by an @."""
    return "\n".join(_lines(told, _Markdown())) + "\n"


def heading(told: Json) -> str:
    """The title with a mark that is seen in a list of messages."""
    if told["kind"] in ("resolved", "over"):
        return f"✅ {told['title']}"
    return f"{MARK.get(told['severity'], '')} {told['title']}".strip()


class _Plain:
    """How the parts of a line are written."""

    bullet = "  "
    line_end = ""

    def prose(self, said: str) -> str:
        """Words from outside."""
        return said

    def code(self, said: str) -> str:
        """A name, a place or a command from outside."""
        return said

    def strong(self, said: str) -> str:
        """Our own words, to be seen first."""
        return said

    def link(self, words: str, url: str) -> str:
        """A link from the configuration."""
        return f"{words}: {url}"


class _Markdown(_Plain):
    bullet = "- "
    line_end = "  "

    def prose(self, said: str) -> str:
        return _SPECIAL.sub(r"\\\1", said).replace("@", "@\u200b").replace("://", ":\u200b//")

    def code(self, said: str) -> str:
        return f"`{said.replace('`', chr(39))}`" if said else ""

    def strong(self, said: str) -> str:
        return f"**{said}**"

    def link(self, words: str, url: str) -> str:
        safe = url.replace(">", "%3E").replace("<", "%3C").replace(" ", "%20")
        return f"[{words}](<{safe}>)"


def _lines(told: Json, write: _Plain) -> list[str]:
    lines = [line for alert in told["alerts"] for line in _alert(alert, told, write)]
    if told["more"]:
        lines += [write.strong(f"and {told['more']} more") + " in this group: anfl-agent incidents list"]
    while lines and not lines[-1]:
        lines.pop()
    notes = [write.prose(note) for note in told["notes"]]
    if notes and lines:
        lines.append("")
    lines += notes
    lines += ["", write.prose(_foot(told))]
    return lines


def _alert(a: Json, told: Json, write: _Plain) -> list[str]:
    end = write.line_end
    word = a["severity"] if a["status"] == "firing" else "resolved"
    head = f"{write.strong(word.upper())} {write.code(a['cause'] or a['tree'])} {write.prose(a['title'])}"
    if "evidence" not in a:
        return [f"{head} ({write.code(a['incident'])})"]
    pairs: list[tuple[str, str]] = [
        ("Target", write.code(a["target"])),
        ("Culprit", write.code(a["culprit"])),
        ("Since", _since(a)),
        ("Impact", write.prose(a["impact"])),
    ]
    lines = [head + end, *(f"{name}: {value}{end}" for name, value in pairs if value)]
    if a["evidence"]:
        lines += ["Evidence:", "", *(f"{write.bullet}{write.prose(line)}" for line in a["evidence"]), ""]
    after = [
        ("Leads to", ", ".join(map(write.code, a["consequences"]))),
        ("Ruled out", ", ".join(map(write.code, a["ruled_out"]))),
        ("Asked of you", write.prose(a.get("plea", "")) if a["status"] == "firing" else ""),
        ("Advice", write.prose(a["advice"]) if a["status"] == "firing" else ""),
        ("Next", write.code(a["command"])),
        ("Acknowledged by", write.prose(a["acknowledged"])),
        ("Files", ", ".join(write.code(f["path"]) for f in a["artifacts"])),
        ("", " · ".join(write.link(w, a[key]) for w, key in LINKS if a.get(key))),
    ]
    lines += [f"{name}: {value}{end}" if name else value for name, value in after if value]
    return [*lines, ""]


def _since(a: Json) -> str:
    if a["status"] == "firing":
        return f"{_time(a['opened'])} · flapping" if a["flapping"] else _time(a["opened"])
    return f"{_time(a['opened'])} until {_time(a['closed'])}" + (f" ({a['ending']})" if a["ending"] else "")


def _foot(told: Json) -> str:
    """Which message this is; with the head of the audit where anything was ever decided."""
    audit = f" · audit {told['audit']}" if told.get("audit") else ""
    return f"{told['host']} · anfl-agent {told['agent_version']} · {_time(told['time'])} · event {told['id']}{audit}"


def _time(stamp: str | None) -> str:
    """RFC 3339 as people read it."""
    return f"{stamp[:19].replace('T', ' ')} UTC" if stamp else "?"


# ---------------------------------------------------------------------------------------------- mail


def html(told: Json) -> str:
    """A mail: one narrow table, no script, no image, no address outside the configured links."""
    colour = COLOUR["resolved" if told["kind"] in ("resolved", "over") else told["severity"]]
    parts = [_card(a) for a in told["alerts"]]
    if told["more"]:
        parts.append(f"<p><b>and {told['more']} more</b> in this group: <code>anfl-agent incidents list</code></p>")
    parts += [f"<p>{html_safe(note)}</p>" for note in told["notes"]]
    return (
        '<div style="font-family:-apple-system,Segoe UI,Helvetica,Arial,sans-serif;font-size:14px;line-height:1.5;color:#202124;'
        'max-width:680px;margin:0 auto">'
        f'<div style="border-left:6px solid {colour};padding:8px 14px;background:#f6f7f9;font-size:17px;font-weight:600">'
        f"{html_safe(heading(told))}</div>{''.join(parts)}"
        f'<p style="color:#5f6368;font-size:12px;border-top:1px solid #e0e3e7;padding-top:8px">{html_safe(_foot(told))}</p></div>'
    )


def _card(a: Json) -> str:
    resolved = a["status"] != "firing"
    colour = COLOUR["resolved" if resolved else a["severity"]]
    word = "RESOLVED" if resolved else a["severity"].upper()
    head = (
        f'<p style="margin:14px 0 4px"><b style="color:{colour}">{word}</b> <b>{html_safe(a["title"])}</b> '
        f'<code style="color:#5f6368">{html_safe(a["cause"] or a["tree"])}</code></p>'
    )
    if "evidence" not in a:
        return head
    rows = [
        ("Target", _code(a["target"])),
        ("Culprit", _code(a["culprit"])),
        ("Since", html_safe(_since(a))),
        ("Impact", html_safe(a["impact"])),
        ("Evidence", "<br>".join(map(html_safe, a["evidence"]))),
        ("Leads to", ", ".join(map(_code, a["consequences"]))),
        ("Ruled out", ", ".join(map(_code, a["ruled_out"]))),
        ("Asked of you", "" if resolved else html_safe(a.get("plea", ""))),
        ("Advice", "" if resolved else html_safe(a["advice"])),
        ("Next", _code(a["command"])),
        ("Acknowledged", html_safe(a["acknowledged"])),
        ("Files", "<br>".join(_code(f["path"]) for f in a["artifacts"])),
        ("Links", " · ".join(_anchor(w, a[key]) for w, key in LINKS if a.get(key))),
    ]
    cell = "padding:3px 14px 3px 0;vertical-align:top"
    table = "".join(
        f'<tr><td style="{cell};color:#5f6368;white-space:nowrap">{name}</td><td style="{cell}">{value}</td></tr>'
        for name, value in rows
        if value
    )
    return f'{head}<table style="border-collapse:collapse;font-size:14px">{table}</table>'


def _code(said: str) -> str:
    if not said:
        return ""
    style = "font-family:Menlo,Consolas,monospace;font-size:13px;background:#f1f3f4;padding:1px 4px;border-radius:3px"
    return f'<code style="{style}">{html_safe(said)}</code>'


def _anchor(words: str, url: str) -> str:
    return f'<a href="{html_safe(url)}">{words}</a>' if re.match(r"https?://", url) else html_safe(url)


FORMATS: Mapping[str, Callable[[Json], str]] = {"text": text, "markdown": markdown, "html": html}
