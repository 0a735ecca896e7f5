"""What ended an incident or is to be done about it, and what keeps it from coming back."""

from __future__ import annotations

from collections.abc import Mapping

from agent.engine.trees import Cause
from agent.model import JsonObject
from agent.reports.document import Json
from agent.reports.questions import look

SAID = frozenset({"comment", "assigned", "acknowledged", "closed"})
"""Words of people in a timeline; what a look that somebody asked for brought is none."""
ENDINGS = {
    "resolved": "Every symptom is known to be over.",
    "gone": "What it was about has ended, such as the process.",
    "merged": "It is part of another incident.",
    "closed": "A person closed it.",
}


def resolution(found: Json) -> list[JsonObject]:
    """What ended it, or, while it is open, what is to be done: ``text`` and the ``command`` for it."""
    i = found["incident"]
    done = [
        _step(f"Playbook {r['playbook']} was carried out and its effect verified.")
        for r in found["actions"]
        if r["phase"] == "verified"
    ]
    done += [_step(f"{e['who']}: {e['text']}") for e in i["timeline"] if e["who"] and e["text"] and e["what"] in SAID]
    if i["closed"]:
        into = f" See incident {i['merged_into']}." if i["merged_into"] else ""
        by = "" if done else " No action of a person or a playbook is known to have ended it."
        return [*done, _step(f"{ENDINGS.get(i['ending'], i['ending'] or '')}{into}{by}"), *_lasting(i)]
    root = next(iter(i["causes"]), None)
    if root is None:
        return [*done, _step("It is open and its cause is not known. Look closer while it lasts.", look(i))]
    steps = [_step(f"To be done: {root['advice']}")] if root["advice"] else []
    waiting = [r for r in found["actions"] if r["phase"] == "proposed"]
    steps += [_step(f"Playbook {r['playbook']} waits for a yes.", f"anfl-agent approve {r['id']}") for r in waiting]
    if root.get("playbook") and not found["actions"]:
        steps.append(_step(f"Playbook {root['playbook']} can do it.", f"anfl-agent playbooks show {root['playbook']}"))
    return [*done, *steps, *_procedure(root)]


def _lasting(i: Json) -> list[JsonObject]:
    """That a symptom ended mends no cause: what its rule advises stays to be done unless a person says it was."""
    root = next(iter(i["causes"]), None)
    if root is None or i["ending"] == "merged":
        return []
    return [_step(f"If it has not been done: {root['advice']}")] if root["advice"] else []


def _procedure(root: Json) -> list[JsonObject]:
    return [_step(f"Step of the procedure: {', '.join(root['sop'])}.")] if root.get("sop") else []


def prevention(found: Json, rules: Mapping[str, Cause]) -> list[JsonObject]:
    """What keeps it from coming back: what the rule of each cause says, and what its history asks for."""
    i = found["incident"]
    known = [(c["id"], rules[c["id"]].prevent) for c in i["causes"] if c["id"] in rules and rules[c["id"]].prevent]
    steps = [_step(f"{name}: {text}" if len(known) > 1 else text) for name, text in known]
    if count := len(found["alike"]):
        others = "1 other incident that is" if count == 1 else f"{count} other incidents that are"
        steps.append(_step(f"The same cause was named in {others} kept: mend it for good."))
    if i["episode"] > 1:
        steps.append(_step(f"It came {i['episode']} times: what ended it did not last."))
    return steps + _unhelped(found)


def _unhelped(found: Json) -> list[JsonObject]:
    """Why nothing and nobody stepped in."""
    failed = [r["playbook"] for r in found["actions"] if r["phase"] in ("failed", "escalated")]
    steps = [_step(f"Playbook {name} did not help; look at its steps before it is tried again.") for name in dict.fromkeys(failed)]
    denied = dict.fromkeys(r["playbook"] for r in found["actions"] if r["phase"] == "denied")
    if denied and len(denied) == len({r["playbook"] for r in found["actions"]}):
        what = f"{', '.join(denied)} {'was' if len(denied) == 1 else 'were'} refused"
        steps.append(_step(f"No playbook could help: {what}. Decide which may act here.", "anfl-agent playbooks list"))
    lost = sorted({m["to"] for m in found["messages"] if m["error"] and not m["arrived"]})
    steps += [_step(f"Messages to {to} did not arrive.", "anfl-agent alerts list") for to in lost]
    if not found["messages"]:
        steps.append(_step("Nobody is known to have been told: see that there is a receiver.", "anfl-agent alerts list"))
    return steps


def _step(text: str, command: str = "") -> JsonObject:
    return {"text": text, "command": command}
