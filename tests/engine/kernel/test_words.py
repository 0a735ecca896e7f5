"""Parts that many messages share."""

from __future__ import annotations

import pytest

from agent.engine.kernel.words import integer, name_before, pci


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0000:3B:00.0", "0000:3b:00"),
        ("3b:0", "0000:3b:00"),
        ("00000001:3b:1f.7", "0001:3b:1f"),
        ("invalid-bdf.0", None),
        ("", None),
        ("0000:3b:00.9", None),
    ],
)
def test_addresses_have_one_spelling(text: str, address: str | None) -> None:
    """Lower case, four digits of domain, no function; what is none is None."""
    assert pci(text) == address


def test_the_longest_name_the_kernel_allows_counts() -> None:
    """Fifteen bytes at most; a longer one ends at the first mark."""
    assert name_before("a) total-vm:1) total-vm:2", (") total-vm:",)) == "a) total-vm:1"
    assert name_before("x86_64-pc-linux-gnu) total-vm:2) total-vm:3", (") total-vm:",)) == "x86_64-pc-linux-gnu"
    assert name_before("none", (")",)) is None


def test_numbers_are_ascii() -> None:
    """Digits of other scripts are no number."""
    assert (integer("12"), integer("\u0661"), integer(""), integer(None)) == (12, None, None, None)
