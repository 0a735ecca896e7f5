"""Values as people read them, conditions with the figures they saw, and label sets as culprits."""

from __future__ import annotations

import re
from collections.abc import Mapping

from agent.engine.entities import Entities, gpu_name
from agent.engine.expr import Compiled
from agent.engine.rounds import AnswerValue, Instance, Result, Round, Term
from agent.model import Culprit, Labels

_STEPS = ("B", "KiB", "MiB", "GiB", "TiB")
_SIGNS = {"hertz": "Hz", "joules": "J", "watts": "W", "celsius": "°C"}
_PREFIXES = {"hertz": ("", "k", "M", "G", "T"), "joules": ("", "k", "M", "G", "T")}
"""Units whose figures are too large to read as they are; boards' watts are told in watts, as vendors do."""
_KINDS = {
    "pid": "process",
    "nvswitch": "device",
    "link": "link",
    "uuid": "gpu",
    "mountpoint": "mount",
    "interface": "link",
    "device": "device",
    "dimm": "device",
    "pci": "device",
    "peer": "peer",
    "path": "path",
    "cgroup": "cgroup",
    "unit": "unit",
}
"""Label → kind of culprit; the first that a label set has decides."""


_LISTS = re.compile(r"'([^'|]*\|[^'|]*\|[^'|]*\|[^'|]*\|[^']*)'")
"""Five names and more in one pattern of labels."""
_ALONE, _SHARE = re.compile(r"(?:^|\(|\band|\bor|\bnot)\s*$"), re.compile(r"\s*[<>=!]=?\s*[\d.]+\s*%(?!\s*[*/])")
"""What stands before and behind a plain number that is compared with a share: seconds per second, say."""
_GROUPS = {"(", "and(", "or(", "not("}


def figure(value: AnswerValue, unit: str = "") -> str:
    """``3.1 MiB/s``, ``93 %``, ``2.1 min``, ``1.98 GHz``, ``0.2/s``, ``12.4``; None is ``unknown``."""
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return f"'{value}'"
    base, slash, per = unit.partition("/")
    if value in (float("inf"), float("-inf")):
        return "never" if base == "seconds" else str(value)
    return _amount(value, "" if base == "1" else base) + (f"/{'s' if per == 'second' else per}" if slash else "")


def _amount(value: float, base: str) -> str:
    if base == "ratio":
        if 0 < abs(value) < 1e-4:
            return "under 0.01 %"
        return f"{_short(value * 100)} %"
    if base == "bytes":
        step = 0
        while abs(value) >= 1024 and step < len(_STEPS) - 1:
            value, step = value / 1024, step + 1
        return f"{_short(value)} {_STEPS[step]}"
    if base == "seconds":
        return _seconds(value)
    if base in _PREFIXES:
        return _scaled(value, _PREFIXES[base], _SIGNS[base])
    return f"{_short(value)} {_SIGNS.get(base, base)}".rstrip()


def _scaled(value: float, prefixes: tuple[str, ...], sign: str) -> str:
    """With three digits: clocks differ in the second behind the point."""
    step = 0
    while abs(value) >= 999.5 and step < len(prefixes) - 1:
        value, step = value / 1000, step + 1
    return f"{value:.0f} {prefixes[step]}{sign}" if abs(value) >= 100 else f"{value:.3g} {prefixes[step]}{sign}"


def _seconds(value: float) -> str:
    size = abs(value)
    if 0 < size < 1:
        return f"{_short(value * 1000)} ms"
    if size < 120:
        return f"{_short(value)} s"
    if size < 7200:
        return f"{_short(value / 60)} min"
    return f"{_short(value / 3600)} h" if size < 172800 else f"{_short(value / 86400)} d"


def _short(value: float) -> str:
    """Three digits at most behind a large number, no trailing zeros."""
    size = abs(value)
    text = f"{value:.0f}" if size >= 100 else f"{value:.1f}" if size >= 1 else f"{value:.2g}"
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def said(condition: Compiled, result: Result) -> str:
    """The condition with each term's value put behind it: ``grow(process_anonymous_bytes, 30s) = 3.1 MiB/s > 2MiB / 1m``."""
    text = condition.text
    calls, shown, rest = _calls(text), dict[int, str](), []
    for term in result.terms:
        spots = [m for m in _spots(term, text) if not _inside(m.span(), calls)]
        free = [m for m in spots if m.end() not in shown]
        if free:
            shown[free[0].end()] = f" = {figure(term.value, _unit_at(free[0], term))}"
        elif not spots:
            rest.append(f"{term.text} = {figure(term.value, term.unit)}")
    for end in sorted(shown, reverse=True):
        text = text[:end] + shown[end] + text[end:]
    return _LISTS.sub(_shortened, text) + (f" ({'; '.join(rest)})" if rest else "")


def unit_in(condition: Compiled, term: Term) -> str:
    """In which unit a condition's term is told: a plain number that is compared with a share is one."""
    return next((_unit_at(spot, term) for spot in _spots(term, condition.text)), term.unit)


def _spots(term: Term, text: str) -> list[re.Match[str]]:
    return list(re.finditer(rf"(?<!\w){re.escape(term.text)}(?![\w({{])", text))


def _unit_at(spot: re.Match[str], term: Term) -> str:
    alone = not term.unit and _ALONE.search(spot.string[: spot.start()]) and _SHARE.match(spot.string, spot.end())
    return "ratio" if alone else term.unit


def _shortened(found: re.Match[str]) -> str:
    """A long list of kinds is known from the rules; a reader needs to see that it is one."""
    first, *others = found[1].split("|")
    return f"'{first}|{others[0]}|… {len(others) - 1} more'"


def holding(condition: Compiled, round: Round, instance: Instance) -> str:
    """The first alternative of a condition that holds, as :func:`said` puts it: the others have nothing to do with it."""
    for part in condition.alternatives:
        result = part.evaluate(round, instance)
        if result.value is True:
            return said(part, result)
    return said(condition, condition.evaluate(round, instance))


def _calls(text: str) -> list[tuple[int, int]]:
    """The outermost calls of a condition."""
    found, open_ = list[tuple[int, int]](), list[int]()
    for match in re.finditer(r"\w*\(|\)", text):
        if match.group() != ")":
            open_.append(-1 if match.group() in _GROUPS else match.start())
        elif open_ and (start := open_.pop()) >= 0 and all(at < 0 for at in open_):
            found.append((start, match.end()))
    return found


def _inside(span: tuple[int, int], calls: list[tuple[int, int]]) -> bool:
    return any(start <= span[0] and span[1] <= end and (start, end) != span for start, end in calls)


def culprit(labels: Labels, entities: Entities, term: Term | None = None, unit: str = "") -> Culprit | None:
    """Who a label set stands for; ``term`` is the value that singled it out, told in ``unit`` if it has none of its own; ``says``
    among the labels is what was reported."""
    named = dict(labels)
    label = next((k for k in _KINDS if named.get(k)), None)
    if label is None:
        return None
    if label == "pci" and "uuid" in named:  # a GPU the kernel knows and NVML does not
        label, named = "uuid", {**named, "uuid": ""}
    name, pid, value = named[label], None, None
    if label == "pid":
        pid = int(name) if name.isdecimal() else None
        name = entities.info.get(name, {}).get("comm") or named.get("comm") or name
    elif label == "uuid":
        name = _whole_gpu(named)
    elif label == "nvswitch":
        name = f"NVSwitch {name}" + (f" link {named['link']}" if named.get("link") else "")
    elif label == "link" and (named.get("uuid") or named.get("pci")):
        name = f"link {name} of {_whole_gpu(named)}"
    share = rate = None
    if term is not None and isinstance(term.value, float | int) and not isinstance(term.value, bool):
        value = float(term.value)
        share = value if term.unit == "ratio" else None
        rate = value if term.unit.endswith("/second") else None
    where = f"on {gpu_name(named)}" if label == "pid" and named.get("uuid") else ""
    detail = figure(value, term.unit or unit) if term is not None and value is not None else named.get("says", where)
    uuid, pci = named.get("uuid") or None, named.get("pci") or None
    return Culprit(_KINDS[label], name, pid=pid, uuid=uuid, pci=pci, share=share, rate=rate, detail=detail)


def _whole_gpu(named: Mapping[str, str]) -> str:
    """``GPU 3 (GPU-3efd…, 0000:28:00.0)``: whoever has to find the board needs all three."""
    more = [named[k] for k in ("uuid", "pci") if named.get(k) and named[k] not in gpu_name(named)]
    return gpu_name(named) + (f" ({', '.join(more)})" if more else "")


def number(terms: tuple[Term, ...]) -> float | None:
    """The first figure among a condition's terms: how steep, how full, how long."""
    return next((float(t.value) for t in terms if isinstance(t.value, float | int) and not isinstance(t.value, bool)), None)


def names_in(condition: Compiled, known: Mapping[str, object] | frozenset[str]) -> list[str]:
    """The known names a condition uses, in the order it mentions them."""
    found = [w for w in re.findall(r"[A-Za-z_]\w*", condition.text) if w in known]
    return list(dict.fromkeys(found))
