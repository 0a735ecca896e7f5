"""open_files: how many descriptors, how fast they grow, what most of them are."""

from __future__ import annotations

import os

from agent.host.tools import ProbeTools
from agent.model import Target
from agent.probes.open_files import Descriptors, Probe, judge, kind


def test_the_process_that_grows_is_the_one_to_look_at() -> None:
    """Of a tree the growing child is reported, with its commonest target."""
    calm = Descriptors(1, 900, 900, 1000.0, ("/dev/null",) * 900, 2.0)
    leaky = Descriptors(2, 10, 30, 1000.0, ("/data/shard.bin",) * 20 + ("socket:[1]",) * 10, 2.0)
    found = judge([calm, leaky])
    assert (found.answers["fd_count"], found.answers["fd_growth"]) == (30.0, 10.0)
    assert (found.culprits["fd_growth"][0].name, found.culprits["fd_growth"][0].pid) == ("/data/shard.bin", 2)


def test_nameless_things_count_by_kind_and_deleted_files_are_counted() -> None:
    """Sockets and pipes group by kind; a deleted file keeps its path."""
    assert [kind(text) for text in ("socket:[5]", "pipe:[6]", "anon_inode:[eventpoll]", "/a (deleted)")] == [
        "socket",
        "pipe",
        "eventpoll",
        "/a",
    ]
    assert judge([Descriptors(1, 2, 2, None, ("/a (deleted)", "/b"), 1.0)]).answers["fd_deleted"] == 1.0


async def test_our_own_process_can_be_read(tools: ProbeTools) -> None:
    """A real reading of this very process, limit included."""
    evidence = await Probe(seconds=0.5).look(Target("process", pid=os.getpid()), tools)
    assert evidence.because == ""
    assert evidence.answers["fd_count"] >= 3  # type: ignore[operator]
