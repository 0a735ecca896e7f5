"""Matchers, hours and dates as people write them."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from agent.matching import ALWAYS, parse_hours, parse_matcher, parse_until, parse_zone

BERLIN = "Europe/Berlin"


def at(text: str, zone: str = BERLIN) -> float:
    """A local time as Unix seconds."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("text", "labels", "fits"),
    [
        ("tree=memory", {"tree": "memory"}, True),
        ('unit = "vllm@1.service"', {"unit": "vllm@1.service"}, True),
        ("tree!=memory", {"tree": "memory"}, False),
        ("unit=~vllm.*", {"unit": "vllm@1.service"}, True),
        ("unit=~vllm", {"unit": "vllm@1.service"}, False),
        ("unit!~vllm.*", {}, True),
        ("unit=", {}, True),
        ("unit=~.+", {}, False),
    ],
)
def test_a_matcher_looks_at_the_whole_value(text: str, labels: dict[str, str], fits: bool) -> None:
    """As in Alertmanager; a label that is not there is empty."""
    assert parse_matcher(text).fits(labels) is fits
    assert parse_matcher(str(parse_matcher(text))) == parse_matcher(text)


@pytest.mark.parametrize("text", ["tree", "=x", "a=~[", "1a=b", ""])
def test_a_matcher_that_is_none_is_a_mistake(text: str) -> None:
    """With what is wrong."""
    with pytest.raises(ValueError, match=r"expected a matcher|regular expression"):
        parse_matcher(text)


@pytest.mark.parametrize(
    ("hours", "moment", "inside"),
    [
        ("mon-fri 08:00-18:00", "2026-11-23T08:00", True),
        ("mon-fri 08:00-18:00", "2026-11-23T18:00", False),
        ("mon-fri 08:00-18:00", "2026-11-22T12:00", False),
        ("sat,sun 00:00-24:00", "2026-11-22T23:59", True),
        ("fri-mon 10:00-11:00", "2026-11-22T10:30", True),
        ("22:00-06:00", "2026-11-23T23:00", True),
        ("22:00-06:00", "2026-11-23T05:59", True),
        ("22:00-06:00", "2026-11-23T12:00", False),
        ("sun 22:00-06:00", "2026-11-23T05:00", True),
        ("sun 22:00-06:00", "2026-11-22T05:00", False),
        ("02:00-03:00", "2026-10-25T02:30", True),
    ],
)
def test_hours_are_those_of_their_time_zone(hours: str, moment: str, inside: bool) -> None:
    """A span past midnight belongs to the day it begins on."""
    assert parse_hours(hours, BERLIN).hold(at(moment)) is inside


def test_no_hours_are_always() -> None:
    """And the same hours elsewhere are others."""
    assert parse_hours("", "UTC") is ALWAYS
    noon = at("2026-11-23T12:00", "UTC")
    assert parse_hours("12:00-13:00", "UTC").hold(noon)
    assert not parse_hours("12:00-13:00", "Asia/Tokyo").hold(noon)


@pytest.mark.parametrize("hours", ["8-18", "mon", "mon fri 08:00-18:00", "mux 08:00-18:00", "08:00-25:00", "08:60-09:00"])
def test_hours_that_are_none_are_a_mistake(hours: str) -> None:
    """Such as a day nobody knows."""
    with pytest.raises(ValueError):
        parse_hours(hours, "UTC")


def test_a_zone_nobody_knows_is_told_with_the_nearest() -> None:
    """By its IANA name."""
    with pytest.raises(ValueError, match="Europe/Berlin"):
        parse_zone("Europe/Berlim")


def test_a_date_is_its_end_and_a_time_is_a_time() -> None:
    """In the zone of the window."""
    assert parse_until("2026-12-24", BERLIN) == at("2026-12-25T00:00")
    assert parse_until("2026-12-24T12:00", BERLIN) == at("2026-12-24T12:00")
    assert parse_until("2026-12-24T12:00+00:00", BERLIN) == at("2026-12-24T12:00", "UTC")
    with pytest.raises(ValueError, match="date"):
        parse_until("soon", "UTC")
