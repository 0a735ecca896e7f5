"""Receivers, routes and windows in config.yaml: what can be said, and every mistake with its place."""

from __future__ import annotations

import pytest

from agent.config import parse_config
from agent.errors import Problems

GOOD = """
receivers:
  - {name: chat, url_file: /etc/anfl-agent/chat.url}
  - {name: am, type: alertmanager, url: "http://127.0.0.1:9093", every: 30s}
  - {name: hook, type: webhook, credential: hook, secret_file: /etc/anfl-agent/hook.key, deadline: 5s}
  - {name: log, path: /var/log/anfl.jsonl}
  - {name: pulse, type: heartbeat, url_file: /etc/anfl-agent/pulse.url}
  - json://localhost/plain
alerts:
  group_wait: 5s
  group_by: [cause, unit]
  runbook: "https://wiki/{cause}"
  routes:
    - {receivers: [chat], severity: [critical], hours: "mon-fri 08:00-18:00", zone: Europe/Berlin, continue: true,
       escalate: {after: 15m, receivers: [hook]}}
    - {receivers: [am, receiver-6], match: ["unit=~\\"vllm.*\\""], trees: [memory]}
  maintenance:
    - {name: patch, hours: "sun 02:00-04:00", until: 2030-01-01, match: ["severity!=critical"]}
  digest: {receivers: [chat], at: "07:30", zone: Europe/Berlin}
"""


def test_all_that_can_be_said_is_read() -> None:
    """A type that is plain from the keys need not be given; a bare address has a name."""
    made = parse_config(GOOD, "c.yaml")
    assert [(r.name, r.type) for r in made.receivers] == [
        *[("chat", "apprise"), ("am", "alertmanager"), ("hook", "webhook"), ("log", "file"), ("pulse", "heartbeat")],
        ("receiver-6", "apprise"),
    ]
    [first, second] = made.alerts.routes
    assert (first.continue_, first.escalate.after if first.escalate else 0) == (True, 900.0)
    assert second.severity == ("warning", "critical")
    assert made.alerts.group_by == ("cause", "unit")
    assert "json://" not in repr(made.receivers)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("receivers: {a: b}", "c.yaml:1:12: expected a list of receivers"),
        ("receivers: [{name: a}]", "c.yaml:1:13: receiver 'a' needs exactly one of url, url_file, credential"),
        ("receivers: [{url: 'json://x', url_file: y}]", "needs exactly one of"),
        ("receivers: [{name: 'a b', url: 'json://x'}]", "c.yaml:1:20: 'a b' is no name for a receiver"),
        ("receivers: [{name: a, url: x}, {name: a, url: y}]", "c.yaml:1:39: two receivers are named 'a'"),
        ("receivers: [{name: a, typ: file}]", "unknown key 'typ'; did you mean 'type'?"),
        ("receivers: [{name: a, type: alertmanger, url: x}]", "did you mean 'alertmanager'?"),
        ("receivers: [{name: a, type: webhook, url: 'x://y'}]", "the url of a webhook begins with http:// or https://"),
        ("receivers: [{name: a, type: file}]", "a file receiver needs 'path'"),
        ("receivers: [{name: a, type: file, path: x, url: y}]", "a file receiver has no 'url'"),
        ("receivers: [{name: a, url: 'json://x', path: y}]", "a file receiver has no 'url'"),
        ("receivers: [{name: a, url: 'json://x', secret_file: y}]", "only a webhook's bodies are signed"),
        ("receivers: [{name: a, url: 'json://x', every: 5s}]", "'every' is for receivers of type"),
        ("receivers: [{name: a, url: 'json://x', deadline: 1h}]", "deadline must be between"),
        ("alerts: {routes: [{receivers: [chat]}]}", "c.yaml:1:32: no receiver 'chat' to send to; add it under receivers"),
        (
            "receivers: [{name: chat, url: x}]\nalerts: {routes: [{receivers: [cat]}]}",
            "c.yaml:2:32: no receiver 'cat' to send to; did you",
        ),
        ("receivers: [{name: a, url: x}]\nalerts: {digest: {receivers: [b]}}", "no receiver 'b' to send to"),
        ("alerts: {routes: [{receivers: [], match: ['tree']}]}", "expected a matcher such as"),
        ("alerts: {routes: [{receivers: [], hours: '8-9'}]}", "expected a time of day such as 08:30, got '8'"),
        ("alerts: {routes: [{receivers: [], zone: Europe/Berlim}]}", "no time zone 'Europe/Berlim'; did you mean 'Europe/Berlin'?"),
        ("alerts: {maintenance: [{name: a, hours: '', until: 2030-01-01}]}", "a maintenance window needs hours"),
        ("alerts: {maintenance: [{name: a, hours: '02:00-03:00'}]}", "'until' is missing"),
        ("alerts: {maintenance: [{name: a, hours: '02:00-03:00', until: never}]}", "expected a date such as"),
        ("alerts: {digest: {at: noon}}", "expected a time of day such as 08:30, got 'noon'"),
        ("alerts: {grup_wait: 5s}", "did you mean 'group_wait'?"),
    ],
)
def test_every_mistake_has_its_place_and_a_mend(text: str, said: str) -> None:
    """``file:line:column: what is wrong; what to do``."""
    with pytest.raises(Problems) as wrong:
        parse_config(text, "c.yaml")
    assert said in str(wrong.value)
    assert wrong.value.exit_code == 2


def test_all_mistakes_are_told_at_once() -> None:
    """Whoever mends one does not find the next."""
    text = "receivers: [{name: a}, {name: b, type: fil}]\nalerts: {routes: [{receivers: [x, y]}], digest: {at: noon}}"
    with pytest.raises(Problems) as wrong:
        parse_config(text, "c.yaml")
    assert len(wrong.value.problems) == 5
