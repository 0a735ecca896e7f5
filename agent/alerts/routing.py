"""Routes: who hears of an alert now, and why. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from agent.alerting import Alerts, Receiver, Route
from agent.alerts.model import Alert
from agent.dataclass import dataclass
from agent.matching import ALWAYS, Hours, Matcher, parse_hours, parse_matcher


@dataclass(frozen=True)
class Way:
    """One route, read."""

    route: Route
    number: int
    matchers: tuple[Matcher, ...]
    hours: Hours

    @staticmethod
    def of(route: Route, number: int) -> Way:
        """A route that config.yaml's check has let through."""
        hours = parse_hours(route.hours, route.zone) if route.hours else ALWAYS
        return Way(route, number, tuple(map(parse_matcher, route.match)), hours)

    def refuses(self, alert: Alert, labels: Mapping[str, str], now: float) -> str:
        """Why it does not fit, or nothing."""
        if alert.severity.word not in self.route.severity:
            return f"severity {alert.severity.word} is not among {', '.join(self.route.severity)}"
        if self.route.trees and alert.tree not in self.route.trees:
            return f"tree {alert.tree} is not among {', '.join(self.route.trees)}"
        for matcher in self.matchers:
            if not matcher.fits(dict(labels)):
                return f"{matcher} does not hold: {matcher.name} is '{labels.get(matcher.name, '')}'"
        return "" if self.hours.hold(now) else f"not within {self.route.hours} ({self.route.zone})"


@dataclass(frozen=True)
class Step:
    """One route as it was asked."""

    route: int
    receivers: tuple[str, ...]
    because: str
    fits: bool


class Router:
    """All routes. Without any, every receiver hears of warnings and worse."""

    def __init__(self, settings: Alerts, receivers: tuple[Receiver, ...], host: str) -> None:
        names = tuple(r.name for r in receivers if r.type != "heartbeat")
        routes = settings.routes or (Route(receivers=names),)
        self._ways = [Way.of(route, number) for number, route in enumerate(routes, 1)]
        self._names = names
        self._known = frozenset(names)
        self._host = host

    def explain(self, alert: Alert, now: float) -> list[Step]:
        """Every route that was asked, in order, until one fits that is not followed by others."""
        return list(self._asked(alert, now))

    def where(self, alert: Alert, now: float) -> tuple[tuple[str, ...], tuple[str, ...], float | None]:
        """Receivers in order, each once; those told besides because nobody acknowledged in time; when more of these are due."""
        found: dict[str, None] = {}
        besides: dict[str, None] = {}
        due: float | None = None
        for step in self._asked(alert, now):
            if not step.fits:
                continue
            found |= dict.fromkeys(step.receivers)
            ladder = self._ways[step.route - 1].route.escalate
            if ladder is None or alert.acknowledged or alert.status == "resolved":
                continue
            at = alert.seen + ladder.after
            if now >= at:
                besides |= dict.fromkeys(map(str, ladder.receivers))
            else:
                due = at if due is None else min(due, at)
        if alert.avoid and not found.keys() - {alert.avoid}:  # a receiver in trouble: somebody must hear of it
            found = dict.fromkeys(self._names)
        more = tuple(name for name in besides if name not in found)
        return self._able(found, alert), self._able(more, alert), due

    def _able(self, names: Iterable[str], alert: Alert) -> tuple[str, ...]:
        return tuple(name for name in names if name in self._known and name != alert.avoid)

    def _asked(self, alert: Alert, now: float) -> Iterator[Step]:
        labels = alert.all_labels(self._host)
        for way in self._ways:
            because = way.refuses(alert, labels, now)
            names = tuple(map(str, way.route.receivers))
            yield Step(way.number, names, because or "it fits", not because)
            if not because and not way.route.continue_:
                return
