"""Our dataclasses behave as the library's, class by class."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest

from agent.dataclass import _dataclass

KINDS = [pytest.param(_dataclass, id="ours"), pytest.param(dataclasses.dataclass, id="the library's")]
both = pytest.mark.parametrize("kind", KINDS)
Kind = Callable[..., Any]


def thing(kind: Kind, *, frozen: bool) -> Any:
    """A class with a field of every sort."""

    @kind(frozen=frozen)
    class Thing:
        name: str
        size: float = 1.0
        parts: list[int] = dataclasses.field(default_factory=list)
        note: str = dataclasses.field(default="", compare=False, repr=False)
        made: int = dataclasses.field(init=False, default=7)
        seen: list[int] = dataclasses.field(init=False, default_factory=list)
        late: str = dataclasses.field(default="-", kw_only=True)

    return Thing


@both
@pytest.mark.parametrize("frozen", [True, False])
def test_every_sort_of_field_is_set(kind: Kind, frozen: bool) -> None:
    """Defaults, factories, fields out of the constructor and by keyword only."""
    cls = thing(kind, frozen=frozen)
    first, second = cls("a"), cls("b", 2.0, [1], "n", late="x")
    assert (first.name, first.size, first.parts, first.note, first.made, first.seen, first.late) == ("a", 1.0, [], "", 7, [], "-")
    assert (second.size, second.parts, second.note, second.late) == (2.0, [1], "n", "x")
    assert first.parts is not cls("a").parts
    assert dataclasses.replace(dataclasses.replace(cls("a"), size=3.0), late="y") == cls("a", 3.0, late="y")
    assert dataclasses.asdict(second)["parts"] == [1]


@both
def test_a_wrong_call_names_the_class(kind: Kind) -> None:
    """The first object and later ones alike."""
    cls = thing(kind, frozen=True)
    for _ in range(2):
        with pytest.raises(TypeError, match=r"Thing\.__init__\(\) missing 1 required positional argument: 'name'"):
            cls()
        cls("a")


@both
@pytest.mark.parametrize("frozen", [True, False])
def test_objects_are_compared_by_what_counts(kind: Kind, frozen: bool) -> None:
    """A field may not count; other classes are never equal; only what cannot change has a hash."""
    cls, other = thing(kind, frozen=frozen), thing(kind, frozen=frozen)
    assert cls("a", note="x") == cls("a", note="y") != cls("b")
    assert cls("a") != other("a")
    assert cls("a", math.nan) == cls("a", math.nan)  # as tuples do: the same object is equal to itself
    if not frozen:
        with pytest.raises(TypeError, match="unhashable"):
            hash(cls("a"))


@both
def test_equal_frozen_objects_have_one_hash(kind: Kind) -> None:
    """With one field, with several and with none."""

    @kind(frozen=True)
    class Pair:
        left: int
        right: int = 2

    @kind(frozen=True)
    class One:
        only: str

    @kind(frozen=True)
    class Nothing:
        pass

    pair, one, nothing = (cast(Any, cls) for cls in (Pair, One, Nothing))
    assert {pair(1), pair(1, 2), pair(2)} == {pair(1), pair(2)}
    assert {one("a"), one("a")} == {one("a")}
    assert {nothing(), nothing()} == {nothing()}
    assert hash(pair(1)) == hash((1, 2))
    assert hash(one("a")) == hash(("a",))


@both
def test_what_a_class_brings_itself_stays(kind: Kind) -> None:
    """Its own equality, hash and text, and what it does once it is made."""

    @kind(frozen=True)
    class Own:
        value: int

        def __post_init__(self) -> None:
            object.__setattr__(self, "twice", self.value * 2)

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 4

        def __repr__(self) -> str:
            return "own"

    own = cast(Any, Own)
    assert (own(1) == own(2), hash(own(3)), repr(own(4))) == (True, 4, "own")
    assert vars(own(5))["twice"] == 10

    @kind(eq=False)
    class Itself:
        value: int

    itself = cast(Any, Itself)
    assert itself(1) != itself(1)
    assert len({itself(1), itself(1)}) == 2


@both
def test_the_frozen_cannot_be_changed(kind: Kind) -> None:
    """Neither set nor deleted; a plain subclass may have more of its own."""
    cls = thing(kind, frozen=True)
    one = cls("a")
    for change in (lambda: setattr(one, "name", "b"), lambda: setattr(one, "other", 1), lambda: delattr(one, "name")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            change()  # type: ignore[no-untyped-call]
    more = type("More", (cls,), {})("a")
    more.extra = 1
    assert vars(more)["extra"] == 1
    del more.extra
    with pytest.raises(dataclasses.FrozenInstanceError):
        more.name = "b"


@both
def test_subclasses_add_fields(kind: Kind) -> None:
    """In whatever order the first objects are made, and each is told apart from its parent."""

    @kind(frozen=True)
    class Parent:
        a: int

    @kind(frozen=True)
    class Child(Parent):
        b: int = 2

    parent, child = cast(Any, Parent), cast(Any, Child)
    assert (child(1).b, parent(1).a, child(1, 3)) == (2, 1, child(1, 3))
    assert child(1) != parent(1)
    assert child.__match_args__ == ("a", "b")
    assert "Child(a=1, b=2)" in repr(child(1))


@both
def test_a_circle_can_be_printed(kind: Kind) -> None:
    """An object that holds itself ends in dots, and fields that are not shown are not."""
    one = thing(kind, frozen=False)("a", note="secret")
    one.parts.append(one)
    assert "..." in repr(one)
    assert "secret" not in repr(one)


def test_the_first_objects_of_several_threads_are_whole() -> None:
    """The constructor is made when it is first needed, by whoever needs it."""
    for _ in range(20):
        cls = thing(_dataclass, frozen=True)
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(cls, ["a"] * 8))
        assert found == [cls("a")] * 8
