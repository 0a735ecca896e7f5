from pathlib import Path

from agent.host.mounts import parse_mountinfo, read_mounts, unescape

ROOT = b"27 1 259:1 / / rw,relatime shared:1 master:2 - ext4 /dev/nvme0n1p1 rw,discard\n"


def test_a_line_with_and_without_optional_fields() -> None:
    """Any number of optional fields may stand before the dash."""
    with_tags, without = parse_mountinfo(ROOT + b"25 24 0:23 / /dev/shm ro - tmpfs tmpfs rw,size=4k\n")
    assert (with_tags.device, with_tags.fstype, with_tags.source) == ("259:1", "ext4", "/dev/nvme0n1p1")
    assert (without.mountpoint, without.options) == ("/dev/shm", {"ro"})


def test_octal_escapes_are_undone() -> None:
    """The kernel writes space, tab, line break and backslash as octal numbers."""
    assert unescape(rb"/a\040b\011c\012d\134e") == "/a b\tc\nd\\e"


def test_a_path_that_is_not_utf8_can_still_be_opened(tmp_path: Path) -> None:
    """Bytes go through and come back as they were: cleaning is for showing, not for opening."""
    (mount,) = parse_mountinfo(b"27 1 259:1 / /mnt/\xff rw - ext4 /dev/x rw\n")
    assert mount.mountpoint.encode("utf-8", "surrogateescape") == b"/mnt/\xff"


def test_lines_cut_short_are_left_out() -> None:
    """A torn line spoils neither its neighbours nor the reader."""
    assert len(parse_mountinfo(b"27 1 259:1 / \n\n- \n27 1 0:1 / /x rw - ext4\n" + ROOT)) == 1


def test_the_mounts_of_this_process_have_a_root() -> None:
    """The running kernel's own table can be read."""
    assert "/" in {mount.mountpoint for mount in read_mounts()}
