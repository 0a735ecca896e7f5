"""The action cgroup_limit under a kernel of its own with cgroups of version 2: set, seen in effect, lifted.

    python bench/boot_kernel.py [--work DIR] [--json]

As root, with qemu-system-x86, mmdebstrap and busybox-static installed, and Debian's packages within reach: a small system is made
once in ``--work`` (a minute, 1 GB) and booted in an emulated machine (two minutes; slow, for nothing of the host's CPU is lent to
it). Exit 3, with what is missing, where it cannot be done. Rates inside are those of an emulator: compare them with one another.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parent.parent
NEEDS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "mmdebstrap": "mmdebstrap",
    "busybox": "busybox-static",
    "mke2fs": "e2fsprogs",
    "dpkg": "dpkg",
    "apt-get": "apt",
}
KERNEL = "linux-image-cloud-amd64"
BOOT_S = 800.0
MODULES = ("virtio*.ko", "crc32c*.ko", "libcrc32c.ko")
WORDS = (
    "console=ttyS0 root=/dev/vda rw quiet mitigations=off panic=-1 systemd.mask=serial-getty@ttyS0.service"
    " systemd.mask=dev-ttyS0.device systemd.show_status=0"
)
SERVICE = """[Service]
Type=oneshot
Environment=PYTHONPATH=/srv
ExecStart=/usr/bin/python3 /srv/_in_kernel.py
ExecStopPost=/bin/systemctl poweroff --force
StandardOutput=tty
StandardError=tty
TTYPath=/dev/console
[Install]
WantedBy=multi-user.target
"""
INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc; /bin/busybox mount -t sysfs sys /sys; /bin/busybox mount -t devtmpfs dev /dev
for round in 1 2 3 4; do for module in /m/*.ko; do /bin/busybox insmod $module 2>/dev/null; done; done
for i in $(/bin/busybox seq 50); do [ -b /dev/vda ] && break; /bin/busybox sleep 0.2; done
/bin/busybox mount -o rw /dev/vda /root
exec /bin/busybox switch_root /root /sbin/init
"""


def missing() -> list[str]:
    """What keeps it from being done here."""
    found = [f"{program} (package {package})" for program, package in NEEDS.items() if shutil.which(program) is None]
    return (found if os.geteuid() == 0 else [*found, "root"]) + ([] if os.uname().machine == "x86_64" else ["an x86_64 machine"])


def kernel(work: Path) -> Path:
    """Debian's kernel for clouds, unpacked and not installed; the folder."""
    folder = work / "kernel"
    if not folder.exists():
        depends = subprocess.run(["apt-cache", "depends", KERNEL], capture_output=True, text=True, check=True).stdout.split()
        name = next(word for word in depends if word.startswith("linux-image-") and word != KERNEL)
        subprocess.run(["apt-get", "-q", "download", name], cwd=work, check=True, stdout=sys.stderr)
        fresh = work / "kernel.new"
        shutil.rmtree(fresh, ignore_errors=True)
        subprocess.run(["dpkg", "-x", str(next(work.glob(f"{name}_*.deb"))), str(fresh)], check=True)
        fresh.rename(folder)
    return folder


def system(work: Path) -> Path:
    """A minimal system with systemd and Python as a tar file."""
    packed = work / "system.tar"
    if not packed.exists():
        fresh = work / "fresh.tar"
        subprocess.run(
            ["mmdebstrap", "-q", "--variant=minbase", "--include=systemd,systemd-sysv,python3", "bookworm", str(fresh)], check=True
        )
        fresh.rename(packed)
    return packed


def image(work: Path) -> Path:
    """The disk: the system, the agent as it is in this checkout, and what is run there."""
    with tempfile.TemporaryDirectory(dir=work) as folder:
        subprocess.run(["tar", "-xf", str(system(work)), "-C", folder], check=True)
        shutil.copytree(REPO / "agent", f"{folder}/srv/agent", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(REPO / "bench" / "_in_kernel.py", f"{folder}/srv")
        units = Path(folder, "etc/systemd/system")
        (units / "anfl.service").write_text(SERVICE)
        (units / "multi-user.target.wants").mkdir(exist_ok=True)
        (units / "multi-user.target.wants/anfl.service").symlink_to("../anfl.service")
        Path(folder, "etc/machine-id").write_text("")
        disk = work / "disk.ext4"
        disk.unlink(missing_ok=True)
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", folder, str(disk), "1200M"], check=True, stdout=sys.stderr)
    return disk


def first_files(work: Path, unpacked: Path) -> Path:
    """What the kernel starts with: busybox, and the modules without which it has no disk."""
    with tempfile.TemporaryDirectory(dir=work) as folder:
        top = Path(folder)
        for name in ("bin", "m", "proc", "sys", "dev", "root"):
            (top / name).mkdir()
        shutil.copy(shutil.which("busybox") or "", top / "bin/busybox")
        for pattern in MODULES:
            for module in unpacked.rglob(pattern):
                shutil.copy(module, top / "m")
        (top / "init").write_text(INIT)
        (top / "init").chmod(0o755)
        names = "\n".join(str(path.relative_to(top)) for path in sorted(top.rglob("*")))
        packed = subprocess.run(
            ["busybox", "cpio", "-o", "-H", "newc"], cwd=top, input=names.encode(), capture_output=True, check=True
        )
        (work / "initrd").write_bytes(packed.stdout)
    return work / "initrd"


def boot(work: Path) -> dict[str, Any]:
    """All that the machine said, part by part; SystemExit with its last words if it said nothing."""
    unpacked = kernel(work)
    argv = ["nice", "-n", "15", "qemu-system-x86_64", "-machine", "q35,accel=tcg", "-cpu", "max", "-m", "1024", "-smp", "2"]
    argv += ["-nographic", "-no-reboot", "-net", "none", "-kernel", str(next(unpacked.glob("boot/vmlinuz-*")))]
    argv += ["-initrd", str(first_files(work, unpacked)), "-append", WORDS]
    argv += ["-drive", f"file={image(work)},if=virtio,format=raw,snapshot=on"]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=BOOT_S, check=False)
    said = done.stdout.decode(errors="replace").replace("\r", "")
    told: dict[str, Any] = {}
    for line in said.splitlines():
        if line.startswith("ANFL "):
            told |= json.loads(line[5:])
    if not told:
        raise SystemExit(f"the machine said nothing of use:\n{said[-3000:]}\n{done.stderr.decode(errors='replace')[-500:]}")
    return told


def main() -> int:
    """Print what was seen; 1 if a limit did not show, 3 if it cannot be done here."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "anfl-boot", help="kept for the next time")
    words.add_argument("--json", action="store_true", help="one document")
    said = words.parse_args()
    if lacks := missing():
        print(f"cannot be done here: it needs {', '.join(lacks)}", file=sys.stderr)
        return 3
    said.work.mkdir(parents=True, exist_ok=True)
    try:
        kernel(said.work), system(said.work)
    except (subprocess.CalledProcessError, StopIteration) as error:
        print(f"cannot be done here: the system could not be fetched ({error})", file=sys.stderr)
        return 3
    try:
        told = boot(said.work)
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
