import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.engine.notation import NotationError, column, parse_series


@pytest.mark.parametrize(
    ("text", "samples"),
    [
        ("0.1*3 0.9*2", [0.1, 0.1, 0.1, 0.9, 0.9]),
        ("0+1x3", [0, 1, 2, 3]),
        ("10-2x2", [10, 8, 6]),
        ("-1+0.5x2", [-1, -0.5, 0]),
        ("_*2 7 _", [None, None, 7, None]),
        ("1KiB+1KiBx1", [1024, 2048]),
        ("50%*2", [0.5, 0.5]),
        ("1e3*1", [1000]),
        ("(1*2 0)*2 5", [1, 1, 0, 1, 1, 0, 5]),
        ("((1+1x1) _)*2", [1, 2, None, 1, 2, None]),
        ("", []),
    ],
)
def test_runs_are_read(text: str, samples: list[float | None]) -> None:
    """Repeats, stairs, gaps and units."""
    assert parse_series(text) == samples


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "1*",
        "1+2",
        "1x3",
        "3 parsecs",
        "1+1x2*3",
        "0x10+1",
        "1*999999999",
        "1+1x999999999",
        "(1",
        "1)",
        "(1 x)",
        "((1*1000)*1000)*2",
        "()*x",
    ],
)
def test_unreadable_runs_are_refused_with_their_place(text: str) -> None:
    """The error points at the run."""
    with pytest.raises(NotationError) as refused:
        parse_series("1 " + text)
    assert refused.value.offset >= 2


@settings(deadline=None)
@given(st.text(max_size=30))
def test_no_text_crashes_the_parser(text: str) -> None:
    """Samples or a NotationError, nothing else."""
    try:
        parse_series(text)
    except NotationError:
        pass


def test_gaps_have_no_samples_in_a_column() -> None:
    """A missing sample leaves its time out."""
    assert list(column("1 _ 3", 10.0, start=100.0).times) == [100.0, 120.0]
