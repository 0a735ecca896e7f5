"""Which series a file's records name."""

from __future__ import annotations

from typing import Any

import pytest

from agent.model import labels
from agent.store.names import Names


def test_names_are_known_by_number_and_numbers_by_name() -> None:
    """Over several records, and whatever the order of the labels."""
    names = Names()
    names.add([[0, "up", {}], [1, "load", {"unit": "b", "pid": "7"}]])
    assert names.keys() == {0: ("up", ()), 1: ("load", labels(pid="7", unit="b"))}
    names.add([[2, "up", {"pid": "7"}]])
    assert names.keys()[2] == ("up", labels(pid="7"))
    assert (len(names), names.numbers(("up", ())), names.numbers(("load", labels(pid="7", unit="b")))) == (3, [0], [1])
    assert names.numbers(("load", labels(pid="7"))) == []


def test_a_series_may_be_named_anew() -> None:
    """When it came back after its end; who asked before is told of the new number too."""
    names = Names()
    names.add([[0, "up", {"pid": "7"}], [1, "up", {"pid": "8"}]])
    assert names.numbers(("up", labels(pid="7"))) == [0]
    names.add([[2, "up", {"pid": "8"}], [3, "up", {"pid": "7"}]])
    assert names.numbers(("up", labels(pid="7"))) == [0, 3]
    assert names.numbers(("up", labels(pid="7"))) == [0, 3]


@pytest.mark.parametrize(
    "series",
    [
        [1],
        ["abc"],
        [[1, "up"]],
        [[1, "up", {}], [2, "up"]],
        [["1", "up", {}]],
        [[1, 2, {}]],
        [[1, "up", []]],
        [[1, "up", {"a": [1]}]],
    ],
)
def test_what_cannot_be_names_is_refused(series: list[Any]) -> None:
    """And nothing of it is taken note of."""
    names = Names()
    with pytest.raises((ValueError, TypeError)):
        names.add(series)
    assert (len(names), names.keys()) == (0, {})
