"""Points in time as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from agent.moments import parse_moment

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("now", "2026-11-23T09:30:00"),
        ("03:12", "2026-11-23T03:12:00"),
        ("03:12:30", "2026-11-23T03:12:30"),
        ("23:59", "2026-11-22T23:59:00"),
        ("-2h", "2026-11-23T07:30:00"),
        ("90s ago", "2026-11-23T09:28:30"),
        ("2026-11-20 03:12", "2026-11-20T03:12:00"),
        ("2026-11-20T03:12:00Z", "2026-11-20T03:12:00"),
        ("2026-11-20T03:12:00+02:00", "2026-11-20T01:12:00"),
    ],
)
def test_a_moment_is_read_as_it_is_meant(said: str, meant: str) -> None:
    """A time of day is the last one that has been."""
    assert parse_moment(said, NOW, UTC) == datetime.fromisoformat(meant).replace(tzinfo=UTC).timestamp()


def test_a_time_without_a_zone_is_local() -> None:
    """As the clock on the wall says."""
    east = timezone(timedelta(hours=5))
    assert parse_moment("14:00", NOW, east) == datetime(2026, 11, 23, 9, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize("said", ["", "yesterday", "25:00", "-2 parsecs", "12"])
def test_what_is_no_moment_is_refused_with_the_forms_there_are(said: str) -> None:
    """The error shows how to write it."""
    with pytest.raises(ValueError, match=r"is no moment: write 03:12"):
        parse_moment(said, NOW, UTC)
