"""``happened(kernel{kind='oom_kill'}, 15m)``: how often something was reported, by the reports' own times.

Reports come in bursts (one fault makes dozens of lines), so those less than :data:`BURST_S` behind the one before count as one.
``since`` with the same arguments is how many seconds ago the newest was, endless if there is none. Only reports of trusted origin
count. While nobody reads the source, nothing is known; silence of a source that is read is 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from agent.dataclass import dataclass
from agent.engine.context import GPU_LABELS, Context, Run, slot
from agent.engine.rounds import AnswerValue, Instance, Round
from agent.model import Event, Labels

BURST_S = 15.0
"""Repeats of a graphics exception within 15 s are one fault (NVSentinel's burst window for Xid 13)."""

LONGEST_S = 7 * 86400.0
"""The longest window of a condition."""

MOST_BLAMED = 5


@dataclass(frozen=True)
class Source:
    """A kind of event that rules may ask for: its fields, and the series that flows while it is read."""

    fields: frozenset[str]
    read_by: str


_WHAT = ("kind", "xid", "sxid", "class", "level", "severity", "severity_word", "fatal", "known", "scope", "error", "recovery_to")
_WHOM = ("gpu", "uuid", "pci", "nvswitch", "link", "pid", "process", "memcg")
_WHERE = ("device", "iface", "driver", "mount", "server", "fs", "cpu", "mc", "dimm")
_KERNEL = frozenset({*_WHAT, *_WHOM, *_WHERE})
"""Fields of the events of the kernel log."""

SOURCES: Mapping[str, Source] = {
    "kernel": Source(
        _KERNEL,
        "kernel_log_records_total",
    ),
    "agent": Source(frozenset({"kind"}), "agent_state_durable"),
}
"""By the event's kind: ``kernel``, the kernel log, one event for each record that means something; ``agent``, its own life."""

_SAME = ("uuid", "pci", "pid")
"""Fields that say whom an event is about; labels of the same name in an instance must agree."""

_AS_LABEL = {"iface": "interface", "memcg": "cgroup", "server": "peer", "process": "comm", "mount": "mountpoint"}


@dataclass(frozen=True)
class Asked:
    """What is asked for: events of ``kind`` whose fields have one of the values; ``happened_elsewhere``: on other GPUs than the
    instance's; ``since``: how long ago the newest was."""

    text: str
    kind: str
    where: tuple[tuple[str, frozenset[str]], ...]
    window: float
    function: str = "happened"


def happened(asked: Asked) -> Run:
    """The closure: how many bursts, or seconds since the newest; the newest first to blame."""
    source = SOURCES[asked.kind].read_by
    elsewhere = asked.function == "happened_elsewhere"

    def run(context: Context) -> AnswerValue:
        if context.round.last(source, ()) is None:
            return context.note(asked.text, None, "", source)
        found = [e for e in _matching(asked, context.round) if _fits(e, context.instance, elsewhere)]
        context.blame(labels for e in reversed(found[-MOST_BLAMED:]) for labels in _blamed(e, context.instance))
        if asked.function == "since":
            return context.note(asked.text, context.round.now - found[-1].time if found else math.inf, "seconds", source)
        return context.note(asked.text, float(bursts([e.time for e in found])), "", source)

    return run


def bursts(times: Sequence[float]) -> int:
    """How many groups the moments (in order) fall into."""
    return sum(b - a > BURST_S for a, b in pairwise(times)) + bool(times)


def _matching(asked: Asked, round: Round) -> list[Event]:
    """All events asked for, on whatever; looked up once a round."""
    key = ("happened", asked.kind, asked.where, asked.window)
    found: list[Event] | None = round.memo.get(key)
    if found is None:
        groups, begin = _groups(asked.kind, round), round.now - asked.window
        kinds = next((values for name, values in asked.where if name == "kind"), groups.keys())
        rest = [(name, values) for name, values in asked.where if name != "kind"]
        some = [e for kind in kinds for e in groups.get(kind, ()) if e.time > begin]
        found = [e for e in some if all(known(e, name) in values for name, values in rest)]
        round.memo[key] = found = sorted(found, key=lambda e: e.time)
    return found


def _groups(kind: str, round: Round) -> dict[str, list[Event]]:
    """Trusted events by their own kind; made anew only when there is a new one."""
    key = ("happenings", kind)
    made: dict[str, list[Event]] | None = round.memo.get(key)
    if made is None:
        events = round.view.events(kind, LONGEST_S)
        made = round.memo[key] = round.lasting(key, (len(events), events[-1] if events else None), lambda: _grouped(events))
    return made


def _grouped(events: Sequence[Event]) -> dict[str, list[Event]]:
    groups: dict[str, list[Event]] = {}
    for event in events:
        if event.trusted:
            groups.setdefault(str(event.fields.get("kind", "")), []).append(event)
    return groups


def known(event: Event, name: str) -> str:
    """A label or field as text, "" for none; whole numbers without a point, truths in small letters."""
    value: object = dict(event.labels).get(name) or event.fields.get(name)
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) and value.is_integer() else str(value)


def _fits(event: Event, instance: Instance, elsewhere: bool) -> bool:
    """Is it about the instance? About the host is everything; about a GPU or process what names it."""
    pairs = [(name, known(event, name), instance.labels[name]) for name in _SAME if instance.labels.get(name)]
    shared = [(name, has, wanted) for name, has, wanted in pairs if has]
    same = all(_agree(name, has, wanted, instance) for name, has, wanted in shared)
    if elsewhere:
        return bool(shared) and not same
    return same and (bool(shared) or not pairs)


def _agree(name: str, has: str, wanted: str, instance: Instance) -> bool:
    if name == "pid":
        return has == wanted or has in instance.own_pids
    return slot(has) == slot(wanted) if name == "pci" else has == wanted


def _blamed(event: Event, instance: Instance) -> Iterator[Labels]:
    """What it names, in the labels of series, and the cgroup by itself; ``says`` is its text. What it says about an instance's
    GPU is about all of it."""
    gpu = {name: instance.labels[name] for name in GPU_LABELS if instance.labels.get(name)}
    named = {**dict(_named(event)), **gpu}
    yield tuple(sorted(named.items()))
    if named.get("cgroup") and named.get("pid"):
        yield (("cgroup", named["cgroup"]),)


def _named(event: Event) -> Iterator[tuple[str, str]]:
    seen = {**{k: known(event, k) for k in event.fields}, **dict(event.labels)}
    for name, value in seen.items():
        if value and name in SOURCES[event.kind].fields:
            yield _AS_LABEL.get(name, name), value
    if event.text:
        yield "says", event.text
