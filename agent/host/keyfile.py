"""Secrets from files: those that people put there, and a key that the agent makes for itself. Plain blocking code."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from agent.errors import ConfigError
from agent.host.whole import whole

MOST_BYTES = 64 << 10
KEY_BYTES = 32


def read_secret(file: str, credential: str, env: Mapping[str, str]) -> str:
    """What stands in a file, or in a systemd credential. ConfigError, without any of it, if it cannot be read."""
    path = Path(file)
    if credential:
        folder = env.get("CREDENTIALS_DIRECTORY")
        if not folder:
            raise ConfigError(f"no systemd credentials here, and it needs '{credential}'", help="LoadCredential= in the unit")
        path = Path(folder) / os.path.basename(credential)
    try:
        with path.open(encoding="utf-8") as source:
            return source.read(MOST_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read '{path}': {getattr(error, 'strerror', None) or 'not UTF-8'}") from None


class Keyring:
    """One key, kept in a file that only its owner can read and that is made at the first use; from it a key for each purpose.

    ``file`` or ``credential`` name a key that somebody else keeps (it is never made then); else it lies at ``own``.
    """

    def __init__(self, own: str, file: str = "", credential: str = "", env: Mapping[str, str] = os.environ) -> None:
        self._own, self._file, self._credential, self._env = own, file, credential, env
        self._key = b""

    def load(self, make: bool = True) -> None:
        """Read it; make it where there is none, unless ``make`` is false. ConfigError if there is none to be had."""
        if self._key:
            return
        if self._file or self._credential:
            text = read_secret(self._file, self._credential, self._env).strip()
        else:
            text = _made(self._own) if make and not os.path.exists(self._own) else _private(self._own)
        if len(text) < KEY_BYTES:
            raise ConfigError(
                "the key is too short", where=self._file or self._credential or self._own, help="openssl rand -hex 32"
            )
        self._key = text.encode()

    def key(self, purpose: str) -> bytes:
        """The key for one purpose. ConfigError if there is none."""
        self.load()
        return hmac.new(self._key, purpose.encode(), hashlib.sha256).digest()


def _made(path: str) -> str:
    """A new key, on the disk before anything is signed with it."""
    text = secrets.token_hex(KEY_BYTES)
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with whole(path, fresh=True, mode=0o600, lasting=True) as file:  # half a key would keep the agent from acting for ever
            file.write(f"{text}\n".encode())
    except OSError as error:
        raise ConfigError(f"cannot keep a key: {error.strerror}", where=path) from None
    return text


def _private(path: str) -> str:
    try:
        if os.stat(path).st_mode & 0o077:
            raise ConfigError("others can read this key", where=path, help=f"chmod 600 {path}, or remove it and start anew")
    except OSError as error:
        raise ConfigError(f"cannot read the key: {error.strerror}", where=path) from None
    return read_secret(path, "", {}).strip()
