"""Where receivers' addresses and keys come from: the configuration, a file, or a systemd credential. Read when they are needed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from agent.alerting import Receiver
from agent.alerts.model import Address
from agent.errors import ConfigError
from agent.host.keyfile import read_secret
from agent.yamlfile import Text


def addresses_of(receiver: Receiver, env: Mapping[str, str]) -> tuple[Address, ...]:
    """One address for each line of its file; one where the file cannot be read, so that the trouble has a place to be told.

    Plain blocking code.
    """
    try:
        count = len(urls_of(receiver, env)) if receiver.type != "file" else 1
    except ConfigError:
        count = 1
    if count <= 1:
        return (Address(receiver.name, receiver),)
    return tuple(Address(f"{receiver.name}/{n + 1}", receiver, n) for n in range(count))


def receivers_or_default(receivers: tuple[Receiver, ...], state_dir: str) -> tuple[Receiver, ...]:
    """The configured ones; without any, a file below the state folder, so that nothing is told to nobody."""
    if any(r.type != "heartbeat" for r in receivers):
        return receivers
    return (*receivers, Receiver(Text("local"), "file", path=str(Path(state_dir) / "alerts.jsonl")))


def url_of(address: Address, env: Mapping[str, str]) -> str:
    """The address itself. ConfigError, without the address in it, if it cannot be had. Plain blocking code."""
    urls = urls_of(address.receiver, env)
    if address.index >= len(urls):
        raise ConfigError(f"its file has no line {address.index + 1} any more")
    return urls[address.index]


def urls_of(receiver: Receiver, env: Mapping[str, str]) -> list[str]:
    """All addresses of a receiver, in order; ConfigError if there are none."""
    if receiver.url:
        return [str(receiver.url)]
    lines = [line.strip() for line in read_secret(receiver.url_file, receiver.credential, env).splitlines()]
    found = [line for line in lines if line and not line.startswith("#")]
    if not found:
        raise ConfigError("its file holds no address")
    return found


def secret_of(receiver: Receiver, env: Mapping[str, str]) -> bytes:
    """The key that signs a webhook's bodies; empty where none is configured. ConfigError if it cannot be read."""
    if not (receiver.secret_file or receiver.secret_credential):
        return b""
    secret = read_secret(receiver.secret_file, receiver.secret_credential, env).strip()
    if not secret:
        raise ConfigError("the file with its key is empty")
    return secret.encode()
