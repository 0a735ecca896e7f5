"""Messages of GPUs made up from the forms of the sources, parts of others, and the dress that tools put around them."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

Made = tuple[list[str], list[dict[str, Any]]]
"""Lines, and what must be found in them (only these keys count)."""

HOSTILE = "():/,[]{}=<>'\"# -_.%$@\\|;"
PLAIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def comm(rng: random.Random, forbid: str = "") -> str:
    """A task's name: up to 15 bytes, of anything printable; it neither begins nor ends with a space."""
    while True:
        text = "".join(rng.choice(PLAIN * 2 + HOSTILE) for _ in range(rng.randint(1, 15)))
        if text == text.strip() and "unknown" not in text and not any(part in text for part in (forbid or "\0")):
            return text


def bdf(rng: random.Random) -> str:
    """A GPU's address without function."""
    return f"{rng.choice((0, 0, 0, 1, 9, 0x18, 0xD)):04x}:{rng.randrange(256):02x}:{rng.randrange(32):02x}"


def disk(rng: random.Random) -> str:
    """A block device."""
    return rng.choice(
        (f"nvme{rng.randrange(32)}n1", f"sd{rng.choice('abcdef')}", f"dm-{rng.randrange(9)}", f"md{rng.randrange(130)}")
    )


def iface(rng: random.Random) -> str:
    """A network card's interface."""
    return rng.choice(
        (f"eth{rng.randrange(12)}", f"ens{rng.randrange(99)}f0np0", f"enp{rng.randrange(99)}s0f1", f"ib{rng.randrange(8)}")
    )


def hex_(rng: random.Random, digits: int) -> str:
    """So many hexadecimal digits."""
    return "".join(rng.choice("0123456789abcdef") for _ in range(digits))


def xid(rng: random.Random) -> Made:
    """krcReportXid: with or without MIG, task, text."""
    number, address, pid = rng.choice((8, 13, 31, 43, 48, 62, 69, 79, 94, 95, 119, 200, 51515)), bdf(rng), rng.randrange(1, 4 << 20)
    want: dict[str, Any] = {"kind": "xid", "xid": number, "pci": address, "gpu_instance": None, "compute_instance": None}
    attr = f"PCI:{address.upper() if rng.random() < 0.1 else address}"
    if rng.random() < 0.3:
        want["gpu_instance"] = rng.randrange(15)
        attr += f" GPU-I:{want['gpu_instance']:02d}"
        if rng.random() < 0.5:
            want["compute_instance"] = rng.randrange(8)
            attr += f" GPU-CI:{want['compute_instance']:02d}"
    texts = (
        f"Ch {hex_(rng, 8)}",
        f"channel 0x{hex_(rng, 8)}",
        f"Ch {hex_(rng, 8)}, intr 00000000. MMU Fault: ENGINE CE0 faulted @ 0x7_0",
    )
    text = rng.choice(texts)
    name = comm(rng)
    who = rng.choice((f"pid={pid}, name={name}, ", "pid='<unknown>', name=<unknown>, ", f"pid={pid}, ", ""))
    known = who.startswith(f"pid={pid}")
    want["pid"] = pid if known else None
    if ", " not in name:  # a name that holds the separator is not guessed
        want["process"] = name if known and "name" in who else None
    return [f"NVRM: Xid ({attr}): {number}, {who}{text}"], [want]


def follow_up(rng: random.Random) -> Made:
    """An Xid 45 that says what it follows."""
    address, previous, pid = bdf(rng), rng.choice((13, 31, 145, 149)), rng.randrange(1, 99999)
    line = f"NVRM: Xid (PCI:{address}): 45, pid={pid}, name=python3, Ch {hex_(rng, 8)} caused by previous Xid {previous}"
    return [line], [{"kind": "xid", "xid": 45, "pci": address, "prev_xid": previous, "pid": pid}]


def nvlink5(rng: random.Random) -> Made:
    """144 to 150 with unit, word, link and registers."""
    address, number, link, info = bdf(rng), rng.randrange(144, 151), rng.choice((-1, *range(18))), rng.randrange(1 << 32)
    word, unit = (
        rng.choice(("Fatal", "Nonfatal")),
        rng.choice(("SAW_MVB", "RLW_RXPIPE", "TLW_RX/TLW_RX_PIPE0", "NETIR_LINK_EVT", "NETIR")),
    )
    shown = f"{link:02d}" if link >= 0 else str(link)
    text = f"{unit}  {word}   XC{rng.randrange(2)} i0 Link {shown} (0x{info:08x} 0x{hex_(rng, 8)} 0x00000000)"
    want = {
        "kind": "xid",
        "xid": number,
        "pci": address,
        "link": link,
        "unit": unit,
        "severity_word": word,
        "subcode": info >> 20 & 0x3F,
    }
    return [f"NVRM: Xid (PCI:{address}): {number}, {text}"], [want]


def recovery(rng: random.Random) -> Made:
    """What the driver says the GPU needs."""
    words = ["None", "GPU Reset Required", "Node Reboot Required", "Drain P2P", "Drain and Reset"]
    a, b = rng.sample(range(5), 2)
    address = bdf(rng)
    line = f"NVRM: Xid (PCI:{address}): 154, GPU recovery action changed from 0x{a:x} ({words[a]}) to 0x{b:x} ({words[b]})"
    return [line], [{"kind": "xid", "xid": 154, "pci": address, "recovery_from": words[a], "recovery_to": words[b]}]


def switch(rng: random.Random) -> Made:
    """An SXid with its continuations."""
    at, number, link = rng.randrange(6), rng.choice((12028, 20034, 24007, 26006)), rng.randrange(64)
    address = bdf(rng)
    head = f"nvidia-nvswitch{at}: SXid (PCI:{address}.0): {number:05d}, "
    fatal = rng.choice((True, False, None))
    word = {True: "Fatal, ", False: "Non-fatal, ", None: ""}[fatal]
    with_link = fatal is not None
    text = f"{word}Link {link:02d} some error (First)" if with_link else "SOE HALTED"
    more = [head + "Severity 1 Engine instance 60 Sub-engine instance 00", head + "Data {0x10000000, 0x00000000}"]
    want = {"kind": "sxid", "sxid": number, "pci": address, "nvswitch": at, "fatal": fatal, "link": link if with_link else None}
    return [head + text, *more], [want]


def fallen(rng: random.Random) -> Made:
    """At probe time, in three lines, or while it runs."""
    address = bdf(rng)
    want = [{"kind": "gpu_fallen_off_bus", "pci": address}]
    if rng.random() < 0.5:
        return [f"NVRM: GPU {address}.0: GPU has fallen off the bus."], want
    return [
        f"NVRM: The NVIDIA GPU {address}.0",
        f"NVRM: (PCI ID: 10de:{hex_(rng, 4)}) installed in this system has",
        "NVRM: fallen off the bus and is not responding to commands.",
    ], want


def mismatch(rng: random.Random) -> Made:
    """Both wordings."""
    client, module = (f"{rng.randrange(300, 700)}.{rng.randrange(200)}.{rng.randrange(100):02d}" for _ in range(2))
    want: dict[str, Any] = {"kind": "driver_mismatch", "client_version": client, "kernel_version": module}
    if rng.random() < 0.5:
        return [
            f"NVRM: API mismatch: the client has the version {client}, but",
            f"NVRM: this kernel module has the version {module}.  Please",
            "NVRM: make sure that this kernel module and all NVIDIA driver",
            "NVRM: components have the same version.",
        ], [want]
    name, pid = comm(rng, forbid="'"), rng.randrange(1, 99999)
    return [
        f"NVRM: API mismatch: the client '{name}' (pid {pid})",
        f"NVRM: has the version {client}, but this kernel module has",
        f"NVRM: the version {module}.  Please make sure that this",
        "NVRM: kernel module and all NVIDIA driver components",
        "NVRM: have the same version.",
    ], [want | {"process": name, "pid": pid}]


def dressed(rng: random.Random, lines: list[str], at: float) -> list[str]:
    """The lines as one of the tools prints them."""
    shape = rng.choice(("text", "dmesg", "caller", "ctime", "decoded", "iso", "raw", "syslog", "journal", "kmsg", "short"))
    return [_DRESS[shape](line, at + n * 1e-5, rng) for n, line in enumerate(lines)]


_DRESS: dict[str, Callable[[str, float, random.Random], str]] = {
    "text": lambda line, at, rng: line,
    "dmesg": lambda line, at, rng: f"[{at:12.6f}] {line}",
    "caller": lambda line, at, rng: f"[{at:12.6f}][  T{rng.randrange(9999)}] {line}",
    "ctime": lambda line, at, rng: f"[Sun Feb  2 16:24:18 2025] {line}",
    "decoded": lambda line, at, rng: f"kern  :warn  : [{at:12.6f}] {line}",
    "iso": lambda line, at, rng: f"kern  :err   : 2025-01-21T04:41:44,{int(at) % 10**6:06d}+00:00 {line}",
    "raw": lambda line, at, rng: f"<{rng.randrange(8)}>[{at:12.6f}] {line}",
    "syslog": lambda line, at, rng: f"May  9 07:08:57 node-{rng.randrange(99)} kernel: [{at:12.6f}] {line}",
    "journal": lambda line, at, rng: f"2025-05-09T07:08:57+0200 node7 kernel: {line}",
    "kmsg": lambda line, at, rng: f"4,{int(at)},{int(at * 1e6)},-,caller=T1;" + line.replace("\\", "\\x5c"),
    "short": lambda line, at, rng: f"kernel: {line}",
}
