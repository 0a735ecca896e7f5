import shutil
from pathlib import Path

import pytest

FIXTURES = Path(__file__).parents[1] / "fixtures" / "proc"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A small /proc of a machine with two processors, one disk and one network card, free to be changed."""
    return Path(shutil.copytree(FIXTURES, tmp_path / "proc"))


@pytest.fixture
def sys(tmp_path: Path) -> Path:
    """A /sys to go with it."""
    root = tmp_path / "sys"
    for device in ("loop0", "loop1", "nvme0n1", "zram0"):
        (root / "block" / device).mkdir(parents=True)
    for name, state, flags, speed in (
        ("lo", "unknown", "0x9", ""),
        ("ifb0", "down", "0x82", ""),
        ("eth0", "up", "0x1003", "25000"),
    ):
        folder = root / "class" / "net" / name
        folder.mkdir(parents=True)
        (folder / "operstate").write_text(state + "\n")
        (folder / "flags").write_text(flags + "\n")
        (folder / "speed").write_text(speed + "\n")
    (root / "class" / "net" / "eth0" / "device").mkdir()
    return root
