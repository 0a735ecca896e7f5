"""Hardware that reports errors: machine checks, memory (EDAC), firmware (CPER), PCIe (AER).

Forms of arch/x86/kernel/cpu/mce, drivers/edac, drivers/firmware/efi/cper.c, drivers/pci/pcie/aer.c,
mm/memory-failure.c.
"""

from __future__ import annotations

import re

from agent.engine.kernel.log import NEAR_LINES, Log
from agent.engine.kernel.record import Happening, Value
from agent.engine.kernel.words import FULL_BDF, pci

_LOGGED = re.compile(r"(?:mce: )?\[Hardware Error\]: Machine check events logged")
_BANK = re.compile(
    r"(?:mce: )?\[Hardware Error\]: CPU (\d{1,6}): Machine Check(?: Exception)?: ?([0-9a-f]{1,16})? "
    r"Bank (\d{1,4}): ?([0-9a-f]{1,16})"
)
_AMD = re.compile(r"(?:mce: )?\[Hardware Error\]: CPU:(\d{1,6}) \([0-9a-f:]+\) MC(\d{1,4})_STATUS\[.{0,120}?\]: 0x([0-9a-f]{1,16})")
_POISON = re.compile(r"Memory failure: 0x[0-9a-f]{1,16}: Killing (.{1,64}):(\d{1,10}) due to hardware memory corruption")
_UNCORRECTED = re.compile(r"mce: Uncorrected hardware memory error in (?:user|kernel)-access at ([0-9a-f]{1,16})")
_EDAC = re.compile(r"EDAC (?:\w+ )?MC(\d{1,4}): (\d{1,10}) (CE|UE) (.{0,200}?)\bon (.{1,200}?)(?: \(|\s*\Z)")
_EDAC_OLD = re.compile(r"EDAC MC(\d{1,4}): (CE|UE) (?:page|row|-)")
_CPER = re.compile(r"(?:\{\d+\})?\[Hardware Error\]: event severity: (\w+)")
_SECTION = re.compile(r"(?:\{\d+\})?\[Hardware Error\]: \s*section_type: (.{1,60})")
_BUS_ERROR = re.compile(
    rf"(?:\w[\w-]{{0,30}} )?({FULL_BDF}): (?:AER: )?PCIe Bus Error: severity="
    r"(Correct(?:ed|able)|Uncorrect(?:ed|able)(?: \([\w-]+\))?)(?:, type=([^,(]{1,40}))?"
)
_RECEIVED = re.compile(
    rf"(?:\w[\w-]{{0,30}} )?({FULL_BDF}): AER: (?:Multiple )?(Correct(?:ed|able)|Uncorrect(?:ed|able)(?: \([\w-]+\))?)"
    rf" error (?:message )?received(?: from|:)?(?: id=[0-9a-f]+)?\s?({FULL_BDF})?"
)
_LOST = re.compile(
    rf"(?:\w[\w-]{{0,30}} )?({FULL_BDF}): AER: (?:can't recover|[Dd]evice recovery failed|subordinate device reset failed)"
)


class Ras:
    """Lines of one error are one event."""

    def __init__(self) -> None:
        self._mce: tuple[Happening, int] | None = None
        self._aer: tuple[Happening, int] | None = None
        self._cper: tuple[Happening, int] | None = None

    def read(self, text: str, log: Log) -> bool:
        """One line; True if it belongs to this family."""
        return self._check(text, log) or self._memory(text, log) or self._firmware(text, log) or self._pcie(text, log)

    def _check(self, text: str, log: Log) -> bool:
        if (poison := _POISON.match(text)) is not None:
            log.add("memory_failure", {"process": poison[1], "pid": int(poison[2])})
            return True
        if _UNCORRECTED.match(text):
            log.add("mce", {"cpu": None, "bank": None, "status": None})
            return True
        near = self._mce[0] if self._mce is not None and log.line - self._mce[1] <= NEAR_LINES else None
        if _LOGGED.match(text):
            if near is None:
                self._mce = (log.add("mce", {"cpu": None, "bank": None, "status": None}, waits=True), log.line)
            return True
        found, amd = _BANK.match(text), None
        if found is None:
            amd = _AMD.match(text)
            if amd is None:
                return False
        where: dict[str, Value] = (
            {"cpu": int(found[1]), "bank": int(found[3]), "status": found[4]}
            if found is not None
            else {"cpu": int(amd[1]), "bank": int(amd[2]), "status": amd[3]} if amd is not None else {}
        )  # fmt: skip
        if near is not None and near.get("cpu") is None:  # the line before only said that there is something
            near.fields |= where
            near.waits = False
            return True
        self._mce = (log.add("mce", where), log.line)
        return True

    def _memory(self, text: str, log: Log) -> bool:
        if (found := _EDAC.match(text)) is not None:
            count = int(found[2])
            fields: dict[str, Value] = {"mc": int(found[1]), "severity": found[3].lower(), "dimm": found[5]}
            fields["detail"] = found[4].strip()
        elif (old := _EDAC_OLD.match(text)) is not None:
            fields, count = {"mc": int(old[1]), "severity": old[2].lower(), "dimm": None}, 1
        else:
            return False
        event = log.add("edac", fields)
        event.count += (count - 1) * log.record.repeat
        return True

    def _firmware(self, text: str, log: Log) -> bool:
        if (found := _CPER.match(text)) is not None:
            event = log.add("cper", {"severity": found[1].lower(), "section": None}, waits=True)
            self._cper = (event, log.line)
            return True
        section = _SECTION.match(text)
        if section is not None and self._cper is not None and log.line - self._cper[1] <= NEAR_LINES:
            self._cper[0].fields["section"] = section[1].strip()
        return section is not None

    def _pcie(self, text: str, log: Log) -> bool:
        if (lost := _LOST.match(text)) is not None:
            log.add("pcie_aer", _aer(lost[1], "unrecovered"), (lost[1], "unrecovered"))
        elif (bus := _BUS_ERROR.match(text)) is not None:
            self._bus_error(bus[1], _severity(bus[2]), bus[3], log)
        elif (got := _RECEIVED.match(text)) is not None:
            event = log.add("pcie_aer", _aer(got[3] or got[1], _severity(got[2])) | {"port": got[1]}, waits=True)
            self._aer = (event, log.line)
        else:
            return False
        return True

    def _bus_error(self, device: str, severity: str, layer: str | None, log: Log) -> None:
        """The port announces an error before the device that had it describes it."""
        near = self._aer[0] if self._aer is not None and log.line - self._aer[1] <= 4 else None
        fields = _aer(device, severity) | {"layer": layer.strip() if layer else None}
        if near is not None and near.get("severity") == severity and near.get("layer") is None:
            near.fields |= fields
            near.waits = False
        else:
            log.add("pcie_aer", fields)


def _aer(device: str, severity: str) -> dict[str, Value]:
    return {"device": device, "pci": pci(device), "severity": severity, "layer": None}


def _severity(word: str) -> str:
    if word.startswith("Correct"):
        return "corrected"
    return "nonfatal" if "non" in word.lower() else "fatal"
