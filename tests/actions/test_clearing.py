"""Old files go, and nothing else does, whatever lies about."""

from __future__ import annotations

import os
import string
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.actions import clear_directory, shm_cleanup
from agent.actions._clearing import Clearing
from agent.host.clock import SystemClock
from agent.host.lane import aside
from agent.host.reach import Reach, WillNot
from agent.host.run import run
from agent.model import Target

HOST = Target("host", "n1")
NAMES = st.text(alphabet=string.ascii_letters + " .-\n\x1béß", min_size=1, max_size=8).filter(lambda n: n not in (".", ".."))
KINDS = st.sampled_from(["old", "young", "folder", "link", "link to folder", "hard link", "fifo"])


def cleared(folder: Path, **more: object) -> Clearing:
    """The action over a folder."""
    reach = Reach(SystemClock(), run, str(folder), {})
    return clear_directory.Action(HOST, reach, path=str(folder), age=3600.0, **more)  # type: ignore[arg-type]


def make(place: Path, kind: str, outside: Path) -> None:
    """One thing of that kind."""
    old = time.time() - 86400
    if kind == "folder":
        place.mkdir(exist_ok=True)
    elif kind == "link":
        place.symlink_to(outside / "precious")
    elif kind == "link to folder":
        place.symlink_to(outside)
    elif kind == "hard link":
        os.link(outside / "precious", place)
    elif kind == "fifo":
        os.mkfifo(place)
    else:
        place.write_bytes(b"x" * 100)
        if kind == "old":
            os.utime(place, (old, old))


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(NAMES, KINDS, max_size=8), st.dictionaries(NAMES, KINDS, max_size=5))
def test_only_old_plain_files_below_the_folder_are_ever_removed(top: dict[str, str], deep: dict[str, str]) -> None:
    """Links, hard links, pipes, young files, folders and all that lies outside stay."""
    with tempfile.TemporaryDirectory() as made:
        root, outside = Path(made) / "a" / "scratch", Path(made) / "outside"
        (root / "sub").mkdir(parents=True)
        outside.mkdir()
        (outside / "precious").write_text("keep")
        os.utime(outside / "precious", (1, 1))
        things = {root / name: kind for name, kind in top.items() if name != "sub"}
        things |= {root / "sub" / name: kind for name, kind in deep.items()}
        for place, kind in things.items():
            make(place, kind, outside)
        action = cleared(root, skip_open=False)
        # ctime cannot be set back: the clock of the action is moved on instead
        action.reach = Reach(LaterClock(), run, "", {})
        for place, kind in things.items():
            if kind == "young":
                os.utime(place, (time.time() + 2 * 86400,) * 2)
        done = action._clear()
        assert done["files"] == sum(kind == "old" for kind in things.values())
        for place, kind in things.items():
            assert os.path.lexists(place) == (kind != "old"), (place, kind)
        assert (outside / "precious").read_text() == "keep"


class LaterClock(SystemClock):
    """A day later: what was just made is old by its time of change."""

    def now(self) -> float:
        return super().now() + 86400


async def test_what_somebody_has_open_stays(tmp_path: Path) -> None:
    """A log that is still written, a mapped file."""
    root = tmp_path / "scratch"
    await aside(root.mkdir)
    await aside(lambda: (root / "held").write_text("x"))
    await aside(lambda: (root / "free").write_text("x"))
    action = cleared(root)
    action.reach = Reach(LaterClock(), run, "", {})
    file = await aside(lambda: (root / "held").open())
    try:
        assert (await action.act())["files"] == 1
        assert await aside(lambda: sorted(os.listdir(root))) == ["held"]
    finally:
        await aside(file.close)


async def test_no_more_than_was_allowed_goes(tmp_path: Path) -> None:
    """The oldest first."""
    root = tmp_path / "scratch"
    await aside(root.mkdir)
    for i in range(3):
        await aside(lambda i=i: (root / f"f{i}").write_bytes(bytes(8192)))  # type: ignore[misc]
    action = cleared(root, most=10_000.0, skip_open=False)
    action.reach = Reach(LaterClock(), run, "", {})
    assert (await action.act())["files"] == 1


@pytest.mark.parametrize("path", ["/", "/etc", "/var", "relative", "/a/../etc", "/tmp/", "", "/proc"])
async def test_folders_a_host_needs_are_never_cleared(path: str, tmp_path: Path) -> None:
    """Nor is anything that is written in a roundabout way."""
    action = cleared(tmp_path)
    action.path = path
    with pytest.raises(WillNot):
        await action.check()


async def test_a_link_on_the_way_is_not_followed(tmp_path: Path) -> None:
    """The folder itself may be somebody's trap."""
    real = tmp_path / "real"
    await aside(lambda: (real / "deep").mkdir(parents=True))
    await aside(lambda: (tmp_path / "link").symlink_to(real))
    action = cleared(tmp_path)
    action.path = str(tmp_path / "link" / "deep")
    with pytest.raises(WillNot):
        await action.check()


async def test_shared_memory_in_use_cannot_be_asked_for(tmp_path: Path) -> None:
    """Whatever a playbook says."""
    with pytest.raises(WillNot, match="nobody has open"):
        await shm_cleanup.Action(HOST, Reach(SystemClock(), run, "", {}), skip_open=False).check()
