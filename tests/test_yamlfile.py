from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from agent import yamlnodes
from agent.errors import Problems
from agent.yamlfile import Bytes, Node, Seconds, Share, Text, fill, load, node_of, parse, parse_bytes, parse_duration, parse_percent


@dataclass(frozen=True)
class Inner:
    when: Text
    for_: Seconds = 0.0


@dataclass(frozen=True)
class Outer:
    name: str
    mode: Literal["on", "off"] = "on"
    quota: Bytes | None = None
    share: Share = 0.0
    tags: tuple[str, ...] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    inner: Inner | None = None
    free: Any = None


def complaints(text: str) -> list[str]:
    """All problems of a text, printed."""
    with pytest.raises(Problems) as caught:
        load(Outer, text, "f.yaml")
    return [str(p) for p in caught.value.problems]


def test_fills_nested_dataclasses_with_units() -> None:
    """Durations, sizes and shares arrive in base units, and a trailing underscore is no part of a key."""
    made = load(
        Outer, "name: a\nquota: 2GiB\nshare: 90%\nweights: {x: 1}\ninner: {when: 'a > 1', for: 1h30m}\nfree: [1, {a: b}]", "f.yaml"
    )
    assert (made.quota, made.share, made.weights) == (2 * 2**30, 0.9, {"x": 1.0})
    assert made.inner == Inner(Text("a > 1"), 5400.0)
    assert made.free == [1, {"a": "b"}]


def test_names_every_mistake_of_a_file_at_once() -> None:
    """One run shows all mistakes with line, column and the likely word."""
    assert complaints("nam: a\nmode: of\nquota: lots\ntags: x\ninner: {fr: 1}\n") == [
        "f.yaml:1:1: 'name' is missing",
        "f.yaml:1:1: unknown key 'nam'; did you mean 'name'?",
        "f.yaml:2:7: expected one of on, off, got 'of'; did you mean 'off'?",
        "f.yaml:3:8: expected a size such as 512MiB or 2GiB, got 'lots'",
        "f.yaml:4:7: expected a list, got 'x'",
        "f.yaml:5:8: 'when' is missing",
        "f.yaml:5:9: unknown key 'fr'; did you mean 'for'?",
    ]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("name: &a x", "anchor &a"),
        ("name: *a", "alias *a"),
        ("name: !x y", "tag !x"),
        ("name: !!python/object:os.system y", "tag tag:yaml.org"),
        ("name: a\n<<: {mode: on}", "merge key"),
        ("name: a\nname: b", "duplicate key 'name' (first on line 1)"),
        ("name: a\n---\nname: b", "second document"),
        ("[" * 40, "nested deeper"),
        ("name: a: b", "put the value in quotes"),
        ("name:\n\t- a", "indent with spaces"),
        ("name: 'a", "not valid YAML"),
        ("name: \x01", "not valid YAML"),
        ("{name: avg(x, 5m) > 1}", "an unquoted comma ends it"),
        ("name: 12", "put it in quotes"),
        ("name: a\ninner: {when: b, for: -1}", "must not be negative"),
        ("", "expected a mapping"),
    ],
)
def test_refuses_what_can_surprise(text: str, word: str) -> None:
    """Each YAML feature that reads differently than it looks is refused with a mend."""
    assert word in "\n".join(complaints(text))


def test_caps_size_and_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is too large, or holds too many values, stops early."""
    monkeypatch.setattr(yamlnodes, "MAX_NODES", 50)
    assert "larger than 1 MiB" in complaints("name: " + "x" * (1 << 20))[0]
    assert "more than 50 values" in complaints("tags: [" + "a," * 51 + "]")[0]


def test_an_alias_bomb_is_never_expanded() -> None:
    """Aliases are refused as events, so a bomb costs no more than its text."""
    bomb = "a: &a [x]\n" + "".join(f"b{i}: &b{i} [{'*a, ' * 9}*a]\n" for i in range(9))
    assert len(complaints(bomb)) == 10 + 90


@pytest.mark.parametrize(
    ("text", "word", "place"),
    [
        ('name: x\ninner: {when: "aa > bb"}', "bb", (2, 21)),
        ("name: x\ninner: {when: aa > bb}", "aa", (2, 15)),
        ("name: x\ninner:\n  when: >\n    aa and\n    bb > 3\n", "bb", (5, 5)),
        ("name: x\ninner:\n  when: |\n    aa and\n    bb > 3\n", "bb", (5, 5)),
        ("name: x\ninner:\n  when: 'aa and\n    bb > 3'\n", "bb", (4, 5)),
        ('name: x\ninner: {when: "a\\x61 > bb"}', "bb", (2, 15)),
    ],
)
def test_finds_a_place_inside_a_text(text: str, word: str, place: tuple[int, int]) -> None:
    """A mistake inside a condition is pointed at through quotes and folded lines; with escapes, at its start."""
    made = fill(Outer, parse(text, "f.yaml"), [])
    assert made is not None
    assert made.inner is not None
    when = made.inner.when
    assert when.node.place(when.index(word)) == place


def test_plain_scalars_follow_yaml_1_2() -> None:
    """``on`` and ``1:30`` stay text; numbers, booleans and null do not."""
    node = parse("[on, 1:30, 1_000, 0x10, 1e3, true, ~, .inf, 'true']", "f.yaml")
    assert node.plainly() == ["on", "1:30", "1_000", 16, 1000.0, True, None, float("inf"), "true"]


def test_units_refuse_nonsense() -> None:
    """Durations, sizes and shares say what they expect."""
    assert [parse_duration(x) for x in (90, "90", "250ms", "1d2h")] == [90.0, 90.0, 0.25, 93600.0]
    assert [parse_bytes(x) for x in (512, "1.5 MB", "2KiB", "5M")] == [512.0, 1.5e6, 2048.0, 5e6]
    assert [parse_percent(x) for x in (0.5, "12.5%")] == [0.5, 0.125]
    wrong = ((parse_duration, "5x"), (parse_duration, "nan"), (parse_bytes, "2GX"), (parse_bytes, "5m"), (parse_percent, "half"))
    for parse_one, bad in wrong:
        with pytest.raises(ValueError, match=r"expected|negative"):
            parse_one(bad)


def test_plain_values_become_the_nodes_that_parsing_them_would_make() -> None:
    """Without a parser; texts stay texts, whatever they look like."""
    given = {"a": [1, 2.5, True, None, "7", "30s", ""], "b": {"c": "${x}: {y}", "d": []}}
    made, parsed = node_of(given, "x"), parse(json.dumps(given), "x")
    assert made.plainly() == parsed.plainly() == given

    def seen(node: Node) -> Any:
        return (node.kind, node.raw, node.plain, [(k.raw, seen(v)) for k, v in node.pairs], [seen(i) for i in node.items])

    assert seen(made)[3:] == seen(parsed)[3:]
