"""A process that uses NVML through nvidia-ml-py, told line by line what to evaluate."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

CHILD = """
import ctypes, json, sys
import pynvml as N

def h(i): return N.nvmlDeviceGetHandleByIndex(i)
def m(i, k): return N.nvmlDeviceGetMigDeviceHandleByIndex(h(i), k)
def by_uuid(u): return N.nvmlDeviceGetHandleByUUID(u)
def filled(call, make, *args, **fields):
    struct = make()
    for name, value in fields.items(): setattr(struct, name, value)
    rc = call(*args, ctypes.byref(struct))
    if isinstance(rc, int) and rc: raise N.NVMLError(rc)
    return struct
def raw(name, *args):
    rc = getattr(N.nvmlLib, name)(*args)
    if rc: raise N.NVMLError(rc)
def handle(name, *args):
    device = N.c_nvmlDevice_t()
    raw(name, *args, ctypes.byref(device))
    return device
def counted(name, *args, after=()):
    count = ctypes.c_uint(0)
    rc = getattr(N.nvmlLib, name)(*args, ctypes.byref(count), *after)
    if rc not in (0, 7): raise N.NVMLError(rc)
    return count.value
def fields(i, *ids):
    return {v.fieldId: -v.nvmlReturn or v.value.ullVal for v in N.nvmlDeviceGetFieldValues(h(i), ids)}

def plain(v):
    if isinstance(v, bytes): return v.decode("utf-8", "replace")
    if isinstance(v, ctypes.Array): return [plain(x) for x in v]
    if isinstance(v, (ctypes.Structure, ctypes.Union)): return {f[0]: plain(getattr(v, f[0])) for f in v._fields_}
    if isinstance(v, N.nvmlFriendlyObject): return {k: plain(x) for k, x in vars(v).items()}
    if isinstance(v, (list, tuple)): return [plain(x) for x in v]
    if isinstance(v, dict): return {str(k): plain(x) for k, x in v.items()}
    return v if isinstance(v, (int, float, str, type(None))) else repr(v)

kept = {}
for line in sys.stdin:
    try:
        answer = {"value": plain(eval(json.loads(line)))}
    except N.NVMLError as error:
        answer = {"error": error.value}
    except Exception as error:
        answer = {"raised": type(error).__name__ + ": " + str(error)}
    print(json.dumps(answer), flush=True)
"""


class NvmlError(Exception):
    """An NVML call failed in the client; ``code`` is its return code."""

    def __init__(self, code: int) -> None:
        super().__init__(str(code))
        self.code = code


class NvmlClient:
    """One such process. Called with an expression over ``N`` (pynvml), ``h(i)``, ``m(i, k)`` and ``fields(i, *ids)``."""

    def __init__(self, environment: Mapping[str, str], init: bool = True) -> None:
        env = {**os.environ, **environment}
        self._process = subprocess.Popen(
            [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, text=True, bufsize=1
        )
        if init:
            self("N.nvmlInit()")

    @property
    def pid(self) -> int:
        """Its pid."""
        return self._process.pid

    def __call__(self, expression: str) -> Any:
        """The value, with structures as dicts; :class:`NvmlError` if the call failed, AssertionError for any other exception."""
        self.ask(expression)
        return self.answer()

    def ask(self, expression: str) -> None:
        """Begin without waiting."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(expression) + "\n")

    def answered(self, within: float) -> bool:
        """Whether the answer is there, after at most so many seconds."""
        assert self._process.stdout is not None
        return bool(select.select([self._process.stdout], [], [], within)[0])

    def answer(self) -> Any:
        """The answer to what was asked."""
        assert self._process.stdout is not None
        said = json.loads(self._process.stdout.readline())
        if "error" in said:
            raise NvmlError(said["error"])
        assert "raised" not in said, said["raised"]
        return said["value"]

    def error(self, expression: str) -> int:
        """The code of a call that fails; 0 if it does not."""
        try:
            self(expression)
        except NvmlError as failed:
            return failed.code
        return 0

    def close(self) -> None:
        """End it, whatever it hangs in."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()
