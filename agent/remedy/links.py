"""Links under which people find the page that asks for their word: signed, bound to one proposal, good until it is answered."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from agent.dataclass import dataclass
from agent.errors import UsageError
from agent.host.keyfile import Keyring
from agent.remedy.model import Run

PATH = "/approve"
LONGEST = 512


@dataclass(frozen=True)
class Asked:
    """What a link is about: a proposal, and its number used once."""

    run: int
    nonce: str
    bound: str

    def about(self, run: Run | None) -> bool:
        """Whether that proposal is still the one the link was made for, and the link was not used."""
        if run is None or not run.nonce:
            return False
        return hmac.compare_digest(f"{run.nonce} {bound(run)}", f"{self.nonce} {self.bound}")


def bound(run: Run) -> str:
    """What is agreed to: this playbook as it is written, on that target, for that incident and its evidence."""
    parts = (run.digest, run.identity, str(run.incident), run.cause, run.evidence)
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:20]


def gone() -> UsageError:
    """The same words for a forged, used, expired or superseded link."""
    return UsageError("this link is not valid, or not any more", help="use 'anfl-agent playbooks list' on the host")


class Links:
    """Makes and reads them. Blocking: the key may have to be read."""

    def __init__(self, base: str, keys: Keyring) -> None:
        self.base = base.rstrip("/")
        self._keys = keys

    def link(self, run: Run) -> str:
        """The address to send to people; "" where no page can be reached."""
        if not self.base or not run.nonce:
            return ""
        token = self._serializer().dumps([run.id, run.nonce, int(run.expires), bound(run)])
        return f"{self.base}{PATH}?t={token}"

    def read(self, token: str, now: float) -> Asked:
        """What a link is about. UsageError for one that we did not make, or that has expired."""
        from itsdangerous import BadData

        if not 0 < len(token) <= LONGEST:
            raise gone()
        try:
            number, nonce, until, what = self._serializer().loads(token)
        except (BadData, ValueError, TypeError):
            raise gone() from None
        if now >= until:
            raise gone()
        return Asked(number, nonce, what)

    def _serializer(self) -> Any:
        from itsdangerous import URLSafeSerializer

        return URLSafeSerializer(
            self._keys.key("link"), salt=b"anfl-approve", signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"}
        )
