"""Which series there are: by handle, by name and labels, by entity."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Collection, Iterator

from agent.model import Labels, Series
from agent.store.series import Kept

MAX_ENDED = 4_000
"""Most ended series kept readable; a storm of short processes must not fill the memory."""


class Index:
    """Current series (one for each name and label set) and the ended ones that are still readable."""

    def __init__(self, limit: int) -> None:
        self.by_handle: dict[Series, Kept] = {}
        self._limit = limit
        self._current: dict[str, dict[Labels, Kept]] = {}
        self._ended: dict[str, list[Kept]] = {}
        self._ended_order: deque[Kept] = deque()
        self._entities: dict[str, dict[str, list[Kept]]] = {"pid": {}}  # label name -> value -> current series
        self._round: deque[Kept] = deque()
        self._gone: set[Kept] = set()  # forgotten, but still standing in the round
        self.moved: set[Kept] = set()  # current series whose value changed since the page looked last
        self.came_or_went: set[str] = set()  # names with a new, ended or forgotten series since then

    def __len__(self) -> int:
        return len(self.by_handle)

    @property
    def full(self) -> bool:
        """Whether there is no room for another series."""
        return len(self.by_handle) >= self._limit

    @staticmethod
    def phase(handle: Series) -> int:
        """A number by which series are spread; one entity's series get the same, so that they can share their times."""
        key = handle.labels[0][1] if handle.labels else handle.name
        return zlib.crc32(key.encode())

    def adopt(self, handle: Series) -> Kept | None:
        """The current series that this new handle means; the handle takes the place of the one before."""
        kept = self._current.get(handle.name, {}).get(handle.labels)
        if kept is not None:
            self.by_handle.pop(kept.handle, None)
            kept.handle = handle
            self.by_handle[handle] = kept
        return kept

    def put(self, kept: Kept) -> bool:
        """Add a new series; False if there are too many."""
        if self.full:
            return False
        handle = kept.handle
        self.by_handle[handle] = kept
        self._current.setdefault(handle.name, {})[handle.labels] = kept
        self.came_or_went.add(handle.name)
        for label, value in handle.labels:
            if (entities := self._entities.get(label)) is not None:
                entities.setdefault(value, []).append(kept)
        self._round.append(kept)
        return True

    def end(self, labels: Labels, time: float) -> list[Kept]:
        """End every current series that has all of ``labels``; which ones."""
        if not labels:
            return []
        wanted, ended = set(labels), []
        label, value = labels[0]
        for kept in list(self._of_entity(label).get(value, ())):
            if wanted.issubset(kept.labels):
                self._drop_current(kept)
                kept.ended = time
                ended.append(kept)
                self._ended.setdefault(kept.handle.name, []).append(kept)
                self._ended_order.append(kept)
        while len(self._ended_order) > MAX_ENDED:
            self._gone.add(self._forget_ended(self._ended_order[0]))
        return ended

    def _of_entity(self, label: str) -> dict[str, list[Kept]]:
        """Series by the value of one label; the first question about a label builds its index."""
        entities = self._entities.get(label)
        if entities is None:
            entities = self._entities[label] = {}
            for kept in self.by_handle.values():
                for name, value in kept.labels:
                    if name == label:
                        entities.setdefault(value, []).append(kept)
        return entities

    def _drop_current(self, kept: Kept) -> None:
        handle = kept.handle
        kept.together.leave()
        self.came_or_went.add(handle.name)
        self.moved.discard(kept)
        del self.by_handle[handle]
        family = self._current[handle.name]
        del family[handle.labels]
        if not family:
            del self._current[handle.name]
        for label, value in handle.labels:
            entities = self._entities.get(label)
            if entities is not None:
                entities[value].remove(kept)
                if not entities[value]:
                    del entities[value]

    def _forget_ended(self, kept: Kept) -> Kept:
        self._ended_order.remove(kept)
        family = self._ended[kept.handle.name]
        family.remove(kept)
        if not family:
            del self._ended[kept.handle.name]
        return kept

    def sweep(self, ticks: int, oldest: float) -> None:
        """Look over the next series, so many that all had their turn after ``ticks`` calls, the forgotten ones too.

        Runs, and whole series, from before ``oldest`` are forgotten.
        """
        for _ in range(min(1 + len(self._round) // ticks, len(self._round))):
            kept = self._round.popleft()
            if kept in self._gone:
                self._gone.discard(kept)
            elif kept.last <= oldest:
                self._drop_current(kept) if kept.ended is None else self._forget_ended(kept)
            else:
                kept.trim(oldest)
                self._round.append(kept)

    def current(self, name: str) -> dict[Labels, Kept]:
        """Series of that name that were not ended."""
        return self._current.get(name, {})

    def all(self, name: str) -> Iterator[Kept]:
        """Every readable series of that name; ended ones first, oldest first."""
        yield from self._ended.get(name, ())
        yield from self.current(name).values()

    def find(self, name: str, labels: Labels) -> Kept | None:
        """The current series of that name and label set."""
        family = self._current.get(name)
        return None if family is None else family.get(labels)

    def before(self, name: str, labels: Labels) -> list[Kept]:
        """The ended ones that are still readable, newest first."""
        ended = self._ended.get(name)
        return [] if ended is None else [kept for kept in reversed(ended) if kept.handle.labels == labels]

    def news(self) -> tuple[set[Kept], set[str]]:
        """What moved and what came or went since the last call."""
        found = self.moved.copy(), self.came_or_went.copy()
        self.moved.clear()
        self.came_or_went.clear()
        return found

    def names(self) -> Collection[str]:
        """Names with a readable series."""
        return self._current.keys() | self._ended.keys()

    def size(self) -> int:
        """Bytes of all series and of the times they share."""
        own = sum(kept.size() for kept in self._round) + sum(t.size() for t in {kept.together for kept in self._round})
        shared = {id(times): times for kept in self._round for times in kept.spans()}
        return own + sum(times.itemsize * len(times) + 96 for times in shared.values())
