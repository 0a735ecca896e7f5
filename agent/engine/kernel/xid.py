"""Xid: ``NVRM: Xid (PCI:dddd:bb:dd[ GPU-I:n[ GPU-CI:n]]): N[, pid=P, name=C][, text[ caused by previous Xid M]]``.

Form of src/nvidia/src/kernel/gpu/rc/kernel_rc.c; read from left to right, for the process may have any name.
"""

from __future__ import annotations

import re

from agent.engine.kernel.log import Log
from agent.engine.kernel.record import Value
from agent.engine.kernel.words import BDF, COMM, integer, pci

_HEAD = re.compile(
    rf"NVRM: Xid \((?:PCI:)?({BDF})(?: GPU-I:(\d{{1,4}}))?(?: GPU-CI:(\d{{1,4}}))?\): (\d{{1,10}})(?![\w.])(?:,\s*|\s*)",
    re.IGNORECASE,
)
_PID = re.compile(r"pid=(?:'?<unknown>'?|(-?\d{1,10}))(?:,\s*|\Z)")
_PREVIOUS = re.compile(r"caused by previous Xid (\d{1,10})\s*\Z")
_TEXT = re.compile(
    r"Ch [0-9a-fA-F]{4,}|[Cc]hannel (?:ID )?(?:0x)?[0-9a-fA-F]|Graphics |Class Error|MMU Fault|GPU has fallen|Contained: "
    r"|Uncontained: |Row Remapper|Timeout |GSP|NVLink|DBE |errorString|Dynamic Page|[0-9a-f]{4}\([0-9a-f]{4}\) "
    r"|[A-Z][A-Z0-9_/]+ +(?:Fatal|Nonfatal)\b"
)
"""How the driver's own text begins, to find the end of a name that holds ``, ``."""
_LINK5 = re.compile(r"([A-Z][\w/]*)\s+(Fatal|Nonfatal)\s+(?:XC\d+\s+)?(?:i\d+\s+)?Link\s+(-?\d+)\s*\((?:0x([0-9a-fA-F]{1,8}))?")
_LINK = re.compile(r"\b(?:detected on )?[Ll]inks? (\d{1,3})\b")
_RECOVERY = re.compile(r"GPU recovery action changed from 0x[0-9a-fA-F]+ \(([^()]{1,60})\) to 0x[0-9a-fA-F]+ \(([^()]{1,60})\)")
_UNIT = re.compile(r"\(GPC (\d+), TPC (\d+)(?:, SM (\d+))?\)")
_CHANNEL = re.compile(r"Ch ([0-9a-fA-F]{8})\b|[Cc]hannel (?:ID )?(?:0x)?([0-9a-fA-F]{1,8})\b")
_RESET = re.compile(r"\bRST: (Yes|No)\b")
_GSP = re.compile(r"Timeout (?:after (\d+)s of )?waiting for RPC (?:response )?from (?:GPU(\d+) )?GSP!")
_UUID = re.compile(rf"NVRM: GPU at PCI:({BDF}): (GPU-[0-9a-fA-F-]{{36}})")
NVLINK5 = range(144, 151)


def read(text: str, log: Log) -> bool:
    """One line; True if it was an Xid."""
    head = _HEAD.match(text)
    if head is None:
        return False
    address = pci(head[1])
    if address is None:
        return False
    number = int(head[4])
    fields: dict[str, Value] = {
        "xid": number, "pci": address, "gpu_instance": integer(head[2]), "compute_instance": integer(head[3]), "pid": None,
        "process": None,
    }  # fmt: skip
    rest = text[head.end() :]
    who = _PID.match(rest)
    if who is not None:
        fields["pid"] = integer(who[1])
        rest = rest[who.end() :]
        if rest.startswith("name="):
            fields["process"], rest = _name(rest[5:])
    fields |= _details(number, rest)
    log.add("xid", fields)
    return True


def _name(text: str) -> tuple[str | None, str]:
    """Name and what follows. A name that holds the separator, so that two readings are possible, is not guessed."""
    cut = text.find(", ")
    if cut < 0:
        name = text.rstrip().removesuffix(",")
        return _known(name), ""
    cuts = [at for at in range(cut, min(len(text) - 1, COMM + 1)) if text.startswith(", ", at)]
    sure = [at for at in cuts if _TEXT.match(text, at + 2)]
    if sure and (len(sure) > 1 or sure[0] != cut):
        return None, text[sure[-1] + 2 :]
    return _known(text[:cut]), text[cut + 2 :]


def _known(name: str) -> str | None:
    return None if name in ("", "<unknown>", "'<unknown>'") else name


def _details(number: int, text: str) -> dict[str, Value]:
    """What the driver's own text says, by number."""
    found: dict[str, Value] = {"detail": text[:200]}
    if (previous := _PREVIOUS.search(text)) is not None:
        found["prev_xid"] = int(previous[1])
    if number in NVLINK5 and (link := _LINK5.match(text)) is not None:
        found |= {"unit": link[1], "severity_word": link[2], "link": int(link[3])}
        if link[4]:
            found["subcode"] = int(link[4], 16) >> 20 & 0x3F
    elif text.startswith("NVLink") and (plain := _LINK.search(text)) is not None:
        found["link"] = int(plain[1])
    elif (change := _RECOVERY.match(text)) is not None:
        found |= {"recovery_from": change[1], "recovery_to": change[2]}
    if (unit := _UNIT.search(text)) is not None:
        found |= {"gpc": int(unit[1]), "tpc": int(unit[2]), "sm": integer(unit[3])}
    if (channel := _CHANNEL.match(text)) is not None:
        found["channel"] = int(channel[1] or channel[2], 16)
    if (reset := _RESET.search(text)) is not None:
        found["reset_required"] = reset[1] == "Yes"
    if (gsp := _GSP.match(text)) is not None:
        found |= {"seconds": integer(gsp[1]), "gpu_number": integer(gsp[2])}
    return found


def uuid_of(text: str) -> tuple[str, str] | None:
    """PCI address and UUID where the driver says which belong together: it does once, before a GPU's first Xid."""
    found = _UUID.match(text)
    address = pci(found[1]) if found else None
    return (address, found[2]) if found and address else None
