"""Reports written out: whole, escaped, without a script, with charts where they can be drawn."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import markdown_it
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model import labels
from agent.reports import artifacts, case, case_document, charts, html, markdown
from agent.reports.document import Chart, Code, Document, Heading, Item, Items, Line, Mark, Para, Picture, Table, clock
from tests.reports.worlds import CASE, CLOSED, course, record, sources, state

EVIL = "<script>alert(1)</script>\"'&|`*_[x](javascript:y)#@all\x1b\u202e$x$"
CHART = Chart(
    "bytes of <b>",
    "bytes",
    (Line("$x^{ <b>", [1.0, 2.0, 3.0], [1e6, 5e8, 2e9]), Line("_b", [1.0], [1.0])),
    0.0,
    4.0,
    (Mark(2.0, "onset $x^{ <b>"),),
)
SECTIONS = (
    "Summary", "Impact", "Root cause", "Evidence", "Around the onset", "Timeline", "Ruled out", "Actions taken and refused",
    "Who was told", "Resolution", "Prevention", "Open questions", "Sources",
)  # fmt: skip


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Document:
    """The report of a leak."""
    grows = ("process_anonymous_bytes", labels(pid=7))
    recording = record(tmp_path_factory.mktemp("rec"), course(1200, 10, lambda t: {grows: 1e8 + t * 1e5}))
    told: Any = case.report(case.of_state(state(CASE), 3), sources(recording), CLOSED)
    told["series"] = [
        {"metric": grows[0], "labels": {"pid": "7"}, "name": "trainer", "unit": "bytes", "times": [1.0, 2.0], "values": [1.0, 2.0]}
    ]
    return case_document.document(told, lambda path: b"<svg xmlns='http://www.w3.org/2000/svg'/>")


def test_labels_of_an_axis_differ() -> None:
    """Rounded figures of a course that moves little would all be alike."""
    pytest.importorskip("matplotlib")
    for values, unit in (
        ((2e9, 2.001e9), "bytes"),
        ((1.98, 2.02), "cores"),
        ((100.1, 100.2), "1/second"),
        ((0.9001, 0.9003), "ratio"),
    ):
        drawn = charts.svg(Chart("x", unit, (Line("host", [1.0, 2.0], list(values)),), 0.0, 3.0))
        ticks = re.findall(r">([\d.]+ ?[A-Za-z%/]+)<", drawn)
        assert len(ticks) == len(set(ticks)) > 1, ticks


def test_an_axis_of_clocks_is_in_gigahertz() -> None:
    """With round figures, as one of bytes is in GiB; the table beside it tells the same."""
    chart = Chart("Clock", "hertz", (Line("GPU 0", [0.0, 60.0], [1.98e9, 0.345e9]),), 0.0, 60.0)
    assert charts.readings(chart)[0][2:4] == ("1.98 GHz", "345 MHz")
    pytest.importorskip("matplotlib")
    assert re.findall(r">([\d.]+ ?GHz)<", charts.svg(chart))[-1] == "2 GHz"


def test_what_stands_still_is_a_row_and_no_chart(document: Document, tmp_path: Path) -> None:
    """And a chart ends with what was recorded, however long ago that was."""
    told: Any = case.report(case.of_state(state(CASE), 3), sources(record(tmp_path, [(1.0, {})])), CLOSED + 1e6)
    moves = {"metric": "a", "labels": {}, "name": "host", "unit": "bytes", "times": [CLOSED, CLOSED + 5], "values": [1.0, 2.0]}
    told["series"] = [moves, {**moves, "metric": "b", "values": [3.0, 3.0]}]
    blocks = case_document.document(told, lambda path: None).blocks
    (chart,) = [block for block in blocks if isinstance(block, Chart)]
    assert (chart.title, chart.until) == ("a", CLOSED + 5)
    assert (("b, host", "3 B"),) in [block.rows for block in blocks if isinstance(block, Table)]


class Tags(HTMLParser):
    """What a browser would see."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.words += data


def everywhere(text: str) -> Document:
    """A report that says ``text`` in every place there is."""
    chart = Chart(text, text, (Line(text, [1.0, 2.0], [1.0, 2.0]),), 0.0, 3.0, (Mark(1.0, text),))
    blocks = (
        Heading(text), Para(text), Para(text, soft=True), Items((Item(text, text),), numbered=True),
        Table((text, ""), ((text, text),)),
        Table(("", ""), ((text, text),)), Code(text), chart, Picture(text, text, None, text),
    )  # fmt: skip
    return Document(text, text, text, text, blocks)


@pytest.mark.parametrize("write", [html.page, markdown.markdown])
def test_a_report_of_an_incident_has_every_item_of_the_procedure(document: Document, write: Any) -> None:
    """In each form."""
    page = write(document)
    assert [section for section in SECTIONS if section not in page] == []
    for words in ("4 min", "memory.fd-leak", "the allow list is empty", "apt-get install gdb", "bound the cache"):
        assert words in re.sub(r"\\", "", page)


def test_a_page_runs_and_fetches_nothing(document: Document) -> None:
    """No script, no address outside it; pictures lie in it."""
    seen = Tags(html.page(document))
    assert not {"script", "iframe", "link", "object", "form"} & {*seen.tags}
    assert not [name for name, _ in seen.attributes if name.startswith("on")]
    addresses = [value or "" for name, value in seen.attributes if name in ("src", "href", "xlink:href")]
    assert all(a.startswith(("data:image/svg+xml;base64,", "#")) for a in addresses)
    assert {"svg", "img"} <= {*seen.tags}


@pytest.mark.parametrize("drawn", [True, False])
def test_nothing_hostile_becomes_markup_in_a_page(monkeypatch: pytest.MonkeyPatch, drawn: bool) -> None:
    """Wherever it stands, a name stays a name."""
    monkeypatch.setattr(charts, "available", lambda: drawn)
    seen, tame = Tags(html.page(everywhere(EVIL))), Tags(html.page(everywhere("tame")))
    assert [t for t in seen.tags if t in ("script", "b", "a")] == []
    assert {*seen.tags} == {*tame.tags}
    assert "\x1b" not in seen.words
    assert "\u202e" not in seen.words


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=60))
def test_whatever_is_said_stays_text_in_markdown(said: str) -> None:
    """A CommonMark reader sees the same words, and no link, picture, code, markup or HTML."""
    reader = markdown_it.MarkdownIt("commonmark", {"html": True}).enable("table")
    text = markdown.prose(said)
    tokens = [child for token in reader.parse(text) for child in [token, *(token.children or [])]]
    assert {t.type for t in tokens} <= {"paragraph_open", "paragraph_close", "inline", "text", "text_special", "softbreak"}


def test_a_hostile_cell_adds_no_column() -> None:
    """Nor a row."""
    text = markdown.markdown(Document("t", blocks=(Table(("a", "b"), (("x | y\nz", EVIL),)),)))
    assert len(text.strip().splitlines()) == 5
    assert re.sub(r"\\\|", "", text.strip().splitlines()[-1]).count("|") == 3


def test_code_in_markdown_keeps_its_quotes() -> None:
    """Whatever a command holds."""
    assert markdown.code("a ``b`` `") == "``` a ``b`` ` ```"
    assert markdown.code("plain") == "`plain`"


def test_a_chart_is_sound_svg_and_the_same_each_time() -> None:
    """Hostile names included; ids of two charts on one page differ."""
    made = charts.svg(CHART)
    ET.fromstring(made)
    assert "onset $x^{ &lt;b&gt;" in made
    page = html.page(Document("t", blocks=(CHART,)))
    assert all(f'<span style="color:{colour}">■</span>' in page and colour in made for colour in charts.COLOURS[:2])
    assert made == charts.svg(CHART)
    other = charts.svg(Chart("o", "ratio", (Line("a", [1.0, 2.0], [0.5, 0.5]),), 0.0, 4.0))
    ids = [{*re.findall(r' id="([^"]+)"', text)} for text in (made, other)]
    assert not ids[0] & ids[1]


def test_without_the_plotting_library_a_page_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """And has rows of blocks and figures instead."""
    monkeypatch.setattr(charts, "available", lambda: False)
    page = html.page(Document("t", blocks=(CHART,)))
    assert "<svg" not in page
    assert "anfl-agent[report]" in page
    assert charts.BLOCKS[-1] in page
    assert "1.9 GiB" in page


def test_a_row_of_blocks_shows_the_course() -> None:
    """Lowest to highest, flat where it is flat."""
    assert charts.spark([0, 1, 2, 3, 4, 5, 6, 7]) == charts.BLOCKS
    assert charts.spark([5, 5]) == charts.BLOCKS[0] * 2
    assert (charts.spark([]), len(charts.spark([*range(999)]))) == ("", charts.WIDE)


def test_moments_are_told_in_utc() -> None:
    """To the second; a dash where there is none."""
    assert (clock(0.0), clock("1970-01-01T00:00:01.000Z"), clock(None)) == (
        "1970-01-01 00:00:00 UTC",
        "1970-01-01 00:00:01 UTC",
        "–",
    )


def test_a_flame_graph_is_shown_once_and_only_from_the_artefact_folder(tmp_path: Path) -> None:
    """Not what a link leads to, nor what is too large, no picture or not there."""
    inside, outside = tmp_path / "artifacts", tmp_path / "secret.svg"
    inside.mkdir()
    outside.write_text("<svg>secret</svg>")
    (inside / "flame.svg").write_text("<svg/>")
    (inside / "link.svg").symlink_to(outside)
    (inside / "large.svg").write_bytes(b"<svg>" + b"x" * artifacts.EMBED_MOST)
    (inside / "page.svg").write_text("<html>")
    keep = artifacts.within(str(inside))
    assert keep(str(inside / "flame.svg")) == b"<svg/>"
    for path in (
        outside,
        inside / "link.svg",
        inside / "large.svg",
        inside / "none.svg",
        inside / ".." / "secret.svg",
    ):
        assert keep(str(path)) is None
    flame, page = (
        artifacts.shown([{"kind": "flamegraph", "path": str(inside / name)}], keep) for name in ("flame.svg", "page.svg")
    )
    assert [type(block) for block in flame] == [Picture]
    assert page == [Items((Item("Flame graph, on the host", str(inside / "page.svg")),))]


def test_the_widest_boxes_of_a_flame_graph_are_a_table_too(tmp_path: Path) -> None:
    """Mail programs and Markdown show no picture: innermost calls with their share, those too narrow left out."""
    stacks = tmp_path / "a.collapsed.txt"
    stacks.write_text("main;a (x.py:1);b (x.py:2) 90\nother;a (x.py:1);b (x.py:2) 6\nmain;c (x.py:3) 4\nmain 0\nno number\n")
    found = artifacts.shown([{"kind": "collapsed-stacks", "path": str(stacks)}], artifacts.within(str(tmp_path)))
    rows = (("b (x.py:2)", "a (x.py:1)", "96%"), ("c (x.py:3)", "main", "4%"))
    named = Items((Item("Collapsed stacks, on the host", str(stacks)),))
    assert found == [Table(("innermost call", "called by", "share"), rows, frozenset({2})), named]
    stacks.write_text("")
    assert artifacts.shown([{"kind": "collapsed-stacks", "path": str(stacks)}], artifacts.within(str(tmp_path))) == [named]
