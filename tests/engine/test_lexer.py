import pytest

from agent.engine.lexer import MAX_TOKENS, tokens


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("5m", 300.0, "seconds"),
        ("90%", 0.9, "ratio"),
        ("2GiB", 2.0 * 2**30, "bytes"),
        ("1.5e3ms", 1.5, "seconds"),
        (".5kB", 500.0, "bytes"),
    ],
)
def test_literals_become_base_units(text: str, value: float, unit: str) -> None:
    """Times are seconds, shares 0..1 and sizes bytes."""
    words, problems = tokens(text)
    assert not problems
    assert (words[0].value, str(words[0].unit)) == (pytest.approx(value), unit)


def test_a_unit_in_wrong_case_is_explained() -> None:
    """`2gib` asks for GiB."""
    _, problems = tokens("2gib")
    assert problems[0].help == "did you mean 'GiB'?"
    assert (problems[0].offset, problems[0].length) == (1, 3)


def test_every_slip_is_reported() -> None:
    """Foreign operators and unknown units do not hide each other."""
    _, problems = tokens("a && b > 3 parsecs || !c > 5mins")
    assert [p.help for p in problems] == ["write 'and'", "write 'or'", "write 'not'", "did you mean 'm'?"]


def test_an_open_text_is_reported_once() -> None:
    """The rest of the line belongs to the text."""
    _, problems = tokens("verdict == 'leak and more")
    assert len(problems) == 1


def test_too_many_words_are_refused() -> None:
    """A condition stays a line that a person reads."""
    _, problems = tokens("a " * (MAX_TOKENS + 1))
    assert "400" in problems[0].message
    assert not tokens("a " * MAX_TOKENS)[1]
