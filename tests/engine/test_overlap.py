"""The narrow sense in which two things that suffer belong together."""

from __future__ import annotations

from typing import Any

import pytest

from agent.engine.graph import Place
from agent.engine.overlap import home, place_of, shares
from agent.model import labels


def place(pids: tuple[str, ...] = (), known: dict[str, str] | None = None, **key: str) -> Place:
    """A place with this key."""
    return Place(labels(**key), {**key, **(known or {})}, frozenset(pids))


PID = place(("7",), {"cgroup": "/system.slice/a.service", "unit": "a.service", "uuid": "GPU-1"}, pid="7")


@pytest.mark.parametrize(
    ("other", "together"),
    [
        (place(("7", "8"), pid="8"), True),
        (place(("8",), pid="8"), False),
        (place(unit="a.service"), True),
        (place(unit="b.service"), False),
        (place(cgroup="/system.slice"), True),
        (place(cgroup="/system.slice/a.service"), True),
        (place(cgroup="/system.slice/a"), False),
        (place(uuid="GPU-1", gpu="0", pci="0000:01:00.0"), True),
        (place(uuid="GPU-2", gpu="0", pci="0000:01:00.0"), False),
        (place(device="sda"), False),
        (Place(), False),
    ],
)
def test_a_process_shares_with_what_holds_it(other: Place, together: bool) -> None:
    """Its family, its unit and cgroups, its GPU; not the host and its parts. It does not matter who is asked first."""
    assert shares(PID, other) is shares(other, PID) is together


def test_parts_of_the_host_share_with_themselves() -> None:
    """The same device, whatever else is said of it."""
    assert shares(place(device="sda"), place(known={"mountpoint": "/"}, device="sda"))
    assert not shares(place(device="sda"), place(device="sdb"))
    assert shares(Place(), Place())


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"unit": "a.service", "comm": "x"}, ("unit", "a.service", "x")),
        ({"unit": "a.service", "container": "c1"}, ("container", "c1", "")),
        ({"unit": "session-1.scope", "comm": "x"}, None),
        ({"cgroup": "/"}, None),
    ],
)
def test_what_a_restarted_process_has_in_common(known: dict[str, str], expected: Any) -> None:
    """Its program in its container or service; in a login session nothing."""
    assert home(place(known=known, pid="7")) == expected


def test_targets_of_diagnoses_have_places() -> None:
    """Of the kind they say they are."""
    process = place_of({"kind": "process", "pid": 7, "unit": "a.service", "name": "x", "cgroup": None})
    assert (process.key, process.pids) == (labels(pid=7), frozenset({"7"}))
    assert shares(process, place(unit="a.service"))
    assert place_of({"kind": "gpu", "uuid": "GPU-1", "name": "x"}).key == labels(uuid="GPU-1")
    assert place_of({"kind": "run", "name": "train-1"}).key == labels(run="train-1")
    assert place_of({"kind": "host", "name": "n1"}).key == place_of({"kind": "endpoint", "name": "x"}).key == ()
