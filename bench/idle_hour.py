"""An hour of the agent on a machine where nothing else happens, as a service of a booted system: it must not raise a warning.

    python bench/idle_hour.py [--minutes 60] [--work DIR] [--json]

As root, with what bench/boot_kernel.py needs, and pip with an index. The shipped unit runs with all organs on; nothing else is in
the machine than Debian and the once-a-minute reader of the agent's page. CPU seconds inside are those of an emulator (some 15 to 30
times those of a machine); memory and counts are as they are anywhere. Exit 1 when anything was suspected that became an incident.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import _guest

HERE = Path(__file__).resolve().parent
REPO = HERE.parent
GUEST_PYTHON = "3.11"
"""Of Debian 12."""
OPT = "opt/anfl-agent"
COMMAND = '#!/bin/sh\nPYTHONPATH=/opt/anfl-agent/lib exec /usr/bin/python3 -m agent "$@"\n'
CONFIG = "budget: {cpu: 50%}\n"
"""The emulated machine is some twenty times slower, which says nothing of the agent."""
PATIENCE_S = 1800.0
"""Beyond the minutes asked for: two to four of them start and end the machine, more on a busy host."""


def pip(*argv: str) -> None:
    """Run pip, its words on stderr."""
    subprocess.run([sys.executable, "-m", "pip", "-qq", "--disable-pip-version-check", *argv], check=True, stdout=sys.stderr)


def furnish(top: Path, minutes: float) -> None:
    """The agent as pip installs it, its unit and its user, and the reader."""
    (top / OPT / "bin").mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        pip("wheel", "--no-deps", "--wheel-dir", folder, str(REPO))
        target = ["--python-version", GUEST_PYTHON, "--only-binary=:all:", "--target", str(top / OPT / "lib")]
        pip("install", *target, "--constraint", str(REPO / "constraints.txt"), *map(str, Path(folder).glob("*.whl")))
    command = top / OPT / "bin/anfl-agent"
    command.write_text(COMMAND)
    command.chmod(0o755)
    (top / "etc/anfl-agent").mkdir()
    (top / "etc/anfl-agent/config.yaml").write_text(CONFIG)
    shutil.copy(REPO / "systemd/anfl-agent.service", top / "etc/systemd/system")
    shutil.copy(REPO / "systemd/anfl-agent.sysusers.conf", top / "usr/lib/sysusers.d/anfl-agent.conf")
    _guest.wants(top, "anfl-agent.service")
    _guest.service(top, HERE / "_in_idle.py", f"MINUTES={minutes:g}")


def main() -> int:
    """Print what the hour was like; 1 if it raised a warning, 3 if it cannot be done here."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--minutes", type=float, default=60.0)
    words.add_argument("--work", type=Path, default=_guest.WORK, help="kept for the next time")
    words.add_argument("--json", action="store_true", help="one document")
    said = words.parse_args()
    if why := _guest.cannot(said.work):
        print(f"cannot be done here: {why}", file=sys.stderr)
        return 3
    disk = _guest.image(said.work, lambda top: furnish(top, said.minutes), "2G")
    patience = said.minutes * 60 + PATIENCE_S
    try:
        told = _guest.boot(said.work, disk, patience, niceness=0)
    except subprocess.TimeoutExpired:
        print(f"cannot be done here: the emulated machine was not done after {patience:g} s", file=sys.stderr)
        return 3
    if said.json:
        print(json.dumps(told))
    else:
        for name, seen in told.items():
            print(f"{name}: {json.dumps(seen)}")
    return 0 if told["minutes"] >= said.minutes and told["incidents"] == 0 and not told["unusual_lines"] else 1


if __name__ == "__main__":
    sys.exit(main())
