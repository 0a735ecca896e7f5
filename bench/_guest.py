"""A Debian system with its own kernel and systemd in an emulated machine: for benches that need a host to themselves."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

NEEDS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "mmdebstrap": "mmdebstrap",
    "busybox": "busybox-static",
    "mke2fs": "e2fsprogs",
    "dpkg": "dpkg",
    "apt-get": "apt",
}
WORK = Path(tempfile.gettempdir()) / "anfl-boot"
KERNEL = "linux-image-cloud-amd64"
MODULES = ("virtio*.ko", "crc32c*.ko", "libcrc32c.ko")
WORDS = (
    "console=ttyS0 root=/dev/vda rw quiet mitigations=off panic=-1 systemd.mask=serial-getty@ttyS0.service"
    " systemd.mask=dev-ttyS0.device systemd.show_status=0"
)
SERVICE = """[Service]
Type=oneshot
TimeoutStartSec=infinity
Environment={environment}
ExecStart=/usr/bin/python3 {program}
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


def cannot(work: Path) -> str:
    """Have the kernel and the system in ``work``; why that cannot be, or nothing."""
    if lacks := missing():
        return f"it needs {', '.join(lacks)}"
    work.mkdir(parents=True, exist_ok=True)
    try:
        kernel(work), system(work)
    except (subprocess.CalledProcessError, StopIteration) as error:
        return f"the system could not be fetched ({error})"
    return ""


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


def image(work: Path, furnish: Callable[[Path], None], size: str) -> Path:
    """The disk of ``size`` (as mke2fs takes it): the system and what ``furnish`` puts into its top folder."""
    with tempfile.TemporaryDirectory(dir=work) as folder:
        subprocess.run(["tar", "-xf", str(system(work)), "-C", folder], check=True)
        furnish(Path(folder))
        Path(folder, "etc/machine-id").write_text("")
        with tempfile.NamedTemporaryFile(prefix="disk-", suffix=".ext4", dir=work, delete=False) as disk:
            name = Path(disk.name)
        subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", folder, str(name), size], check=True, stdout=sys.stderr)
    return name


def service(top: Path, program: Path, environment: str) -> None:
    """``program`` is run in the guest as soon as it is up, and the guest powered off when it ends."""
    shutil.copy(program, top / "srv")
    units = top / "etc/systemd/system"
    (units / "anfl-bench.service").write_text(SERVICE.format(environment=environment, program=f"/srv/{program.name}"))
    wants(top, "anfl-bench.service")


def wants(top: Path, unit: str) -> None:
    """Have ``unit`` started with the system."""
    folder = top / "etc/systemd/system/multi-user.target.wants"
    folder.mkdir(exist_ok=True)
    (folder / unit).symlink_to(f"../{unit}")


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


def boot(work: Path, disk: Path, patience: float, niceness: int = 15) -> dict[str, Any]:
    """All that the machine said in lines ``ANFL {...}``, merged; the disk is removed afterwards.

    Raises subprocess.TimeoutExpired after ``patience`` seconds, SystemExit with its last words if it said nothing.
    """
    unpacked = kernel(work)
    argv = ["nice", "-n", str(niceness), "qemu-system-x86_64", "-machine", "q35,accel=tcg", "-cpu", "max", "-m", "1024"]
    argv += ["-smp", "2", "-nographic", "-no-reboot", "-net", "none", "-kernel", str(next(unpacked.glob("boot/vmlinuz-*")))]
    argv += ["-initrd", str(first_files(work, unpacked)), "-append", WORDS]
    argv += ["-drive", f"file={disk},if=virtio,format=raw,snapshot=on"]
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=patience, check=False)
    finally:
        disk.unlink(missing_ok=True)
    said = done.stdout.decode(errors="replace").replace("\r", "")
    told: dict[str, Any] = {}
    for line in said.splitlines():
        if line.startswith("ANFL "):
            told |= json.loads(line[5:])
    if not told:
        raise SystemExit(f"the machine said nothing of use:\n{said[-3000:]}\n{done.stderr.decode(errors='replace')[-500:]}")
    return told
