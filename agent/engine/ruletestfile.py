"""The shape of a file of rule tests (``rules/tests/*.yaml``).

.. code-block:: yaml

    interval: 1s
    cases:
      - name: one place in the code leaks
        trees: [memory]
        input: {"process_anonymous_bytes{pid=1}": 100MiB+1MiBx60, host_memory_available_bytes: 8GiB*61}
        probes: {memray: {leak_share: 0.93, verdict: leak}}
        expect: [{at: 60s, root: memory.python-leak, checks: {steep: true}, possible: [], ruled_out: [memory.page-cache]}]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from agent.dataclass import dataclass
from agent.model import Culprit
from agent.yamlfile import Node, Seconds, Text


@dataclass(frozen=True)
class ProcessFile:
    """What is known of a process; ``subject`` is the pid of the root of its tree (default: itself)."""

    comm: str = "python"
    subject: int | None = None
    cgroup: str | None = None
    unit: str = ""
    container: str = ""
    job: str = ""
    user: str = ""


@dataclass(frozen=True)
class EventFile:
    """Something that happened."""

    at: Seconds
    kind: str
    labels: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    trusted: bool = True


@dataclass(frozen=True)
class ProbeFile:
    """A canned look: its answers, whom it names, or why it could not look."""

    answers: Mapping[Text, Any] = field(default_factory=dict)
    culprits: Mapping[Text, tuple[Culprit, ...]] = field(default_factory=dict)
    because: str = ""
    try_: str = ""


@dataclass(frozen=True)
class ExpectFile:
    """What must hold at a time; only what is written is compared. ``root: none`` means that no cause is named.

    ``causes`` compares ``lo`` (``">= 0.7"``), ``checks`` answers, ``unknown`` names checks or series nobody could judge,
    ``wanted`` the looks that would be taken first, ``culprit`` some keys of the root's first culprit.
    """

    at: Seconds
    state: Literal["ok", "pending", "firing", "resolved", "gone"] | None = None
    root: Text | None = None
    roots: tuple[Text, ...] | None = None
    elsewhere: tuple[Text, ...] | None = None
    consequences: tuple[Text, ...] | None = None
    possible: tuple[Text, ...] | None = None
    ruled_out: tuple[Text, ...] | None = None
    unknown: tuple[Text, ...] = ()
    causes: Mapping[Text, Text] = field(default_factory=dict)
    checks: Mapping[Text, Any] = field(default_factory=dict)
    culprit: Mapping[Text, Any] = field(default_factory=dict)
    wanted: tuple[Text, ...] | None = None
    severity: Literal["notice", "warning", "critical"] | None = None
    verdict: Literal["ok", "warning", "critical", "unknown"] | None = None


@dataclass(frozen=True)
class CaseFile:
    """One story: series, events and canned looks, and what must be said about them.

    ``input`` and ``probes`` are laid over the file's: a series ``_`` is not there, a look ``null`` is not taken.
    """

    name: Text
    expect: tuple[ExpectFile, ...]
    input: Mapping[Text, Text] = field(default_factory=dict)
    trees: tuple[Text, ...] = ()
    target: int | None = None
    processes: Mapping[Text, ProcessFile] = field(default_factory=dict)
    events: tuple[EventFile, ...] = ()
    probes: Mapping[Text, Node] = field(default_factory=dict)
    interval: Seconds | None = None


@dataclass(frozen=True)
class RuleTestFile:
    """A file of rule tests; ``interval`` parts the samples of a series, ``trees`` are the default of its cases.

    ``input`` and ``probes`` are what every case starts from, such as a healthy process: a case says only what differs.
    ``target`` is the default of its cases; 0 is the host.
    """

    cases: tuple[CaseFile, ...]
    interval: Seconds = 1.0
    trees: tuple[Text, ...] = ()
    input: Mapping[Text, Text] = field(default_factory=dict)
    probes: Mapping[Text, Node] = field(default_factory=dict)
    target: int | None = None
