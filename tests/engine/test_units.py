import pytest

from agent.engine.units import BYTES, COUNT, LOOSE, RATIO, SECONDS, fit, over, parse, per_second, times


@pytest.mark.parametrize(("text", "said"), [("bytes", "bytes"), ("bytes/second", "bytes/second"), ("ratio", "ratio"), ("", "")])
def test_a_declared_unit_is_said_back_as_declared(text: str, said: str) -> None:
    """Evidence shows units the way metrics declare them."""
    assert str(parse(text)) == said


def test_bytes_by_seconds_is_a_rate_of_bytes() -> None:
    """`2MiB / 1m` may be compared with `slope(rss, 5m)`."""
    assert fit(over(BYTES, SECONDS), per_second(parse("bytes")))


def test_a_rate_of_seconds_is_a_share() -> None:
    """CPU seconds per second may be compared with 90 %."""
    assert fit(per_second(parse("seconds")), RATIO)


def test_a_plain_number_fits_everything_and_scales() -> None:
    """`0.7 * x` keeps the unit of x."""
    assert fit(LOOSE, BYTES)
    assert times(LOOSE, BYTES).dims == BYTES.dims


def test_a_count_is_no_time() -> None:
    """`threads > 5m` is a mistake."""
    assert not fit(COUNT, SECONDS)
