"""Settings of a case inside what it says of GPUs, the kernel log and the culprit: ``{GPU}``, and ``{pci:GPU}`` for its address.

So a variant draws another GPU, another pid, another device, and report, counter and expectation still fit each other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agent.drill.case import Case, Wanted

_HOLE = re.compile(r"\{(?:(pci):)?([A-Z][A-Z0-9_]*)\}")
_FIRST_BUS, _STEP = 0x18, 8
"""The simulated GPUs' addresses (docs/simulator.md)."""


def filled(case: Case) -> Case:
    """The case with its settings put in; a word in braces that is no setting stays as it is."""
    if not case.sim and not case.kernel_log:
        return case
    expect = case.expect
    if expect is not None:
        expect = replace(expect, culprits=tuple(_wanted(one, case.env) for one in expect.culprits))
    return replace(
        case, sim=_put(case.sim, case.env), kernel_log=tuple(_text(line, case.env) for line in case.kernel_log), expect=expect
    )


def _put(said: Any, env: Mapping[str, str]) -> Any:
    if isinstance(said, str):
        return _text(said, env)
    if isinstance(said, Mapping):
        return {_text(str(key), env): _put(value, env) for key, value in said.items()}
    return [_put(one, env) for one in said] if isinstance(said, list | tuple) else said


def _wanted(wanted: Wanted, env: Mapping[str, str]) -> Wanted:
    def put(text: str | None) -> str | None:
        return None if text is None else _text(text, env)

    return replace(wanted, name=put(wanted.name), uuid=put(wanted.uuid), pci=put(wanted.pci))


def _text(text: str, env: Mapping[str, str]) -> str:
    def setting(hole: re.Match[str]) -> str:
        value = env.get(hole[2])
        if value is None or (hole[1] and not value.isdigit()):
            return hole[0]
        return f"0000:{_FIRST_BUS + _STEP * int(value):02x}:00" if hole[1] else value

    return _HOLE.sub(setting, text)
