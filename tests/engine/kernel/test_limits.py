"""Limits of the kernel."""

from __future__ import annotations

from tests.engine.kernel.said import has, kinds, said


def test_files_and_processes() -> None:
    """The limit, or whose it is."""
    assert has(said("VFS: file-max limit 1000000 reached")[0], kind="fd_limit", limit=1000000)
    assert has(
        said("cgroup: fork rejected by pids controller in /system.slice/x.service")[0],
        kind="pid_limit",
        memcg="/system.slice/x.service",
    )
    assert kinds("VFS: file-max limit 1000000") == []
