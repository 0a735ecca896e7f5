"""Which boot of the host this is."""

from __future__ import annotations

BOOT_ID = "/proc/sys/kernel/random/boot_id"


def boot_id() -> str:
    """A UUID that is new with every boot; "" where the kernel does not say."""
    try:
        with open(BOOT_ID) as file:
            return file.read().strip()
    except OSError:
        return ""
