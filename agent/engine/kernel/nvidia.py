"""Other messages of the NVIDIA driver: a GPU off the bus, versions that differ, GSP, NVSwitch, NVLink, peer memory.

Forms of osinit.c, osapi.c, kernel_gsp.c and common_nvswitch.h of NVIDIA's open kernel modules.
"""

from __future__ import annotations

import re

from agent.engine.kernel import xid
from agent.engine.kernel.log import Log
from agent.engine.kernel.record import Happening, Value
from agent.engine.kernel.words import BDF, integer, name_before, pci

_OFF = re.compile(rf"NVRM: GPU (?:at )?(?:PCI:)?({BDF}):? (?:GPU )?has fallen off the bus", re.IGNORECASE)
_PROBED = re.compile(r"NVRM: The NVIDIA GPU (\S{1,40})")
_OFF_TEXT = "fallen off the bus and is not responding"
_SXID = re.compile(
    rf"nvidia-(?:nvswitch(\d{{1,3}})|\w{{1,30}}): SXid \((?:PCI:)?({BDF})\): (\d{{1,6}})(?![\w.])(?:, (.*))?",
    re.IGNORECASE | re.DOTALL,
)
_SXID_TEXT = re.compile(r"(?:(Fatal|Non-fatal)\b,? ?)?(?:Link (-?\d{1,3})\b ?)?(.*)", re.IGNORECASE | re.DOTALL)
_MORE = re.compile(r"(?:Severity \d|Data ?\{)")
_DETECT = re.compile(
    r"NVRM: (?:\w+: )?knvlink(?:Discover|Update)PostRx\w*: (?:Getting peer\d+(?:'s)? postRxDetLinkMask failed"
    r"|Failed to update Rx Detect Link mask)!"
)
_PEERMEM = re.compile(r"nvidia-peermem \w+:\d+ ERROR detected invalid context, skipping further processing")
_GSP = re.compile(
    rf"NVRM: (?:Rate limiting GSP RPC error prints for GPU at PCI:({BDF})|(?:\w+: )?.{{0,80}}?Timeout (?:after \d+s of )?"
    r"waiting for RPC (?:response )?from (?:GPU\d+ )?GSP!)"
)
_INIT = re.compile(rf"NVRM: (?:GPU ({BDF}): )?(?:RmInitAdapter failed!|rm_init_adapter failed)")
_VERSIONS = (
    re.compile(r"API mismatch: the client has the version ([\w.]+),? but this kernel module has the version ([\w.]+)"),
    re.compile(
        r"API mismatch: (?:the )?NVIDIA kernel module has (?:the )?version [\w.]+,? but this NVIDIA driver component has "
        r"(?:the )?version ([\w.]+)"
    ),
)
_MODULE = re.compile(r"NVIDIA kernel module has (?:the )?version ([\w.]+)")
MISMATCH_LINES = 6
LOST = ("xid", "gpu_fallen_off_bus", "gpu_init_failed")
"""After one of these a GPU that cannot be initialised is no news."""


class Nvidia:
    """Keeps the parts of messages that come in several lines."""

    def __init__(self) -> None:
        self._probed: tuple[int, str | None] = (-100, None)
        self._mismatch: tuple[Happening, list[str], int] | None = None
        self.uuids: dict[str, str] = {}

    def read(self, text: str, log: Log) -> bool:
        """One line; True if it belongs to this family."""
        if not text.startswith("NVRM: "):
            return self._switch(text, log) or self._peermem(text, log)
        if self._mismatch is not None and self._more(text, log):
            return True
        return xid.read(text, log) or self._off(text, log) or self._differs(text, log) or self._other(text, log)

    def _off(self, text: str, log: Log) -> bool:
        if (found := _OFF.match(text)) is not None:
            address = pci(found[1])
            log.add("gpu_fallen_off_bus", {"pci": address}, (address,))
            return True
        if (probed := _PROBED.match(text)) is not None:
            self._probed = (log.line, pci(probed[1].removesuffix(":")))
        if _OFF_TEXT not in text:
            return False
        line, address = self._probed
        address = address if log.line - line <= MISMATCH_LINES else None
        log.add("gpu_fallen_off_bus", {"pci": address}, (address,))
        return True

    def _differs(self, text: str, log: Log) -> bool:
        if not text.startswith("NVRM: API mismatch:"):
            return False
        event = log.add(
            "driver_mismatch", {"client_version": None, "kernel_version": None, "process": None, "pid": None}, waits=True
        )
        self._mismatch = (event, [text[6:]], log.line)
        _mismatched(event, text[6:])
        return True

    def _more(self, text: str, log: Log) -> bool:
        """A further line of the last mismatch; the message ends with a full stop."""
        event, lines, began = self._mismatch or (None, [], 0)
        if event is None or log.line - began > MISMATCH_LINES or text.startswith(("NVRM: API", "NVRM: Xid", "NVRM: GPU")):
            self._mismatch = None
            return False
        lines.append(text[6:].strip())
        _mismatched(event, " ".join(lines))
        if "same version" in text:
            event.waits, self._mismatch = False, None
        return True

    def _other(self, text: str, log: Log) -> bool:
        if (known := xid.uuid_of(text)) is not None:
            if log.record.trusted is not False:
                self.uuids[known[0]] = known[1]
            return True
        if _DETECT.match(text):
            log.add("nvlink_rx_detect_failure", {})
            return True
        if (gsp := _GSP.match(text)) is not None:
            self._gsp(pci(gsp[1]) if gsp[1] else None, log)
            return True
        if (init := _INIT.match(text)) is not None:
            address = pci(init[1]) if init[1] else None
            if not any(
                e.kind in ("xid", "gpu_fallen_off_bus", "gpu_init_failed") and e.get("pci") == address for e in log.events[-8:]
            ):
                log.add("gpu_init_failed", {"pci": address}, (address,))
            return True
        return False

    def _gsp(self, address: str | None, log: Log) -> None:
        """The driver stops printing once it has printed enough: an event only where no Xid of it is at hand."""
        known = [e for e in log.events[-8:] if e.kind == "gsp_timeout" or e.get("xid") in (119, 120)]
        if not any(address in (None, e.get("pci")) for e in known):
            log.add("gsp_timeout", {"pci": address}, (address,))

    def _switch(self, text: str, log: Log) -> bool:
        found = _SXID.match(text)
        address = pci(found[2]) if found else None
        if found is None or address is None:
            return False
        said = found[4] or ""
        if _MORE.match(said):
            return True
        parts = _SXID_TEXT.match(said)
        word, link, detail = parts.groups() if parts else (None, None, said)
        fields: dict[str, Value] = {
            "sxid": int(found[3]), "pci": address, "nvswitch": integer(found[1]), "link": int(link) if link else None,
            "fatal": word.lower() == "fatal" if word else None, "detail": detail[:200],
        }  # fmt: skip
        log.add("sxid", fields)
        return True

    def _peermem(self, text: str, log: Log) -> bool:
        if _PEERMEM.match(text) is None:
            return False
        log.add("peermem_invalid_context", {}, ())
        return True


def _mismatched(event: Happening, text: str) -> None:
    """Fill in what the lines so far tell."""
    start = "API mismatch: the client '"
    if text.startswith(start):
        name = name_before(text[len(start) :], ("' (pid ",))
        pid = re.match(r"' \(pid (\d+)\)", text[len(start) + len(name) :]) if name is not None else None
        if name is not None and pid is not None:
            event.fields |= {"process": name, "pid": int(pid[1])}
            text = "API mismatch: the client" + text[len(start) + len(name) + pid.end() :]
    if (versions := _VERSIONS[0].match(text)) is not None:
        event.fields |= {"client_version": versions[1].rstrip("."), "kernel_version": versions[2].rstrip(".")}
    elif (client := _VERSIONS[1].match(text)) is not None and (module := _MODULE.search(text)) is not None:
        event.fields |= {"client_version": client[1].rstrip("."), "kernel_version": module[1].rstrip(".")}
