"""sockets: the tree's TCP sockets over one second: connections that wait to be accepted, bytes nobody reads, and the peers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import ClassVar

from agent.dataclass import dataclass
from agent.host import procs
from agent.host.lane import once
from agent.host.procstat import NotPermitted
from agent.host.sockets import CLOSE_WAIT, ESTABLISHED, LISTEN, Socket, backlog_limits, inodes, same_network, table
from agent.model import Cost, Culprit, Evidence, Metric, Target, Tools
from agent.probes._found import Found
from agent.probes._guard import answer, guarded, pid_of

READINGS = 5
MOST_PROCESSES = 32


@dataclass(frozen=True)
class Reading:
    """The tree's sockets at several moments; ``limits`` by a listener's inode, empty where the kernel does not say."""

    moments: tuple[tuple[Socket, ...], ...]
    limits: Mapping[int, int] = field(default_factory=dict)
    owners: Mapping[int, int] = field(default_factory=dict)


@dataclass
class Probe:
    """Settings: ``seconds`` over which five readings are taken (0.2 to 5)."""

    seconds: float = 1.0

    cost: ClassVar[Cost] = "free"
    per: ClassVar[str] = "subject"
    needs: ClassVar[tuple[str, ...]] = ()
    answers: ClassVar[tuple[Metric, ...]] = (
        answer("backlog_waiting", "", "Most connections seen waiting to be accepted on one listener"),
        answer("backlog_limit_share", "ratio", "The same as a share of what that listener's queue may hold"),
        answer("receive_waiting_bytes", "bytes", "Bytes that arrived and were not read, at every reading"),
        answer("send_waiting_bytes", "bytes", "Bytes written and not yet taken by the peers, at every reading"),
        answer("connections", "", "Established connections"),
        answer("peer_top_share", "ratio", "Share of the connections that go to the commonest peer"),
    )

    async def look(self, target: Target, tools: Tools) -> Evidence:
        """Read; never raises for a target that vanished or refuses."""
        return await guarded("sockets", lambda: self._look(target))

    async def _look(self, target: Target) -> Evidence:
        seconds = min(5.0, max(0.2, self.seconds))
        reading = await once("probe-sockets", lambda: read(pid_of(target), seconds), seconds + 10)
        found = judge(reading)
        return Evidence("sockets", found.answers, found.culprits, found.says)


def read(pid: int, seconds: float) -> Reading:
    """Several readings of the sockets that the process and its children hold."""
    owners = _owners(pid)
    moments = []
    for index in range(READINGS):
        if index:
            time.sleep(seconds / (READINGS - 1))
        moments.append(tuple(table(pid, owners)))
    limits = backlog_limits() if same_network(pid) else {}
    return Reading(tuple(moments), limits, owners)


def _owners(pid: int) -> dict[int, int]:
    """Socket inode → process of the tree, the root first."""
    found: dict[int, int] = {}
    for member in procs.tree(pid)[:MOST_PROCESSES]:
        try:
            for inode in inodes(member):
                found.setdefault(inode, member)
        except PermissionError:
            if member == pid:
                raise NotPermitted(pid, "its descriptors") from None
        except OSError:
            continue
    return found


# ---------------------------------------------------------------------------------------------- judging


def judge(reading: Reading) -> Found:
    """All answers of one reading."""
    found = Found()
    _backlog(reading, found)
    last = [one for one in reading.moments[-1] if one.state == ESTABLISHED]
    found.put("connections", float(len(last)))
    for name, word, queue in (("receive_waiting_bytes", "unread", "receive"), ("send_waiting_bytes", "unsent", "send")):
        sums = [sum(getattr(one, queue) for one in moment if one.state in (ESTABLISHED, CLOSE_WAIT)) for moment in reading.moments]
        slowest = max(last, key=lambda one: getattr(one, queue), default=None)
        culprits = (
            [_peer(reading, slowest.remote, None, f"{getattr(slowest, queue)} bytes {word}")] if slowest and min(sums) else []
        )
        found.put(name, float(min(sums)), f"{min(sums)} bytes {word} at every reading", culprits)
    _peers(reading, last, found)
    return found


def _backlog(reading: Reading, found: Found) -> None:
    peak: dict[int, Socket] = {}
    for one in (one for moment in reading.moments for one in moment if one.state == LISTEN):
        if one.inode not in peak or one.receive > peak[one.inode].receive:
            peak[one.inode] = one
    if not peak:
        found.put("backlog_waiting", 0.0, "it listens on no TCP port")
        found.put("backlog_limit_share", 0.0)
        return
    worst = max(peak.values(), key=lambda one: (one.receive, _full(one, reading.limits) or 0.0))
    share, limit = _full(worst, reading.limits), reading.limits.get(worst.inode)
    words = f"{worst.receive} connections wait on port {worst.local[1]}" + (f" of {limit} that may" if limit is not None else "")
    detail = f"{worst.receive} waiting" + (f", limit {limit}" if limit is not None else "")
    culprit = Culprit(
        "peer",
        f"port {worst.local[1]}",
        address=_name(worst.local),
        pid=reading.owners.get(worst.inode),
        share=share,
        detail=detail,
    )
    found.put("backlog_waiting", float(worst.receive), words, [culprit] if worst.receive else [])
    found.put("backlog_limit_share", share, words, [culprit] if worst.receive else [])


def _full(one: Socket, limits: Mapping[int, int]) -> float | None:
    """The queue may hold one more than its limit says."""
    limit = limits.get(one.inode)
    return None if limit is None else min(1.0, one.receive / max(1, limit))


def _peers(reading: Reading, last: Sequence[Socket], found: Found) -> None:
    """Outgoing connections by address and port, incoming ones by address."""
    listening = {one.local[1] for one in reading.moments[-1] if one.state == LISTEN}
    peers = Counter((one.remote[0], 0 if one.local[1] in listening else one.remote[1]) for one in last)
    if not peers:
        found.put("peer_top_share", None, "no connections")
        return
    culprits = [_peer(reading, peer, count / len(last), f"{count} connections") for peer, count in peers.most_common(3)]
    found.put("peer_top_share", culprits[0].share, f"{culprits[0].detail} of {len(last)} with {culprits[0].name}", culprits)


def _peer(reading: Reading, peer: tuple[str, int], share: float | None, detail: str) -> Culprit:
    held = next((one.inode for one in reading.moments[-1] if one.remote[0] == peer[0] and peer[1] in (0, one.remote[1])), 0)
    return Culprit("peer", _name(peer), address=_name(peer), pid=reading.owners.get(held), share=share, detail=detail)


def _name(address: tuple[str, int]) -> str:
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"{host}:{address[1]}" if address[1] else address[0]
