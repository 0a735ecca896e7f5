"""Receivers, routes and maintenance windows as config.yaml writes them; every mistake with its place and a mend."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import field, replace
from functools import partial
from typing import Any, Literal

from agent.dataclass import dataclass
from agent.errors import Problem
from agent.matching import clock_minutes, parse_hours, parse_matcher, parse_until, parse_zone
from agent.yamlfile import Node, Seconds, Text, did_you_mean, fill

EMPTY = Text("")
UTC = Text("UTC")
MORNING = Text("08:00")

SeverityName = Literal["notice", "warning", "critical"]


@dataclass(frozen=True)
class Receiver:
    """One way to tell people. Where the address is a secret, keep it in a file (``url_file``) or a systemd ``credential``.

    Each line of that file is one address. ``secret_file`` or ``secret_credential`` holds the key that signs a webhook's bodies.
    """

    name: Text = EMPTY
    type: Literal["apprise", "webhook", "alertmanager", "file", "heartbeat"] = "apprise"
    url: str = field(default="", repr=False)
    url_file: str = ""
    credential: str = ""
    secret_file: str = ""
    secret_credential: str = ""
    path: str = ""
    format: Literal["auto", "text", "markdown", "html"] = "auto"
    attach: bool = True
    deadline: Seconds = 15.0
    every: Seconds = 60.0


@dataclass(frozen=True)
class Escalate:
    """Whom to tell too when nobody acknowledged within ``after`` seconds of the first message."""

    after: Seconds
    receivers: tuple[Text, ...]


@dataclass(frozen=True)
class Route:
    """Who hears of what. The first route that fits is taken; with ``continue`` the next ones are asked too."""

    receivers: tuple[Text, ...]
    match: tuple[Text, ...] = ()
    severity: tuple[SeverityName, ...] = ("warning", "critical")
    trees: tuple[str, ...] = ()
    hours: Text = EMPTY
    zone: Text = UTC
    continue_: bool = False
    escalate: Escalate | None = None


@dataclass(frozen=True)
class Window:
    """A maintenance window that comes every week until it ends: what fits ``match`` is not told during its hours."""

    name: Text
    hours: Text
    until: Text
    match: tuple[Text, ...] = ()
    zone: Text = UTC


@dataclass(frozen=True)
class Digest:
    """One message a day with what was not worth a message of its own. No receivers: none is sent."""

    receivers: tuple[Text, ...] = ()
    severity: tuple[SeverityName, ...] = ("notice",)
    at: Text = MORNING
    zone: Text = UTC


@dataclass(frozen=True)
class Alerts:
    """When and to whom. Times in seconds; the three of grouping as in Alertmanager."""

    group_wait: Seconds = 10.0
    group_interval: Seconds = 300.0
    repeat: Seconds = 4 * 3600.0
    settle: Seconds = 15.0
    group_by: tuple[str, ...] = ("cause",)
    link: str = ""
    runbook: str = ""
    routes: tuple[Route, ...] = ()
    maintenance: tuple[Window, ...] = ()
    digest: Digest = Digest()


DEFAULT = Alerts()


def read_receivers(node: Node, problems: list[Problem]) -> tuple[Receiver, ...]:
    """The receivers of config.yaml: mappings, or plain apprise URLs, which are named ``receiver-1`` and so on."""
    if node.kind != "list":
        problems.append(node.problem("expected a list of receivers", "such as - {name: chat, url_file: /etc/anfl-agent/chat.url}"))
        return ()
    made = [r for number, item in enumerate(node.items, 1) if (r := _receiver(item, number, problems)) is not None]
    seen: set[str] = set()
    for receiver in made:
        if receiver.name in seen and isinstance(receiver.name, Text):
            problems.append(receiver.name.node.problem(f"two receivers are named '{receiver.name}'"))
        seen.add(receiver.name)
    return tuple(made)


def _receiver(node: Node, number: int, problems: list[Problem]) -> Receiver | None:
    if node.kind == "scalar" and isinstance(node.value, str):
        name = Text(f"receiver-{number}")
        name.node = node
        return Receiver(name, url=node.value)
    made = fill(Receiver, node, problems)
    if made is None:
        return None
    given = {key.raw for key, _ in node.pairs}
    name, kind = made.name, made.type
    if "name" not in given:
        name = Text(f"receiver-{number}")
        name.node = node
    elif not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", name):
        problems.append(name.node.problem(f"'{name}' is no name for a receiver", "letters, digits, '-', '_' and '.'"))
    if "type" not in given and "path" in given:
        kind = "file"
    made = replace(made, name=name, type=kind)
    problems += [node.problem(text, help) for text, help in _receiver_mistakes(made, given)]
    return made


def _receiver_mistakes(receiver: Receiver, given: set[str]) -> Iterable[tuple[str, str]]:
    sources = [key for key in ("url", "url_file", "credential") if getattr(receiver, key)]
    if receiver.type == "file":
        if not receiver.path:
            yield "a file receiver needs 'path'", "a file, or '-' for standard output"
        if sources:
            yield f"a file receiver has no '{sources[0]}'", "it needs 'path' only"
        return
    if len(sources) != 1:
        yield f"receiver '{receiver.name}' needs exactly one of url, url_file, credential", "secrets belong into a file"
    if receiver.path:
        yield "'path' is for receivers of type file", ""
    if receiver.type in ("webhook", "alertmanager", "heartbeat") and receiver.url and not re.match(r"https?://", receiver.url):
        yield f"the url of a {receiver.type} begins with http:// or https://", ""
    if receiver.type != "webhook" and (receiver.secret_file or receiver.secret_credential):
        yield "only a webhook's bodies are signed", "leave secret_file and secret_credential out"
    if "every" in given and receiver.type not in ("heartbeat", "alertmanager"):
        yield "'every' is for receivers of type heartbeat and alertmanager", ""
    if not 1 <= receiver.deadline <= 120:
        yield "deadline must be between 1s and 2m", ""


def check(receivers: tuple[Receiver, ...], alerts: Alerts, problems: list[Problem]) -> None:
    """What a shape cannot say: names that exist, matchers, hours, zones and dates that can be read."""
    names = [r.name for r in receivers if r.type != "heartbeat"]
    for route in alerts.routes:
        _check_hours(route.hours, route.zone, problems)
        _check_matchers(route.match, problems)
        _check_names((*route.receivers, *(route.escalate.receivers if route.escalate else ())), names, problems)
    for window in alerts.maintenance:
        _check_hours(window.hours, window.zone, problems)
        _check_matchers(window.match, problems)
        _tried(window.until, partial(parse_until, window.until, window.zone), problems)
        if not window.hours.strip():
            problems.append(window.name.node.problem("a maintenance window needs hours", "such as 'sun 02:00-04:00'"))
    _check_names(alerts.digest.receivers, names, problems)
    _check_hours(EMPTY, alerts.digest.zone, problems)
    _tried(alerts.digest.at, lambda: clock_minutes(alerts.digest.at), problems)


def _check_names(given: tuple[Text, ...], known: list[Text], problems: list[Problem]) -> None:
    for name in given:
        if name not in known:
            mend = did_you_mean(name, known) or (f"there are: {', '.join(known)}" if known else "add it under receivers")
            problems.append(name.node.problem(f"no receiver '{name}' to send to", mend))


def _check_matchers(given: tuple[Text, ...], problems: list[Problem]) -> None:
    for text in given:
        _tried(text, partial(parse_matcher, text), problems)


def _check_hours(hours: Text, zone: Text, problems: list[Problem]) -> None:
    if _tried(zone, lambda: parse_zone(zone), problems):
        _tried(hours, lambda: parse_hours(hours, zone), problems)


def _tried(text: Text, parse: Callable[[], Any], problems: list[Problem]) -> bool:
    """Whether it could be read; a mistake is added with its place."""
    try:
        parse()
    except ValueError as error:
        said, _, mend = str(error).partition("; ")
        node = getattr(text, "node", None)
        problems.append(node.problem(said, mend) if node is not None else Problem("defaults", 0, 0, said, mend))
        return False
    return True
