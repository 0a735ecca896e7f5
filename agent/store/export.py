"""A stretch of the recording as one file that can be mailed, with names left out if asked."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace

from agent.dataclass import dataclass
from agent.errors import AgentError
from agent.host.whole import whole
from agent.model import Event
from agent.store import recfile
from agent.store.recording import Key, Recording
from agent.store.rewrite import Rewriting

SECRET_LABELS = frozenset({"comm", "user", "job", "unit", "container", "cgroup"})
"""Labels that name programs, people and what they run."""


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

    def key(self, key: Key) -> Key:
        """A series' labels without names."""
        name, known = key
        return name, tuple((k, self._stand_in(k, v) if k in SECRET_LABELS and v else v) for k, v in known)

    def event(self, event: Event) -> Event:
        """An event without the names that stood in labels so far."""
        labels = tuple((k, self._stand_in(k, v) if k in SECRET_LABELS and v else v) for k, v in event.labels)
        text = event.text
        for name in sorted((n for n in self._known if n in text), key=len, reverse=True):
            text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", self._known[name], text)
        fields = {k: self._known.get(v, v) if isinstance(v, str) else v for k, v in event.fields.items()}
        return replace(event, labels=labels, text=text, fields=fields)

    def _stand_in(self, kind: str, value: str) -> str:
        found = self._known.get(value)
        if found is None:
            digest = hashlib.blake2s(value.encode(), key=self._salt, digest_size=4).hexdigest()
            found = self._known[value] = f"{kind}-{digest}"
        return found


def export(recording: Recording, path: str, since: float, until: float, *, redact: bool = False, host: str = "") -> Exported:
    """Write ``(since, until]`` to a new file. AgentError if there is nothing, or the file is there already or cannot be written."""
    hide = Redaction()
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
