"""One judging round: what is asked of the view is computed once, however many conditions ask it."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, NamedTuple, TypeVar

from agent.dataclass import dataclass
from agent.engine.windows import AT_A_GLANCE, SLOW_SERIES, STALE_AFTER, Value, fresh, judge, judge_still, tail
from agent.model import Column, Labels, Truth, View

T = TypeVar("T")
AnswerValue = float | bool | str | None
Live = list[tuple[Labels, dict[str, str]]]
"""Live label sets, each also as a dict."""

CACHED_WINDOWS = 60.0
"""Seconds; longer windows may be answered from a round before."""

HOLD_SHARE, HOLD_MOST = 20.0, 60.0
"""An answer holds for a twentieth of its window, a minute at most."""


@dataclass(frozen=True)
class Instance:
    """What a tree is judged for: every label its entity chain binds, and the pids of its own process tree."""

    labels: Mapping[str, str] = field(default_factory=dict)
    own_pids: frozenset[str] = frozenset()
    bound: dict[tuple[str, ...], Labels | None] = field(default_factory=dict, repr=False, compare=False)
    """Label sets bound so far, by label names."""


class Term(NamedTuple):
    """One value a condition looked at, for evidence text: ``avg(gpu_util, 5m)``, 0.124, ``ratio``."""

    text: str
    value: AnswerValue
    unit: str = ""


@dataclass
class Result:
    """A condition's answer. ``culprits`` are label sets, worst first; ``missing`` are names with no or too little data, ``unknown``
    the same with the labels the condition fixes."""

    value: AnswerValue
    terms: tuple[Term, ...] = ()
    culprits: tuple[Labels, ...] = ()
    missing: tuple[str, ...] = ()
    unknown: tuple[tuple[str, Labels], ...] = ()


class Answer:
    """One answer over a long window, and in which stretch of time (``held``) it holds."""

    __slots__ = ("_hold", "_phase", "held", "known", "value")

    def __init__(self, phase: float, hold: float) -> None:
        self._phase = phase
        self._hold = hold
        self.held = 0
        self.known = False
        self.value: Value = None

    def bucket(self, now: float) -> int:
        """The stretch of time in which one answer holds."""
        return int(now / self._hold + self._phase)

    def put(self, bucket: int, value: Value) -> None:
        """Remember an answer for the rest of its bucket."""
        self.held, self.known, self.value = bucket, True, value


class RoundCache:
    """Keeps answers over long windows between rounds: at most a twentieth of the window old, and a minute.

    Series refresh at different moments, so that rounds cost the same. ``lasting`` holds what was made of which things, good for
    as long as those are the same.
    """

    def __init__(self) -> None:
        self.lasting: dict[Any, tuple[Any, Any]] = {}
        self._kept: dict[tuple[str, str, Labels, float], Answer] = {}
        self._swept = 0.0

    def __len__(self) -> int:
        return sum(kept.known for kept in self._kept.values())

    def answer(self, key: tuple[str, str, Labels, float]) -> Answer:
        """What is known of a question; asked for the first time, nothing is."""
        kept = self._kept.get(key)
        if kept is None:
            kept = self._kept[key] = Answer(zlib.crc32(repr(key).encode()) / 2**32, min(key[3] / HOLD_SHARE, HOLD_MOST))
        return kept

    def sweep(self, now: float) -> None:
        """Forget series nobody asked for in their last two buckets; once a minute is plenty."""
        if 0.0 <= now - self._swept < 60.0:
            return
        self._swept = now
        self._kept = {key: kept for key, kept in self._kept.items() if kept.known and abs(kept.held - kept.bucket(now)) <= 2}


_UNASKED: Any = object()


class Round:
    """One view at one moment, with what probes answered and which checks hold; memoises everything computed."""

    def __init__(
        self,
        view: View,
        answers: Mapping[str, AnswerValue] | None = None,
        checks: Mapping[str, Truth] | None = None,
        cache: RoundCache | None = None,
    ) -> None:
        self.view = view
        self.now = view.now
        self.answers = answers or {}
        self.checks = checks or {}
        self.memo: dict[Any, Any] = {}
        self._columns: dict[tuple[str, Labels], tuple[float, Column | None]] = {}
        self._sets: list[tuple[list[Labels], Live]] = []
        self._cache = cache
        self._lasting = {} if cache is None else cache.lasting
        if cache is not None:
            cache.sweep(self.now)

    def with_answers(self, answers: Mapping[str, AnswerValue]) -> Round:
        """The same round with other probe answers; everything computed is shared."""
        return self._with(answers, self.checks)

    def with_checks(self, checks: Mapping[str, Truth]) -> Round:
        """The same round with other check results; everything computed is shared."""
        return self._with(self.answers, checks)

    def let_go(self) -> None:
        """Forget the samples; what was computed of them stays."""
        self._columns.clear()

    def _with(self, answers: Mapping[str, AnswerValue], checks: Mapping[str, Truth]) -> Round:
        other = Round.__new__(Round)
        other.__dict__.update(self.__dict__)
        other.answers, other.checks = answers, checks
        return other

    def window(self, function: str, name: str, labels: Labels, window: float) -> Value:
        """One window function over one series, None for unknown."""
        key = (function, name, labels, window)
        value: Value = self.memo.get(key, _UNASKED)
        if value is not _UNASKED:
            return value
        value = self._long(key) if self._cache is not None and window > CACHED_WINDOWS else self._compute(key)[0]
        self.memo[key] = value
        return value

    def last(self, name: str, labels: Labels) -> float | None:
        """The newest value of a series, None if it is stale."""
        key = ("", name, labels)
        if key not in self.memo:
            self.memo[key] = self._last(name, labels)
        value: float | None = self.memo[key]
        return value

    def live(self, name: str) -> Live:
        """Live label sets of a name, each also as a dict, in a stable order; the same list for as long as they are the same."""
        key = ("labels", name)
        found: Live | None = self.memo.get(key)
        if found is None:
            found = self.memo[key] = self._alike(name, list(self.view.labels(name)))
        return found

    def _alike(self, name: str, live: list[Labels]) -> Live:
        """All series of an entity have the same labels: their names share one list, which is put in order once."""
        for sets, found in self._sets:
            if sets == live:
                return found
        made = self.lasting(("labels", name), live, lambda: [(labels, dict(labels)) for labels in sorted(live)])
        self._sets.append((live, made))
        return made

    def lasting(self, key: Any, source: Any, make: Callable[[], T]) -> T:
        """What ``make`` makes of ``source``; later rounds get the same thing while the source equals this one's."""
        kept = self._lasting.get(key)
        if kept is None or kept[0] != source:
            kept = self._lasting[key] = (source, make())
        made: T = kept[1]
        return made

    def _last(self, name: str, labels: Labels) -> float | None:
        newest = self.view.newest(name, labels, STALE_AFTER)
        if newest is not None:
            value = newest[1]
            return value if value == value else None
        column = self._column(name, labels, SLOW_SERIES)
        if column is None or not len(column.times):
            return None
        value = column.values[-1]
        return value if value == value and fresh(column.times, self.now) else None

    def _long(self, key: tuple[str, str, Labels, float]) -> Value:
        assert self._cache is not None
        kept = self._cache.answer(key)
        bucket = kept.bucket(self.now)
        if kept.known and kept.held == bucket:
            return kept.value
        value, heard = self._compute(key)
        if heard:  # that nothing is there is wrong with the first sample
            kept.put(bucket, value)
        return value

    def _compute(self, key: tuple[str, str, Labels, float]) -> tuple[Value, bool]:
        """The answer, and whether the window holds a sample."""
        function, name, labels, window = key
        if function in AT_A_GLANCE:
            still = self.view.still(name, labels, window)
            if still is not None:
                return judge_still(function, still, window, self.now), True
        column = self._column(name, labels, window)
        return judge(function, column, window, self.now), column is not None and len(column.times) > 0

    def _column(self, name: str, labels: Labels, window: float) -> Column | None:
        """The series over the window; a longer one fetched before is cut, not fetched again."""
        held, column = self._columns.get((name, labels), (0.0, None))
        if held < window:
            column = self.view.column(name, labels, window)
            self._columns[name, labels] = (window, column)
        elif held > window and column is not None:
            column = tail(column, self.now - window)
        return column
