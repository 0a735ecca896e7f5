"""Rules hold for a message's form, not for one line: seeded, so that a failure comes again."""

from __future__ import annotations

import random
from typing import Any

import pytest

from agent.engine.kernel.reader import KINDS
from agent.engine.kernel.record import Happening
from tests.engine.kernel.made import dressed
from tests.engine.kernel.made_host import FAMILIES
from tests.engine.kernel.said import read


def seen(event: Happening, wanted: dict[str, Any]) -> dict[str, Any]:
    """The wanted keys of an event."""
    own = {"kind": event.kind, "count": event.count}
    return {key: own.get(key, event.fields.get(key)) for key in wanted}


@pytest.mark.parametrize("seed", range(40))
def test_one_message_of_each_form_in_any_dress(seed: int) -> None:
    """Any address, number and hostile name, as any tool prints it: exactly the events it means."""
    rng = random.Random(f"one-{seed}")
    for family in FAMILIES:
        lines, wanted = family(rng)
        log = dressed(rng, lines, rng.uniform(100, 1e6))
        found = read(log)
        assert [seen(e, w) for e, w in zip(found, wanted, strict=False)] == wanted, log
        assert len(found) == len(wanted), log
        assert all(e.kind in KINDS for e in found)


@pytest.mark.parametrize("seed", range(25))
def test_a_long_log_of_all_forms_in_any_order(seed: int) -> None:
    """Messages one after the other, noise between them: none is lost, none is made up, none takes another's fields."""
    rng = random.Random(f"many-{seed}")
    lines: list[str] = []
    wanted: list[dict[str, Any]] = []
    for n in range(60):
        made, want = rng.choice(FAMILIES)(rng)
        lines += [f"[{1000 * n + 100 + i * 1e-3:12.6f}] {line}" for i, line in enumerate(made)]
        wanted += want
    found = read(lines)
    assert [seen(e, w) for e, w in zip(found, wanted, strict=False)] == wanted
    assert len(found) == len(wanted)


@pytest.mark.parametrize("seed", range(30))
def test_broken_lines_are_survived(seed: int) -> None:
    """Messages cut, joined and with bytes changed at random: no exception, no kind that is not known, no endless work."""
    rng = random.Random(f"broken-{seed}")
    lines = []
    for _ in range(120):
        text = "\n".join(rng.choice(FAMILIES)(rng)[0])
        for _ in range(rng.randrange(4)):
            at = rng.randrange(len(text) + 1)
            text = rng.choice(
                (text[:at], text[at:], text[:at] + rng.choice("():,\x00\u202e\\x0a ") * rng.randrange(1, 40) + text[at:])
            )
        lines += text.split("\n")
    assert all(e.kind in KINDS for e in read(lines))


def test_a_record_of_eight_kibibytes_is_read() -> None:
    """Its beginning means something, the rest is not searched."""
    (event,) = read(["4,1,5,-;NVRM: Xid (PCI:0000:3b:00): 31, pid=7, name=a, Ch 00000008" + ", x(" * 2000])
    assert event.fields["process"] == "a"
    assert len(event.record.text) == 1000


def test_a_record_of_several_lines_is_read_line_by_line() -> None:
    """As /dev/kmsg hands it out, its line ends escaped."""
    parts = (
        "The NVIDIA GPU 0000:b3:00.0",
        "(PCI ID: 1:2) installed in this system has",
        "fallen off the bus and is not responding to",
    )
    (event,) = read(["3,1,5,-;" + "\\x0a".join(f"NVRM: {part}" for part in parts)])
    assert (event.kind, event.fields["pci"]) == ("gpu_fallen_off_bus", "0000:b3:00")
