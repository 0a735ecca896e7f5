"""Files that a hostile program names are read as it could read them, or not at all."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from agent.host.asread import LARGEST, Reader, of_process, of_user, read, read_soon

REPO = Path(__file__).resolve().parents[2]
DEAD = """
import sys
from pathlib import Path
from agent.host.asread import Reader, read_soon
from tests.fakes.deadmount import DeadMount
mount = DeadMount(Path(sys.argv[1]))
print(read_soon(Reader(0, frozenset()), sys.argv[1] + "/app.py", seconds=0.2))
mount.close()
"""
SELF = Reader(os.geteuid(), frozenset(os.getgroups()))


@pytest.fixture
def open_folder(tmp_path: Path) -> Path:
    """A root folder of its own, which everybody may enter."""
    folder = tmp_path / "root"
    folder.mkdir(mode=0o755)
    return folder


def within(reader: Reader, folder: Path) -> Reader:
    """The same rights, with that folder as the root."""
    return Reader(reader.uid, reader.gids, str(folder))


def test_a_running_process_reads_what_it_may_read(tmp_path: Path) -> None:
    """In its own root."""
    (tmp_path / "app.py").write_text("x = 1\n")
    assert read(of_process(os.getpid()), str(tmp_path / "app.py")) == b"x = 1\n"


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o700])
def test_what_its_user_may_not_read_is_not_read(open_folder: Path, mode: int) -> None:
    """However much we may ourselves."""
    secret = open_folder / "key"
    secret.write_text("s")
    secret.chmod(mode)
    stranger = Reader(os.geteuid() + 1, frozenset(), str(open_folder))
    with pytest.raises(PermissionError):
        read(stranger, "/key")
    secret.chmod(mode | stat.S_IROTH)
    assert read(stranger, "/key") == b"s"


def test_a_group_counts_and_the_owner_is_held_to_the_owners_bits(open_folder: Path) -> None:
    """As the kernel does it."""
    file = open_folder / "f"
    file.write_text("s")
    file.chmod(0o040)
    own = file.stat()
    assert read(Reader(own.st_uid + 1, frozenset({own.st_gid}), str(open_folder)), "/f") == b"s"
    if own.st_uid:
        with pytest.raises(PermissionError):
            read(Reader(own.st_uid, frozenset({own.st_gid}), str(open_folder)), "/f")


def test_a_folder_that_its_user_may_not_enter_hides_what_all_might_read(open_folder: Path) -> None:
    """Such as /root."""
    (open_folder / "home").mkdir(mode=0o700)
    (open_folder / "home" / "f").write_text("s")
    with pytest.raises(PermissionError):
        read(Reader(os.geteuid() + 1, frozenset(), str(open_folder)), "/home/f")


def test_a_link_stays_in_the_root_of_the_process(open_folder: Path, tmp_path: Path) -> None:
    """Absolute or with dots: what it names is looked up in there, not here."""
    (tmp_path / "outside").write_text("ours")
    (open_folder / "d").mkdir()
    (open_folder / "outside").write_text("theirs")
    (open_folder / "absolute").symlink_to("/outside")
    (open_folder / "d" / "dots").symlink_to("../../../../outside")
    for name in ("/absolute", "/d/dots", "/d/../../outside", "//d/./../absolute"):
        assert read(within(SELF, open_folder), name) == b"theirs"
    (open_folder / "lost").symlink_to(str(tmp_path / "outside"))
    with pytest.raises(OSError, match="No such file"):
        read(within(SELF, open_folder), "/lost")


def test_links_in_a_circle_end(open_folder: Path) -> None:
    """After forty of them."""
    (open_folder / "a").symlink_to("b")
    (open_folder / "b").symlink_to("a")
    with pytest.raises(OSError, match="too many links"):
        read(within(SELF, open_folder), "/a")


def test_what_is_no_plain_file_is_not_even_opened(open_folder: Path) -> None:
    """A pipe that nobody writes to would hold us for ever; a device may do something."""
    os.mkfifo(open_folder / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(open_folder / "s"))
        for name in ("/pipe", "/s", "/", "/."):
            with pytest.raises(OSError, match="not a plain file"):
                read(within(SELF, open_folder), name)
    with pytest.raises(OSError, match="not a plain file"):
        read(SELF, "/dev/zero")


@pytest.mark.parametrize(
    "path", ["/proc/self/environ", "/proc/self/maps", "/proc/kmsg", "/sys/kernel/mm/transparent_hugepage/enabled"]
)
def test_the_kernels_own_files_are_left_alone(path: str) -> None:
    """They are made when they are read, with the rights of the reader."""
    assert read_soon(SELF, path) is None


def test_what_is_too_large_or_empty_or_no_path_is_left_alone(open_folder: Path) -> None:
    """A sparse file costs nothing to make and much to read."""
    with open(open_folder / "large", "wb") as file:
        file.truncate(LARGEST + 1)
    (open_folder / "empty").touch()
    for name in ("/large", "/empty", "/a\0b", "/" + "a/" * 300, "/" + "a" * 300):
        assert read_soon(within(SELF, open_folder), name) is None


@pytest.mark.real
@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0 or not os.path.exists("/dev/fuse"), reason="needs root and /dev/fuse")
def test_a_mount_that_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    """The answer goes without the lines."""
    argv = ["unshare", "-m", "--propagation", "private", sys.executable, "-c", DEAD, str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, cwd=REPO)
    if "mount" in done.stderr:
        pytest.skip("a FUSE file system cannot be mounted here")
    assert done.stdout == "None\n", done.stderr


def test_descriptors_are_given_back(open_folder: Path) -> None:
    """Also those of a walk that failed."""
    (open_folder / "d").mkdir()
    before = len(os.listdir("/proc/self/fd"))
    for name in ("/d/none", "/d", "/none/none"):
        assert read_soon(within(SELF, open_folder), name) is None
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_user_who_is_not_known_here_has_no_rights_of_its_own() -> None:
    """Nor has none at all."""
    assert of_user("nobody-knows-me") == of_user(None) == Reader(-1, frozenset())
    assert of_user("root").uid == 0
