"""Answers requests with NVML, in the process made for it: opening, listing GPUs, reading a tier from all of them."""

from __future__ import annotations

import time

import pynvml

from agent.host import nvml_wire as wire
from agent.host.nvml_asked import Gone, Moved, Over, Tally
from agent.host.nvml_device import Device
from agent.host.nvml_wire import Beacon

TYPE_CHECKING = False  # typing brings a MiB of modules
if TYPE_CHECKING:
    from typing import Any

MOST_GPUS = 64
"""More than any host has; a driver that counts more is asked for each until it knows none of that index."""


class Desk:
    """NVML opened once, a handle of each GPU kept. ``skip`` are indexes not to be touched, ``only`` the single one to touch."""

    def __init__(self, beacon: Beacon, skip: set[int], only: int | None) -> None:
        self._beacon = beacon
        self._skip = skip
        self._only = only
        self._tally = Tally()
        self._devices: list[Device] = []
        self._list: list[dict[str, Any]] = []
        self._count = 0
        self._gone = False

    def open(self) -> dict[str, Any]:
        """Initialise NVML and list the GPUs; ``over`` with NVML's code where that fails."""
        try:
            self._plain("nvmlInit")
            about = {"driver": self._version("nvmlSystemGetDriverVersion"), "nvml": self._version("nvmlSystemGetNVMLVersion")}
            self._enumerate()
        except pynvml.NVMLError as error:
            return {"over": error.value}
        except Over as over:
            return {"over": over.args[0]}
        return self._with_costs({**about, "list": self._list, "count": self._count})

    def close(self) -> None:
        """Let the driver go in an orderly way: an exporter killed in mid-use has frozen a GPU before."""
        try:
            self._plain("nvmlShutdown")
        except pynvml.NVMLError:
            pass

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """One tier (``fast`` or ``health``) of every GPU but those to ``skip``, with the list where it may have changed.

        With the slower tier a GPU that answered nothing last time gets a new handle: it may have been reset.
        """
        changed = set(request["skip"]) != self._skip or (request["do"] == "health" and self._gone)
        self._skip = set(request["skip"])
        try:
            count = self._plain("nvmlDeviceGetCount")
            if changed or count != self._count:
                self._enumerate()
                changed = True
            try:
                gpus = self._read(request)
            except Moved:
                self._enumerate()
                changed, gpus = True, self._read(request)
        except pynvml.NVMLError as error:
            return {"over": error.value}
        except Over as over:
            return {"over": over.args[0]}
        except Moved:
            return {"over": wire.UNINITIALIZED}
        return self._with_costs({"gpus": gpus, "count": self._count, **({"list": self._list} if changed else {})})

    def _read(self, request: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for device in self._devices:
            try:
                found[device.uuid] = device.fast(request.get("procs", True)) if request["do"] == "fast" else device.health()
            except Gone as gone:
                found[device.uuid] = {"gone": gone.args[0]}
            except (Over, Moved, pynvml.NVMLError):
                raise
            except Exception as error:  # an answer nobody expected from one GPU must not cost the others
                found[device.uuid] = {"gone": wire.UNKNOWN, "error": _named(error)}
        self._gone = any("gone" in said for said in (*found.values(), *self._list))
        return found

    def _enumerate(self) -> None:
        """Handles of all GPUs by index, with what does not change about them; one that is lost has only its code."""
        self._devices, self._list = [], []
        self._count = self._plain("nvmlDeviceGetCount")
        indexes = range(min(self._count, MOST_GPUS)) if self._only is None else [self._only]
        for index in indexes:
            if index in self._skip:
                continue
            entry: dict[str, Any] = {"index": index}
            try:
                handle = self._plain("nvmlDeviceGetHandleByIndex", index, at=index)
                device = Device(handle, index, self._beacon, self._tally)
                entry |= device.facts()
                self._devices.append(device)
            except Gone as gone:
                entry["gone"] = gone.args[0]
            except pynvml.NVMLError as error:
                if error.value == wire.INVALID_ARGUMENT and self._count > MOST_GPUS:
                    break
                entry["gone"] = error.value
            except Over:
                raise
            except Exception as error:  # an answer nobody expected from one GPU must not cost the others
                entry |= {"gone": wire.UNKNOWN, "error": _named(error)}
            self._list.append(entry)

    def _plain(self, name: str, *args: Any, at: int = wire.NO_GPU) -> Any:
        began = time.monotonic()
        self._beacon.enter(at, name.encode(), began)
        try:
            return getattr(pynvml, name)(*args)
        finally:
            self._beacon.leave()
            self._tally.calls += 1
            self._tally.seconds += time.monotonic() - began

    def _version(self, name: str) -> str:
        try:
            return _text(self._plain(name))
        except (pynvml.NVMLError, UnicodeDecodeError):
            return ""

    def _with_costs(self, reply: dict[str, Any]) -> dict[str, Any]:
        return {**reply, "calls": self._tally.calls, "seconds": self._tally.seconds}


def _text(raw: Any) -> str:
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200]
