"""Hostile text."""

from __future__ import annotations

import pytest

from agent.host.text import clean, html_safe


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"python3", "python3"),
        ("täglich", "täglich"),
        (b"a\nb", "a\ufffdb"),
        (b"\x1b[31mred", "\ufffd[31mred"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        ("x\udcffy", "x\ufffdy"),
        ("a\u202eb", "a\ufffdb"),
    ],
)
def test_unsafe_signs_become_replacement_characters(raw: bytes | str, shown: str) -> None:
    """Controls, ANSI, bidi and broken UTF-8 never get through; honest text does."""
    assert clean(raw) == shown


def test_long_text_is_cut_and_says_so() -> None:
    """A 128 KiB command line costs one line."""
    assert clean(b"x" * 131072, 10) == "x" * 9 + "…"


def test_text_is_made_safe_for_html_as_the_library_does() -> None:
    """To the character, quotes of both kinds included."""
    import html

    hostile = "".join(map(chr, range(0x250))) + "&amp;<script>'\"&#x27;</script>"
    assert html_safe(hostile) == html.escape(hostile)
