from pathlib import Path

import pytest

from agent.collectors._hierarchy import Hierarchy, Tree, find_hierarchy, is_wider, parse_membership
from agent.host.mounts import parse_mountinfo

V2_ONLY = b"30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = b"""32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
"""
MIXED = V1 + b"41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"


def test_version_two_alone() -> None:
    """One tree serves every controller."""
    found = find_hierarchy(parse_mountinfo(V2_ONLY))
    assert found == Hierarchy(Tree("/sys/fs/cgroup"), {})


def test_version_one_with_two_controllers_in_one_tree() -> None:
    """cpu and cpuacct often share a mount; systemd's own tree has no controller."""
    found = find_hierarchy(parse_mountinfo(V1))
    assert found.unified is None
    assert found.legacy["cpu"] == found.legacy["cpuacct"] == Tree("/sys/fs/cgroup/cpu,cpuacct")
    assert found.legacy.keys() == {"cpu", "cpuacct", "memory"}


def test_mixed_hosts_have_both() -> None:
    """Version 2 holds what version 1 does not."""
    found = find_hierarchy(parse_mountinfo(MIXED))
    assert found.unified == Tree("/sys/fs/cgroup/unified")
    assert "memory" in found.legacy


def test_of_a_tree_mounted_twice_the_complete_one_is_taken() -> None:
    """A container may see its own part beside the whole."""
    part = b"29 23 0:26 /docker/abc /inner rw - cgroup2 cgroup2 rw\n"
    assert find_hierarchy(parse_mountinfo(part + V2_ONLY)).unified == Tree("/sys/fs/cgroup")


def test_folders_go_from_the_innermost_to_the_top() -> None:
    """Limits bind from any of them."""
    assert Tree("/cg").folders("/a/b") == ("/cg/a/b", "/cg/a", "/cg")
    assert Tree("/cg").folders("/") == ("/cg",)


def test_a_tree_that_shows_only_a_part() -> None:
    """Inside a container without its own cgroup namespace the mount's root is the container's cgroup."""
    tree = Tree("/cg", "/docker/abc")
    assert tree.folders("/docker/abc/x") == ("/cg/x", "/cg")
    assert tree.folders("/docker/abc") == ("/cg",)
    assert tree.folders("/docker/abcdef") == ()


def test_a_path_that_leads_out_of_the_namespace_is_not_followed() -> None:
    """The kernel shows cgroups outside of ours as ``/../x``; no file outside of the tree is ever opened."""
    assert Tree("/cg").folders("/../../etc") == ()


def test_a_cgroup_that_is_not_there_has_no_folders_at_all(tmp_path: Path) -> None:
    """Else the figures of the one above would be taken for its own."""
    (tmp_path / "a").mkdir()
    found = Hierarchy(unified=Tree(str(tmp_path)))
    assert found.folders("memory", {"": "/a"}) == (f"{tmp_path}/a", str(tmp_path))
    assert found.folders("memory", {"": "/a/gone"}) == ()


def test_membership_of_a_mixed_host() -> None:
    """Controllers that share a tree share a path; the unified path has the empty key."""
    paths = parse_membership(b"4:memory:/pod/a\n2:cpu,cpuacct:/b:c\n1:name=systemd:/\n0::/u\n")
    assert paths == {"memory": "/pod/a", "cpu": "/b:c", "cpuacct": "/b:c", "name=systemd": "/", "": "/u"}


@pytest.mark.parametrize(
    ("path", "label", "wider"),
    [("/", "/", False), ("/", "/a", True), ("/a", "/a/b", True), ("/a", "/ab", False), ("/jobs/1", "/mem/1", False)],
)
def test_only_a_cgroup_above_is_wider(path: str, label: str, wider: bool) -> None:
    """A cgroup of another name in another controller's tree may well hold the same processes."""
    assert is_wider(path, label) is wider
