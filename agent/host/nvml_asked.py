"""Asking one GPU or MIG instance, in the process that calls NVML: the beacon, the codes, and what is not supported.

Only that process imports this module.
"""

from __future__ import annotations

import time

import pynvml

from agent.host import nvml_wire as wire
from agent.host.nvml_lists import LISTS
from agent.host.nvml_wire import Beacon

TYPE_CHECKING = False  # typing brings a MiB of modules
if TYPE_CHECKING:
    from typing import Any

    Values = dict[str, Any]

VALUES = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
"""Members of a field value's union, by its type."""


class Gone(Exception):
    """The GPU answers nothing this time; ``args[0]`` is NVML's code."""


class Over(Exception):
    """NVML as a whole answers nothing any more; ``args[0]`` is its code."""


class Moved(Exception):
    """The handle means another GPU now: indexes have shifted."""


class Tally:
    """Calls made and seconds spent in them."""

    def __init__(self) -> None:
        self.calls = 0
        self.seconds = 0.0


class Asked:
    """Something that can be asked: a GPU or a MIG instance. A call that is not supported is made once."""

    def __init__(self, handle: Any, index: int, beacon: Beacon, tally: Tally) -> None:
        self.handle = handle
        self.index = index
        self._beacon = beacon
        self._tally = tally
        self._refused: set[tuple[Any, ...]] = set()

    def forget(self) -> None:
        """Ask everything again: the GPU's mode has changed."""
        self._refused.clear()

    def ask(self, name: str, *args: Any) -> Any:
        """What the call returns, or None where it has no answer. :class:`Gone` and :class:`Over` end the asking."""
        return self._call((name, *args), name, *args)

    def _call(self, key: tuple[Any, ...], name: str, *args: Any) -> Any:
        """The same with ``key`` as what is remembered as refused."""
        if key in self._refused:
            return None
        code, value = self._make(name, *args)
        if code in wire.NEVER:
            self._refused.add(key)
        return value

    def _make(self, name: str, *args: Any) -> tuple[int, Any]:
        """Make the call: NVML's code and what it returned."""
        function = LISTS.get(name) or getattr(pynvml, name, None)
        if function is None:
            return wire.FUNCTION_NOT_FOUND, None
        began = time.monotonic()
        self._beacon.enter(self.index, name.encode(), began)
        try:
            return 0, function(self.handle, *args)
        except pynvml.NVMLError as error:
            _raise_for(error.value)
            return error.value, None
        except UnicodeDecodeError:  # a name that is none
            return wire.UNKNOWN, None
        finally:
            self._beacon.leave()
            self._tally.calls += 1
            self._tally.seconds += time.monotonic() - began

    def first(self, *choices: tuple[Any, ...]) -> Any:
        """The newest form of a call that is supported; which one that is, is remembered."""
        for choice in choices:
            found = self.ask(*choice)
            if found is not None or choice not in self._refused:
                return found
        return None

    def fields(self, wanted: tuple[Any, ...]) -> Values:
        """Field values by id; several ids, or (id, scope) pairs, in one call."""
        asked = [field for field in wanted if ("field", field) not in self._refused]
        if not asked:
            return {}
        found: Values = {}
        for field, got in zip(asked, self._call(("fields", wanted[0]), "nvmlDeviceGetFieldValues", asked) or (), strict=False):
            if got.nvmlReturn in wire.NEVER:
                self._refused.add(("field", field))
            elif got.nvmlReturn:
                _raise_for(got.nvmlReturn)
            elif got.valueType < len(VALUES):
                found[str(field)] = getattr(got.value, VALUES[got.valueType])
        return found


def _raise_for(code: int) -> None:
    if code in wire.OVER:
        raise Over(code)
    if code in wire.GONE:
        raise Gone(code)
