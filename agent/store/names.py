"""Which series the records of one file name, by the numbers they have in that file."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from itertools import chain
from typing import Any

from agent.model import Labels

Key = tuple[str, Labels]


class Names:
    """Keeps what was read as it was read: names and labels are only put together where somebody asks for all of them."""

    __slots__ = ("_alike", "_keyed", "_keys", "_labels", "_numbers", "_searched", "_titles")

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._titles: list[str] = []
        self._labels: list[dict[str, str]] = []
        self._keys: dict[int, Key] = {}
        self._keyed = 0  # how many are in it
        self._alike: dict[tuple[tuple[str, str], ...], Labels] = {}
        self._searched: dict[Key, tuple[list[int], int]] = {}  # its numbers, and how many names were looked at for it

    def __len__(self) -> int:
        """How many were named so far."""
        return len(self._numbers)

    def add(self, series: Sequence[Any]) -> None:
        """What one record's directory names. ValueError or TypeError if it cannot be names, and nothing is taken note of."""
        if not series:
            return
        numbers, titles, known = zip(*series, strict=True)
        texts = chain(titles, chain.from_iterable(map(dict.values, known)))
        if set(map(type, numbers)) != {int} or set(map(type, texts)) != {str}:
            raise ValueError("a series is a number, a name and labels")
        self._numbers += numbers
        self._titles += titles
        self._labels += known

    def keys(self) -> dict[int, Key]:
        """Name and labels by number. Not to be changed."""
        keys, alike, done = self._keys, self._alike, self._keyed
        for number, title, known in zip(self._numbers[done:], self._titles[done:], self._labels[done:], strict=True):
            flat = tuple(known.items())
            labels = alike.get(flat)
            if labels is None:  # the figures of one entity have the same
                labels = alike[flat] = tuple(sorted(flat))
            keys[number] = (title, labels)
        self._keyed = len(self._numbers)
        return keys

    def numbers(self, key: Key) -> list[int]:
        """Those of one series, oldest first; more than one if it ended and came back. Cheaper than all names."""
        found, seen = self._searched.get(key) or ([], 0)
        if seen < len(self._titles):
            title, known, at = key[0], dict(key[1]), seen
            with contextlib.suppress(ValueError):  # no further one of that name
                while True:
                    at = self._titles.index(title, at) + 1
                    if self._labels[at - 1] == known:
                        found.append(self._numbers[at - 1])
            self._searched[key] = (found, len(self._titles))
        return found
