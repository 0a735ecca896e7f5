"""A stretch of the recording as one file that can be mailed, with names left out if asked."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from agent.dataclass import dataclass
from agent.errors import AgentError
from agent.host.whole import whole
from agent.model import ENTITY_ENDED, Event
from agent.store import recfile
from agent.store.part import Part
from agent.store.recording import Key, Recording
from agent.store.rewrite import Rewriting

SECRET_LABELS = frozenset({"comm", "user", "job", "unit", "container", "cgroup"})
"""Labels that name programs, people and what they run."""
NAMED = frozenset({"process_started", ENTITY_ENDED})
"""Events of a process whose text is its program's name."""
KEPT = frozenset(
    {"answers", "settings", "file", "function", "id", "check", "probe", "source", "kind", "severity", "verdict", "answer"}
)
"""What of looks and answers stays as it is: places in source files are what one looks for, and by the words a replay judges."""


@dataclass(frozen=True)
class Exported:
    """What an export holds."""

    path: str
    bytes: int
    records: int


class Redaction:
    """Puts the same short stand-in in place of the same name, everywhere in one export; another export has other ones."""

    def __init__(self) -> None:
        self._salt = os.urandom(16)
        self._known: dict[str, str] = {}

    def learn(self, part: Part) -> None:
        """Every name that a record holds: it may stand in words before it stands in a label, or in words alone."""
        for key in part.decoder.names.keys().values():
            self.key(key)
        for event in part.events:
            labelled = dict(event.labels)
            names = [*((k, v) for k, v in labelled.items() if k in SECRET_LABELS), ("comm", event.fields.get("process"))]
            if event.kind in NAMED and "pid" in labelled:
                names.append(("comm", event.text))
            target = _object(event.text).get("target")
            if isinstance(target, dict):
                names += [("comm" if k == "name" else k, v) for k, v in target.items() if k == "name" or k in SECRET_LABELS]
            for kind, name in names:
                if isinstance(name, str) and name:
                    self._stand_in(kind, name)

    def key(self, key: Key) -> Key:
        """A series' labels without names."""
        name, known = key
        return name, tuple((k, self._stand_in(k, v) if k in SECRET_LABELS and v else v) for k, v in known)

    def event(self, event: Event) -> Event:
        """An event without the names that were learnt."""
        labels = tuple((k, self._stand_in(k, v) if k in SECRET_LABELS and v else v) for k, v in event.labels)
        body = _object(event.text)
        text = json.dumps(self._told(body), separators=(",", ":")) if body else self._said(event.text)
        fields = {k: self._known.get(v, v) if isinstance(v, str) else v for k, v in event.fields.items()}
        return replace(event, labels=labels, text=text, fields=fields)

    def _told(self, value: Any) -> Any:
        """A part of a look or an answer."""
        if isinstance(value, str):
            return self._said(value)
        if isinstance(value, list):
            return [self._told(each) for each in value]
        if isinstance(value, dict):
            return {k: v if k in KEPT else self._told(v) for k, v in value.items()}
        return value

    def _said(self, text: str) -> str:
        """Words. Names that are mere figures stay in them: nobody could tell which of the figures are names."""
        if text in self._known:
            return self._known[text]
        for name in sorted((n for n in self._known if n in text and not n.isdecimal()), key=len, reverse=True):
            text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", self._known[name], text)
        return text

    def _stand_in(self, kind: str, value: str) -> str:
        found = self._known.get(value)
        if found is None:
            digest = hashlib.blake2s(value.encode(), key=self._salt, digest_size=4).hexdigest()
            found = self._known[value] = f"{kind}-{digest}"
        return found


def _object(text: str) -> dict[str, Any]:
    """What a text holds if it is a JSON object; empty else."""
    try:
        found = json.loads(text) if text.startswith("{") else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def export(recording: Recording, path: str, since: float, until: float, *, redact: bool = False, host: str = "") -> Exported:
    """Write ``(since, until]`` to a new file. AgentError if there is nothing, or the file is there already or cannot be written."""
    hide = Redaction()
    for part in recording.parts(since, until) if redact else ():
        hide.learn(part)
    rename: Callable[[Key], Key] = hide.key if redact else lambda key: key
    retell: Callable[[Event], Event] = hide.event if redact else lambda event: event
    packer = recfile.Packer()
    rewriting = Rewriting(packer, rename=rename, retell=retell)
    about = {"format": recfile.FORMAT, "host": "redacted" if redact else host, "created": since, "export": True, "redacted": redact}
    count = 0
    try:
        with whole(path, fresh=True) as out:
            out.write(packer.record(recfile.FILE, json.dumps(about).encode(), since, since))
            for record in rewriting.records(recording.parts(since, until), since, until):
                out.write(record)
                count += 1
            out.write(packer.record(recfile.END, json.dumps({"reason": "export"}).encode(), until, until))
            size = out.tell()
            if not count:
                raise AgentError("nothing was recorded in that time", help="anfl-agent record list", exit_code=3)
    except FileExistsError:
        raise AgentError(f"{path} exists already", help="name another file") from None
    except OSError as error:
        raise AgentError(f"cannot write {path}: {error.strerror}", help="name another file") from None
    return Exported(path, size, count)
