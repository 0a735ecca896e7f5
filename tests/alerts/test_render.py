"""Messages as people read them: everything that matters is there, and nothing from outside is markup."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.alerting import Alerts
from agent.alerts import render
from agent.alerts.letters import letter
from agent.alerts.message import SCHEMA, notice
from agent.alerts.model import Address, Mark
from agent.alerts.plan import Draft, Reason
from agent.alerts.stages import Item
from agent.model import JsonObject, Severity
from tests.alerts.worlds import T0, alert, finding, receiver

HOSTILE = "x<script>alert(1)</script>&[a](http://evil)`code`*b*_i_@everyone <!channel>"


def told(*alerts: Any, reason: Reason = Reason.FIRST, folded: int = 0) -> JsonObject:
    """A message about these alerts."""
    marks = tuple(Mark(a.id, 1, 1, a.status, a.severity, a.cause, labels=a.labels, opened=a.opened, at=T0) for a in alerts)
    draft = Draft("event-1", Address("r", receiver("r")), "g", reason, marks, tuple(Item(a, severity=a.severity) for a in alerts))
    settings = Alerts(runbook="https://wiki.example.org/{cause}", link="https://agent.example.org/{incident}")
    return letter(draft, settings, "gpu-node-07", T0, folded, ["receiver b gets nothing: it answered 401"])


def full(**more: Any) -> JsonObject:
    """One with all there is to tell."""
    body = {"cause": finding(), "ruled_out": [{"id": "memory.page-cache"}], "impact": "12 processes · job 8812"}
    return told(alert("7", body=body, **more))


@pytest.mark.parametrize("form", ["text", "markdown", "html"])
def test_every_form_tells_all_that_matters(form: str) -> None:
    """Root cause, culprit, three lines of evidence, consequences, what was ruled out, advice, command, runbook, event."""
    said = render.FORMATS[form](full())
    for part in (
        *("memory.python-leak", "trainer (pid 4242)", "/srv/app.py:42 in remember 93%", "anonymous memory grows 3.1 MiB/s"),
        *("memory.oom-risk", "memory.page-cache", "anfl-agent incidents show 7", "https://wiki.example.org/memory.python-leak"),
        *(
            "12 processes · job 8812",
            "event-1",
            "receiver b gets nothing: it answered 401",
            "/var/lib/anfl-agent/artifacts/flame.svg",
        ),
    ):
        assert part in said, part


def test_the_title_has_host_cause_target_and_severity() -> None:
    """In one short line; its end is told as one."""
    assert full()["title"] == "[WARNING] gpu-node-07: memory.python-leak in trainer (pid 4242)"
    assert render.heading(full(severity=Severity.CRITICAL)).startswith("🔴 [CRITICAL]")
    assert render.heading(full(status="resolved", closed=T0 + 60)).startswith("✅ [RESOLVED] gpu-node-07")
    long = told(alert("1", cause="c" * 200), alert("2"))
    assert len(long["title"]) <= 120


def test_the_end_says_when_and_how() -> None:
    """And gives no advice any more."""
    said = render.text(full(status="resolved", closed=T0 + 90, ending="resolved"))
    assert "2023-11-14 22:13:20 UTC until 2023-11-14 22:14:50 UTC (resolved)" in said
    assert "Advice" not in said


def test_without_a_cause_the_next_thing_is_to_look() -> None:
    """And the symptom's own words are the evidence."""
    one = told(alert("7", cause="", body={"symptoms": ["grow(x, 30s) = 3 MiB/s > 1"]}))
    assert one["alerts"][0]["command"] == "anfl-agent diagnose --pid 7"
    assert "grow(x, 30s) = 3 MiB/s > 1" in render.text(one)


def hostile() -> JsonObject:
    """A message whose every text from outside wants to be markup."""
    cause = finding(title=HOSTILE, advice=HOSTILE, consequences=[HOSTILE])
    cause["target"] = {"kind": "process", "name": HOSTILE, "pid": 1}
    cause["culprits"] = [{"kind": "process", "name": HOSTILE, "pid": 2}]
    cause["evidence"] = [{"check": "c", "answer": "true", "says": HOSTILE}]
    return told(alert("7", title=HOSTILE, body={"cause": cause, "impact": HOSTILE}, acknowledged=HOSTILE))


class Tags(HTMLParser):
    """Collects the tags of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.add(tag)


def test_html_from_outside_stays_text() -> None:
    """No tag but ours, no link but the configured ones."""
    page = render.html(hostile())
    tags = Tags()
    tags.feed(page)
    assert tags.seen <= {"div", "p", "b", "code", "table", "tr", "td", "br", "a"}
    assert page.count("<a href=") == 2
    assert 'href="https://wiki.example.org' in page


def test_markdown_from_outside_stays_text_and_calls_nobody() -> None:
    """In prose it is escaped, in code it cannot leave."""
    said = render.markdown(hostile())
    prose = "\n".join("".join(line.split("`")[::2]) for line in said.splitlines())
    assert "@everyone" not in prose
    assert "[a](" not in prose
    assert "<!channel>" not in prose
    assert "<script>" not in prose
    assert "``" not in said


@given(st.text(max_size=120))
def test_no_text_breaks_out_of_a_line(text: str) -> None:
    """Whatever a process is called, it is one piece of one line in every form."""
    one = told(alert("7", title=text, body={"cause": finding(title=text, advice=text)}))
    plain = told(alert("7", title="x", body={"cause": finding(title="x", advice="x")}))
    for form, render_ in render.FORMATS.items():
        if text.strip():
            assert render_(one).count("\n") == render_(plain).count("\n"), form


def test_secrets_do_not_leave_the_host() -> None:
    """They are masked where the message is made, so that not even the state file holds them."""
    cause = finding(advice="run with HF_TOKEN=hf_abcdefghijklmnopqrstuvwxyz0123")
    cause["evidence"] = [{"check": "c", "answer": "true", "says": "cmd: serve --api-key S3CRETVALUE99"}]
    one = told(alert("7", body={"cause": cause}))
    assert "S3CRETVALUE99" not in str(one)
    assert "hf_abc" not in str(one)
    assert "[redacted]" in render.text(one)


def test_a_crowd_is_told_by_its_ten_worst_and_a_count() -> None:
    """Those that are only counted are counted too."""
    crowd = [alert(str(n), severity=Severity.CRITICAL if n == 25 else Severity.WARNING) for n in range(30)]
    one = told(*crowd, folded=70)
    assert (one["firing"], one["more"], len(one["alerts"])) == (100, 90, 10)
    assert one["alerts"][0]["incident"] == "25"
    assert one["title"].endswith("and 99 more")
    for form in render.FORMATS.values():
        assert "and 90 more" in form(one)


def test_a_notice_has_its_lines() -> None:
    """Tests and digests have no alerts."""
    made = notice("e", "digest", "2 notices", ["one", "two"], "h", T0)
    assert (made["schema"], made["title"]) == (SCHEMA, "[DIGEST] h: 2 notices")
    for form in render.FORMATS.values():
        assert "one" in form(made)
        assert "two" in form(made)


def test_a_message_tells_the_head_of_the_audit() -> None:
    """Who keeps it can show later that nothing was cut off; one without stays as it is."""
    told = notice("id", "test", "hello", ["a line"], "n1", 0.0)
    assert "audit" not in render.text(told) + render.markdown(told) + render.html(told)
    told["audit"] = "57:9f3a12bc3d4e"
    assert all("audit 57:9f3a12bc3d4e" in shown for shown in (render.text(told), render.markdown(told), render.html(told)))
