"""Playbooks as YAML writes them: what may be done about which cause, to what, how often, and how one knows that it helped."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, replace
from types import MappingProxyType
from typing import Any, Literal

from agent.dataclass import dataclass
from agent.errors import Problem, Problems
from agent.host.reach import Class
from agent.permission import Role
from agent.yamlfile import Node, Seconds, Share, Text, did_you_mean, fill, parse

Mode = Literal["dry-run", "propose", "auto"]
CLASSES: tuple[Class, ...] = ("observe", "reversible", "disruptive", "destructive")
MODES: tuple[Mode, ...] = ("dry-run", "propose", "auto")
EMPTY = Text("")


@dataclass(frozen=True)
class Who:
    """One line of an allow or deny list: every key given must fit. ``*`` and ``?`` are wild; ``uid`` is a number."""

    unit: str = ""
    cgroup: str = ""
    user: str = ""
    uid: int | None = None
    comm: str = ""
    container: str = ""
    gpu: str = ""


@dataclass(frozen=True)
class Targets:
    """What may be touched: who suffers, or the process that is to blame (``who: culprit``), never the other for it.

    ``deny`` wins; an empty ``allow`` allows nothing, so that nobody is surprised by a new playbook."""

    who: Literal["sufferer", "culprit"] = "sufferer"
    kinds: tuple[Literal["process", "unit", "cgroup", "gpu", "host"], ...] = ("process",)
    allow: tuple[Who, ...] = ()
    deny: tuple[Who, ...] = ()


@dataclass(frozen=True)
class Needs:
    """When it applies: a root cause among ``causes`` with ``lo`` at least ``confidence``, judged within ``max_age`` seconds.

    ``data: complete``: no symptom of the target may stand without data.
    """

    causes: tuple[Text, ...]
    confidence: Share = 0.7
    max_age: Seconds = 120.0
    data: Literal["complete", "any"] = "complete"


@dataclass(frozen=True)
class Count:
    """At most ``count`` in ``per`` seconds."""

    count: int = 2
    per: Seconds = 6 * 3600.0


@dataclass(frozen=True)
class Limits:
    """How often. ``group``: playbooks that do the same kind of thing share limits. ``cooldown`` counts from the end of one."""

    group: str = ""
    cooldown: Seconds = 1800.0
    max: Count = Count()
    attempts_per_incident: int = 2


@dataclass(frozen=True)
class Approval:
    """Who must agree in mode ``propose``: so many different people of at least that role, before the proposal expires.

    ``totp``: each with a code of their authenticator, also at the host's own socket.
    """

    role: Role = "approver"
    count: int = 1
    expires: Seconds = 600.0
    totp: bool = False


@dataclass(frozen=True)
class Step:
    """One action. ``with``: its settings; ``${target.pid}``, ``${target.unit}`` … are filled in from the target."""

    do: Text
    with_: Node | None = None
    timeout: Seconds = 60.0


@dataclass(frozen=True)
class Verify:
    """How one knows: the symptom must be over, with data, for ``settle`` seconds, and that ``within`` seconds of the last step.

    Unknown at the end is never success: it escalates. With ``of: effect`` only what the steps did is looked at: a node that is
    drained has done its part, although its GPU is as broken as before.
    """

    of: Literal["symptom", "effect"] = "symptom"
    settle: Seconds = 60.0
    within: Seconds = 600.0
    on_fail: Literal["next", "stop"] = "next"


@dataclass(frozen=True)
class Playbook:
    """One playbook. ``next`` is the rung to climb when it did not help; ``sop`` names lines of the operating procedure."""

    playbook: Text
    title: str
    class_: Class
    needs: Needs
    steps: tuple[Step, ...]
    mode: Mode = "dry-run"
    target: Targets = Targets()
    limits: Limits = Limits()
    approval: Approval = Approval()
    verify: Verify = Verify()
    next: Text = EMPTY
    sop: tuple[str, ...] = ()
    advice: str = ""
    digest: str = field(default="", compare=False)

    @property
    def id(self) -> str:
        """Its name."""
        return str(self.playbook)

    @property
    def group(self) -> str:
        """Whose limits it shares."""
        return self.limits.group or self.id

    def settings(self, step: Step) -> Mapping[str, Any]:
        """A step's settings as plain values, not yet filled in."""
        return {} if step.with_ is None else dict(step.with_.plainly())


@dataclass(frozen=True)
class ActionSpec:
    """What the loader must know of an action: its class, whether it can be undone, and a check of its settings."""

    class_: Class
    undoable: bool
    kinds: tuple[str, ...]
    check: Callable[[Node | None], list[Problem]]


def load_playbooks(
    texts: Mapping[str, str],
    actions: Mapping[str, ActionSpec],
    causes: Iterable[str],
    overlay: Mapping[str, str] = MappingProxyType({}),
    *,
    overlay_only: bool = False,
) -> tuple[dict[str, Playbook], list[Problem]]:
    """All playbooks of these files (path → text), and every mistake in them. One of ``overlay`` takes the place of its namesake.

    ``overlay_only``: a site that has rules of its own need not have every cause that the others are for.
    """
    known, found, problems = frozenset(causes), dict[str, Playbook](), list[Problem]()
    theirs: dict[str, bool] = {}
    for path, text in (*texts.items(), *overlay.items()):
        try:
            node = parse(text, path)
        except Problems as wrong:
            problems += wrong.problems
            continue
        one = fill(Playbook, node, problems)
        if one is None:
            continue
        if one.id in found and (path in overlay) == theirs[one.id]:
            problems.append(one.playbook.node.problem(f"playbook '{one.id}' is there twice"))
        problems += _problems(one, actions, known if path in overlay or not overlay_only else None)
        theirs[one.id] = path in overlay
        found[one.id] = replace(one, digest=hashlib.sha256(text.encode()).hexdigest()[:16])
    for one in found.values():
        problems += _ladder(one, found)
    return found, problems


def _problems(one: Playbook, actions: Mapping[str, ActionSpec], causes: frozenset[str] | None) -> Iterable[Problem]:
    for cause in one.needs.causes:
        if causes is not None and cause not in causes:
            yield cause.node.problem(f"unknown cause '{cause}'", did_you_mean(cause, causes))
    if not one.steps:
        yield one.playbook.node.problem("a playbook needs steps")
    for step in one.steps:
        spec = actions.get(step.do)
        if spec is None:
            yield step.do.node.problem(f"unknown action '{step.do}'", did_you_mean(step.do, actions))
            continue
        yield from spec.check(step.with_)
        if wrong := [kind for kind in one.target.kinds if kind not in spec.kinds]:
            yield step.do.node.problem(f"'{step.do}' acts on {', '.join(spec.kinds)}, not on {', '.join(wrong)}")
        if CLASSES.index(spec.class_) > CLASSES.index(one.class_):
            yield step.do.node.problem(
                f"'{step.do}' is {spec.class_}, the playbook says {one.class_}", f"write class: {spec.class_}"
            )
        if one.class_ == "destructive" and one.mode == "auto" and not spec.undoable:
            yield step.do.node.problem(
                f"'{step.do}' cannot be undone: a destructive playbook with it is never automatic", "mode: propose"
            )


def _ladder(one: Playbook, all_: Mapping[str, Playbook]) -> Iterable[Problem]:
    if not one.next:
        return
    if one.next not in all_:
        yield one.next.node.problem(f"unknown playbook '{one.next}'", did_you_mean(one.next, all_))
        return
    seen, at = {one.id}, all_.get(one.next)
    while at is not None:
        if at.id in seen:
            yield one.next.node.problem(f"'{one.id}' leads back to itself through '{at.id}'")
            return
        seen.add(at.id)
        at = all_.get(at.next) if at.next else None


def allowed_mode(one: Playbook, ceiling: Mode) -> Mode:
    """The mode in force: the playbook's own, but no more than this host allows."""
    return MODES[min(MODES.index(one.mode), MODES.index(ceiling))]
