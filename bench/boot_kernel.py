"""The action cgroup_limit under a kernel of its own with cgroups of version 2: set, seen in effect, lifted.

    python bench/boot_kernel.py [--work DIR] [--json]

As root, with qemu-system-x86, mmdebstrap and busybox-static installed, and Debian's packages within reach: a small system is made
once in ``--work`` (a minute, 1 GB) and booted in an emulated machine (two minutes; slow, for nothing of the host's CPU is lent to
it). Exit 3, with what is missing, where it cannot be done. Rates inside are those of an emulator: compare them with one another.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import _guest

HERE = Path(__file__).resolve().parent
BOOT_S = 800.0


def furnish(top: Path) -> None:
    """The agent as it is in this checkout, and what is run there."""
    shutil.copytree(HERE.parent / "agent", top / "srv/agent", ignore=shutil.ignore_patterns("__pycache__"))
    _guest.service(top, HERE / "_in_kernel.py", "PYTHONPATH=/srv")


def main() -> int:
    """Print what was seen; 1 if a limit did not show, 3 if it cannot be done here."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--work", type=Path, default=_guest.WORK, help="kept for the next time")
    words.add_argument("--json", action="store_true", help="one document")
    said = words.parse_args()
    if why := _guest.cannot(said.work):
        print(f"cannot be done here: {why}", file=sys.stderr)
        return 3
    try:
        told = _guest.boot(said.work, _guest.image(said.work, furnish, "1200M"), BOOT_S)
    except subprocess.TimeoutExpired:
        print(f"cannot be done here: the emulated machine was not done after {BOOT_S:g} s", file=sys.stderr)
        return 3
    if said.json:
        print(json.dumps(told))
    else:
        for part, seen in told.items():
            print(f"{part}: {json.dumps(seen)}")
    parts = [told.get(name, {}) for name in ("cpu", "memory", "disk", "unit")]
    return 0 if all(part.get("verify") is True for part in parts) else 1


if __name__ == "__main__":
    sys.exit(main())
