"""Sending one message to one address, by kind of receiver. Whatever the other side does comes back as an Outcome.

``Senders.send`` is what the courier calls. Addresses and keys are read at each sending and kept nowhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agent.alerting import Receiver
from agent.alerts import render
from agent.alerts.addresses import secret_of, url_of
from agent.alerts.apprising import Apprising
from agent.alerts.message import attachments
from agent.alerts.model import DONE, Address, Outcome
from agent.errors import AgentError, ConfigError
from agent.host.http import NoAnswer, request
from agent.host.lane import aside
from agent.model import JsonObject

READ_S = 10.0
MOST_ATTACHED = 1 << 20
KEEP_FILE = 8 << 20
"""A file receiver's file is rotated once at this size: two of them are kept."""
PASSING = frozenset({408, 425, 429})
"""Statuses below 500 that trying again may mend."""


class Senders:
    """All ways to send. ``env`` is where systemd's credentials are found; ``now`` stamps signatures."""

    def __init__(self, env: Mapping[str, str] | None = None, now: Callable[[], float] = time.time) -> None:
        self._env = os.environ if env is None else env
        self._now = now
        self.apprise = Apprising(self._env)

    async def send(self, address: Address, told: JsonObject) -> Outcome:
        """One attempt."""
        receiver = address.receiver
        try:
            if receiver.type == "file":
                return await aside(lambda: append(receiver.path, told), READ_S)
            url, secret = await aside(lambda: (url_of(address, self._env), secret_of(receiver, self._env)), READ_S)
            if receiver.type == "apprise":
                return await self._apprise(receiver, url, told)
            if receiver.type == "heartbeat":
                return await post(url, b"", {}, receiver.deadline, "GET")
            if receiver.type == "alertmanager":
                body = json.dumps(alertmanager(told, self._now(), receiver.every)).encode()
                return await post(alertmanager_url(url), body, {"Content-Type": "application/json"}, receiver.deadline)
            body = json.dumps(cloudevent(told)).encode()
            return await post(url, body, signed(body, secret, told["id"], self._now()), receiver.deadline)
        except ConfigError as error:
            return Outcome("hopeless", str(error))
        except AgentError as error:
            return Outcome("retry", str(error))

    async def _apprise(self, receiver: Receiver, url: str, told: JsonObject) -> Outcome:
        attach = await aside(lambda: attached(told), READ_S) if receiver.attach else []
        job = {
            "url": url,
            "title": render.heading(told),
            "bodies": {name: write(told) for name, write in render.FORMATS.items()},
            "format": receiver.format,
            "type": "resolved" if told["kind"] in ("resolved", "over") else told["severity"],
            "attach": attach,
            "event": told["id"],
        }
        return await self.apprise.send(job, receiver.deadline)

    async def close(self) -> None:
        """Let the notifier go."""
        await self.apprise.close()


async def post(url: str, body: bytes, headers: Mapping[str, str], deadline: float, method: str = "POST") -> Outcome:
    """One HTTP request; 2xx is delivered, 408, 425, 429 and 5xx are tried again, anything else is hopeless."""
    try:
        answer = await request(method, url, headers=headers, body=body, timeout=deadline)
    except ValueError as error:
        return Outcome("hopeless", f"its address is {error}")
    except NoAnswer as error:
        return Outcome("retry", error.message, unsure=error.sent)
    if 200 <= answer.status < 300:
        return DONE
    why = f"it answered {answer.status}"
    if answer.status in PASSING or answer.status >= 500:
        return Outcome("retry", why, after=retry_after(answer.headers.get("retry-after", "")))
    return Outcome("hopeless", why)


def retry_after(text: str) -> float | None:
    """Seconds of a Retry-After header; None where there is none. A date is read too."""
    with contextlib.suppress(ValueError):
        return max(0.0, float(text))
    from email.utils import parsedate_to_datetime

    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    return None


# ---------------------------------------------------------------------------------------------- webhook


def cloudevent(told: JsonObject) -> JsonObject:
    """A message in a CloudEvents 1.0 envelope; ``id`` is the event's, the same for every copy."""
    return {
        "specversion": "1.0",
        "id": told["id"],
        "source": f"/anfl-agent/{told['host']}",
        "type": f"anfl.alert.{told['kind']}",
        "time": told["time"],
        "subject": told["group"],
        "datacontenttype": "application/json",
        "dataschema": told["schema"],
        "data": {key: value for key, value in told.items() if key != "alertmanager"},
    }


def signed(body: bytes, secret: bytes, event: str, now: float) -> dict[str, str]:
    """Headers of a webhook. The signature is HMAC-SHA256 over ``TIME.BODY``: an old request cannot be sent again later."""
    headers = {"Content-Type": "application/cloudevents+json", "X-Anfl-Event": event}
    if secret:
        stamp = str(int(now))
        digest = hmac.new(secret, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        headers["X-Anfl-Signature"] = f"t={stamp},v1={digest}"
    return headers


# ---------------------------------------------------------------------------------------------- Alertmanager


def alertmanager(told: JsonObject, now: float, every: float) -> list[JsonObject]:
    """The body for ``/api/v2/alerts``: what fires ends by itself unless it is sent again in time."""
    from agent.engine.report import when

    alerts = told.get("alertmanager") or []
    return [{**alert, "endsAt": alert.get("endsAt") or when(now + 4 * every)} for alert in alerts]


def alertmanager_url(url: str) -> str:
    """The address of its API, also where only the server is named."""
    return url if url.rstrip("/").endswith("/alerts") else f"{url.rstrip('/')}/api/v2/alerts"


# ---------------------------------------------------------------------------------------------- files


def append(path: str, told: JsonObject) -> Outcome:
    """One JSON line at the end of a file, on the disk when this returns. Plain blocking code."""
    line = json.dumps({key: value for key, value in told.items() if key != "alertmanager"}, ensure_ascii=False) + "\n"
    try:
        if path == "-":
            sys.stdout.write(line)
            sys.stdout.flush()
            return DONE
        place = Path(path)
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if place.exists() and place.is_file() and place.stat().st_size > KEEP_FILE:
            place.replace(place.with_name(f"{place.name}.1"))
        target = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
        try:
            _write_whole(target, line.encode())
            with contextlib.suppress(OSError):  # a pipe or a device has nothing to sync
                os.fsync(target)
        finally:
            os.close(target)
    except OSError as error:
        return Outcome("retry", f"cannot write {path}: {error.strerror}")
    return DONE


def _write_whole(target: int, line: bytes) -> None:
    """All of a line or nothing of it: a disk that fills takes a part, and half a line would spoil the next one too."""
    before, left = os.fstat(target).st_size, memoryview(line)
    try:
        while left:
            left = left[os.write(target, left) :]
    except OSError:
        with contextlib.suppress(OSError):  # a pipe cannot be cut
            os.ftruncate(target, before)
        raise


def attached(told: Mapping[str, Any]) -> list[str]:
    """Drawings that may ride along: there, readable and of at most 1 MiB; larger ones stay a path in the text."""
    good = []
    for path in attachments(told):
        with contextlib.suppress(OSError):
            if 0 < os.path.getsize(path) <= MOST_ATTACHED and os.access(path, os.R_OK):
                good.append(path)
    return good
