"""The notifier: a process that sends through apprise, and nothing else. The only importer of apprise.

apprise cannot be interrupted: a sending that hangs keeps its thread, whatever the caller waits for. So it lives here, where it can
be killed. One JSON line a job in, one out; every job has a thread of its own, and the process ends with its standard input.
Addresses come in jobs, never as arguments; answers and logs hold none of them.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Mapping
from typing import Any, cast

PR_SET_PDEATHSIG = 1
CHATS = ("slack", "mmost", "discord", "tgram", "matrix", "rocket", "gchat", "msteams", "workflow", "zulip", "webex", "guilded")
TYPES = {"critical": "failure", "warning": "warning", "notice": "info", "resolved": "success"}
HOPELESS = frozenset({400, 401, 403, 404, 405, 410})
_STATUS = re.compile(r"error=(\d{3})\b")
_WRITING = threading.Lock()


def main() -> None:
    """Serve standard input until it ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    out = os.dup(1)
    os.dup2(2, 1)  # nothing that a library prints may look like an answer
    logging.basicConfig(handlers=[logging.NullHandler()])
    threading.Thread(target=_warm_up, daemon=True).start()
    for line in sys.stdin:
        job = json.loads(line)
        threading.Thread(target=_serve, args=(job, out), daemon=True).start()
    os._exit(0)  # threads that hang are not waited for


def _warm_up() -> None:
    """The first address loads all plug-ins of apprise; better before the first job than in it."""
    import apprise

    apprise.Apprise().add("json://localhost")


def _serve(job: Mapping[str, Any], out: int) -> None:
    try:
        answer = deliver(job)
    except Exception as error:  # whatever a plug-in of apprise does, the asker is told; the text may hold an address
        answer = {"ending": "retry", "why": f"apprise failed: {type(error).__name__}"}
    with _WRITING:
        os.write(out, json.dumps({**answer, "id": job["id"]}).encode() + b"\n")


def deliver(job: Mapping[str, Any]) -> dict[str, Any]:
    """Send one message to one address: how it ended and why, without the address."""
    import apprise

    logging.getLogger("apprise").setLevel(logging.WARNING)  # at DEBUG it prints whole addresses
    asset = apprise.AppriseAsset(app_id="anfl-agent", app_desc="node health", storage_mode="memory", secure_logging=True)
    post = apprise.Apprise(asset=asset)
    if not post.add(job["url"]):
        return {"ending": "hopeless", "why": "apprise does not understand this address"}
    service = cast(Any, post[0])
    _adjust(service, job)
    body, declared = form(service, job["format"])
    result = cast(Any, post).notify(
        body=job["bodies"][body],
        title=job["title"],
        body_format=declared,
        notify_type=TYPES.get(job["type"], "info"),
        attach=job["attach"] if job["attach"] and getattr(service, "attachment_support", False) else None,
    )
    if result:
        return {"ending": "done", "why": "", "targets": len(service)}
    return _failure(result)


def form(service: Any, wanted: str) -> tuple[str, str]:
    """Which body it gets and what apprise is told that is: HTML for mail, Markdown for chats, else what the service likes best."""
    kinds = service.notify_format if isinstance(service.notify_format, tuple) else (service.notify_format,)
    formats = [str(kind.value) for kind in kinds]
    names = [str(n) for kind in ("protocol", "secure_protocol") for n in _names(getattr(service, kind, ()))]
    chosen = wanted
    if wanted == "auto" and any(name.startswith(CHATS) for name in names):
        chosen = "markdown"
    elif wanted == "auto":
        chosen = formats[0]
    raw = chosen == "markdown" and "markdown" not in formats and any(name.startswith("mmost") for name in names)
    return chosen, "text" if raw else chosen  # Mattermost reads Markdown; apprise would turn it into plain text


def _names(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, tuple | list | set) else (value,)


def _adjust(service: Any, job: Mapping[str, Any]) -> None:
    """The event's id in a header where there are some; no images or footers of others; long texts are cut into several."""
    import apprise

    if isinstance(getattr(service, "headers", None), dict):
        service.headers["X-Anfl-Event"] = job["event"]
    for name in ("include_image", "include_footer"):
        if hasattr(service, name):
            setattr(service, name, False)
    if service.overflow_mode == apprise.OverflowMode.UPSTREAM:
        service.overflow_mode = apprise.OverflowMode.SPLIT


def _failure(result: Any) -> dict[str, Any]:
    """What apprise's warnings tell: a status, or nothing but that it failed."""
    said = " ".join(str(entry.message) for sent in result for attempt in sent.attempts for entry in attempt.logs)
    found = _STATUS.search(said)
    status = int(found[1]) if found else None
    if status is None:
        return {"ending": "retry", "why": "apprise could not deliver it"}
    return {"ending": "hopeless" if status in HOPELESS else "retry", "why": f"the service answered {status}"}


if __name__ == "__main__":
    main()
