"""Points in time as people write them: ``03:12``, ``2026-11-23 03:12:30``, RFC 3339, ``-2h``, ``2h ago``, ``now``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

from agent.yamlunits import parse_duration

FORMS = "write 03:12, 2026-11-23 03:12, 2026-11-23T03:12:00Z, -2h or '2h ago'"


def parse_moment(text: str, now: float, zone: tzinfo | None = None) -> float:
    """Unix seconds. A bare time of day is the last such moment before ``now``; without a zone it is local time (or ``zone``).

    ValueError, with the forms there are, for anything else.
    """
    said = text.strip()
    if said.lower() == "now":
        return now
    back = said[1:] if said.startswith("-") else said.removesuffix("ago") if said.endswith("ago") else ""
    try:
        if back:
            return now - parse_duration(back.strip())
        if len(said) <= len("03:12:30") and ":" in said:
            return _time_of_day(said, now, zone)
        moment = datetime.fromisoformat(said)
    except ValueError:
        raise ValueError(f"'{text}' is no moment: {FORMS}") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC).timestamp()


def _time_of_day(said: str, now: float, zone: tzinfo | None) -> float:
    at = datetime.strptime(said, "%H:%M:%S" if said.count(":") == 2 else "%H:%M").time()
    today = datetime.fromtimestamp(now, zone)
    moment = today.replace(hour=at.hour, minute=at.minute, second=at.second, microsecond=0)
    if moment.timestamp() > now:
        moment = datetime.fromtimestamp((today - timedelta(days=1)).timestamp(), zone).replace(
            hour=at.hour, minute=at.minute, second=at.second, microsecond=0
        )
    return moment.timestamp()
