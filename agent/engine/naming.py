"""Incidents and symptoms in a few words."""

from __future__ import annotations

from collections.abc import Mapping

from agent.engine.entities import gpu_name
from agent.engine.graph import Place
from agent.engine.incident import Complaint, Incident, Key
from agent.engine.overlap import place_of
from agent.model import JsonObject


def title_of(incident: Incident) -> str:
    """What is wrong with whom."""
    root = incident.root
    if root is not None:
        place, name = place_of(root["target"]), root["target"].get("name") or ""
        return f"{root['title']}: {(not place.key and _thing(root)) or _whom(place, {}, name)}"
    first = next(iter(incident.active or incident.complaints))
    return f"{first.tree}: {_whom(first.place, dict(first.labels), first.place.labels.get('comm', ''))}"


def _thing(root: JsonObject) -> str:
    """Of the host's own trouble: which part of it, or whose."""
    culprit = next(iter(root["culprits"]), None)
    if culprit is None or culprit["kind"] == "code":
        return ""
    pid = f" (pid {culprit['pid']})" if culprit.get("pid") else ""
    kind = "" if culprit["name"].lower().startswith(f"{culprit['kind']} ") else f"{culprit['kind']} "
    return f"{kind}{culprit['name']}{pid}"


def _whom(place: Place, labels: Mapping[str, str], name: str) -> str:
    known = {**dict(place.key), **labels}
    if "pid" in known:
        return f"{name} (pid {known['pid']})".strip()
    if "uuid" in known or "gpu" in known:
        rest = " ".join(f"{k}={v}" for k, v in labels.items() if k not in ("gpu", "uuid", "pci"))
        return f"{name or gpu_name(known)} {rest}".strip()
    return " ".join(f"{k}={v}" for k, v in known.items()) or name or "this host"


def sentence(c: Complaint) -> str:
    """A symptom with its figures."""
    return f"{name_of(c.key)}: {c.text}" if c.text else name_of(c.key)


def name_of(key: Key) -> str:
    """A symptom by its tree and labels."""
    tree, labels = key
    return f"{tree} {' '.join(f'{k}={v}' for k, v in labels)}".strip()
