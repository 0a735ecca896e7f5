"""A signed request to another system; what webhook and scale share."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import field
from typing import ClassVar

from agent.actions._action import Base
from agent.dataclass import dataclass
from agent.errors import AgentError
from agent.host import http
from agent.host.lane import aside
from agent.host.reach import Class, WillNot
from agent.model import JsonObject
from agent.yamlfile import Seconds


@dataclass
class Hook(Base):
    """POSTs JSON: ``what``, ``target``, the incident with its evidence, ``body`` on top; ``secret_file`` signs it (HMAC-SHA256).

    The header ``X-Anfl-Operation`` is the same for the same run, so that a receiver can drop a repetition.
    """

    class_: ClassVar[Class] = "disruptive"
    kinds: ClassVar[tuple[str, ...]] = ("host", "process", "unit", "cgroup", "gpu", "endpoint", "run")
    url: str = field(default="", repr=False)
    what: str = "act"
    body: dict[str, object] = field(default_factory=dict)
    secret_file: str = ""
    deadline: Seconds = 15.0

    def plan(self) -> str:
        """In words; the address may hold a secret and is not shown."""
        return f"ask a webhook to {self.what} for {self.name}"

    def asked(self) -> JsonObject:
        """What the body holds besides."""
        return dict(self.body)

    async def check(self) -> None:
        """There is an address."""
        if not self.url.startswith(("http://", "https://")):
            raise WillNot("url must begin with http:// or https://")
        if self.secret_file:
            await aside(self._secret)

    def _secret(self) -> bytes:
        try:
            with open(self.secret_file, "rb") as file:
                return file.read().strip()
        except OSError as error:
            raise WillNot(f"{self.secret_file}: {error.strerror}") from None

    async def act(self) -> JsonObject:
        """Send it. AgentError unless the answer is 2xx."""
        told = self.reach.told
        target = {k: v for k, v in vars(self.target).items() if v is not None}
        document = {"schema": "anfl.action/1", "what": self.what, "target": target, "incident": told, **self.asked()}
        raw = json.dumps(document, separators=(",", ":")).encode()
        headers = {"content-type": "application/json", "x-anfl-operation": str(told.get("operation", ""))}
        if self.secret_file:
            digest = hmac.new(await aside(self._secret), raw, hashlib.sha256).hexdigest()
            headers["x-anfl-signature"] = f"sha256={digest}"
        answer = await http.request("POST", self.url, headers=headers, body=raw, timeout=self.deadline)
        if not 200 <= answer.status < 300:
            raise AgentError(f"the webhook answered {answer.status}")
        return {"status": answer.status}

    async def verify(self, done: JsonObject) -> bool | None:
        """It was taken."""
        return 200 <= int(done.get("status", 0)) < 300
