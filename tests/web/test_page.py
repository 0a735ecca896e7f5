"""The page says what prometheus_client would say, in both formats, and is rendered once a tick."""

from __future__ import annotations

import gzip
import math
import random

import pytest
from prometheus_client import CollectorRegistry, Gauge, Info
from prometheus_client import Counter as PromCounter
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_plain

from agent.model import ENTITY_ENDED, Event, Kind, Metric, Sample, Series, labels
from agent.store.ring import Ring
from agent.web.metrics import OwnCounters
from agent.web.page import Page

T0 = 1_700_000_000.0
NASTY = 'a "quoted"\\ back\nslash, {brace} = é…'
METRICS = (
    Metric("disk_read_bytes_total", Kind.COUNTER, "bytes", 'Bytes "read"\\ from\nthe device.', ("device",)),
    Metric("host_load1", Kind.GAUGE, "", "Load."),
    Metric("process_info", Kind.INFO, "", "Who it is.", ("pid", "comm")),
)
SAMPLES = [
    Sample(Series("disk_read_bytes_total", labels(device=NASTY)), 123456789.0),
    Sample(Series("disk_read_bytes_total", labels(device="sdb")), 0.1),
    Sample(Series("host_load1"), math.nan),
    Sample(Series("process_info", labels(pid=7, comm="python")), 1.0),
]
Parsed = set[tuple[str, str, str, frozenset[tuple[str, str]], str]]


def eof(openmetrics: bool) -> bytes:
    """An appendix with nothing in it."""
    return b"# EOF\n" if openmetrics else b""


def filled(samples: list[Sample] = SAMPLES) -> Ring:
    """A ring with one tick."""
    ring = Ring()
    ring.add(T0, samples)
    return ring


def reference() -> CollectorRegistry:
    """The same values in prometheus_client."""
    registry = CollectorRegistry()
    read = PromCounter("anfl_disk_read_bytes", METRICS[0].help, ["device"], registry=registry)
    for (_, pairs), value in [((s.series.name, s.series.labels), s.value) for s in SAMPLES[:2]]:
        read.labels(pairs[0][1]).inc(value)
    Gauge("anfl_host_load1", "Load.", registry=registry).set(math.nan)
    Info("anfl_process", "Who it is.", registry=registry).info({"pid": "7", "comm": "python"})
    return registry


def parsed(families) -> Parsed:
    """Families as comparable facts; ``_created`` is prometheus_client's own addition."""
    return {
        (family.name, family.type, s.name, frozenset(s.labels.items()), repr(s.value))
        for family in families
        for s in family.samples
        if not s.name.endswith("_created")
    }


def test_the_plain_page_parses_to_what_prometheus_client_would_expose() -> None:
    """Names, types, escaped labels and help, and values, NaN included."""
    from prometheus_client import generate_latest

    page = Page(filled(), METRICS, eof).text().decode()
    wanted = [f for f in parse_plain(generate_latest(reference()).decode()) if not f.name.endswith("_created")]
    assert parsed(parse_plain(page)) == parsed(wanted)
    assert {f.name: f.documentation for f in parse_plain(page)} == {f.name: f.documentation for f in wanted}


def test_the_openmetrics_page_parses_strictly() -> None:
    """Counter families lose ``_total``, info families ``_info``; the page ends with its EOF mark."""
    page = Page(filled(), METRICS, eof).text(openmetrics=True).decode()
    wanted = openmetrics_latest(reference()).decode()
    assert parsed(parse_openmetrics(page)) == parsed(parse_openmetrics(wanted))
    assert page.endswith("# EOF\n")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (math.nan, "NaN"),
        (1e300, "1e+300"),
        (-0.0, "-0.0"),
        (2.0**53, "9007199254740992.0"),
    ],
)
def test_every_value_is_spelled_so_that_it_reads_back(value: float, text: str) -> None:
    """Also beside others whose sum is not finite."""
    page = Page(filled([Sample(Series("x"), value)]), (Metric("x", Kind.GAUGE, "", "X."),), eof).text()
    assert page.endswith(f"anfl_x {text}\n".encode())


def test_the_page_is_rendered_once_a_tick() -> None:
    """Scrapes within a tick get the same bytes; a family that did not change keeps its lines."""
    ring = filled()
    renders: list[float] = []
    page = Page(ring, METRICS, eof, renders.append)
    assert page.text() is page.text()
    assert len(renders) == 1
    ring.add(T0 + 1, [Sample(SAMPLES[1].series, 7.0)])
    assert b'device="sdb"} 7.0\n' in page.text()
    assert len(renders) == 2


def test_ended_and_stale_series_leave_the_page() -> None:
    """A family without live series leaves no HELP behind."""
    ring = filled()
    page = Page(ring, METRICS, eof)
    ring.add(T0 + 1, [Event(T0 + 1, ENTITY_ENDED, labels(pid=7))])
    assert b"process_info" not in page.text()
    ring.add(T0 + 1000, [Sample(SAMPLES[2].series, 1.0)])
    assert page.text() == b"# HELP anfl_host_load1 Load.\n# TYPE anfl_host_load1 gauge\nanfl_host_load1 1.0\n"


def test_a_series_nobody_declared_is_shown_all_the_same() -> None:
    """A plug-in that forgot its declaration still shows up."""
    page = Page(filled([Sample(Series("odd", labels(a=1)), 2.0)]), (), eof)
    assert b'anfl_odd{a="1"} 2.0\n' in page.text()


@pytest.mark.parametrize("seed", range(5))
def test_the_page_shows_the_newest_value_of_every_live_series(seed: int) -> None:
    """However values move, stand still, come, go, grow stale and return, and whether or not the page is asked at every tick."""
    draw, ring, now = random.Random(seed), Ring(), T0
    page = Page(ring, (), eof)
    handles = {pid: [Series(f"m{i}", labels(pid=pid)) for i in range(4)] for pid in range(6)}
    for _ in range(150):
        now += draw.choice((1, 1, 1, 1, 4, 30))
        batch: list[Sample | Event] = []
        for pid, own in handles.items():
            if draw.random() < 0.03:
                batch.append(Event(now, ENTITY_ENDED, labels(pid=pid)))
                handles[pid] = own = [Series(handle.name, handle.labels) for handle in own]
            values = (0.0, 1.0, 2.5, math.nan, math.inf)
            batch += [Sample(handle, draw.choices(values, (8, 2, 2, 1, 1))[0]) for handle in own if draw.random() < 0.9]
        ring.add(now, batch)
        if draw.random() < 0.7:
            shown = {(s.name, s.labels["pid"], repr(s.value)) for f in parse_plain(page.text().decode()) for s in f.samples}
            kept = {(f"anfl_{n}", dict(k)["pid"], repr(v)) for n in ring.names() for k, (_, v) in ring.latest(n).items()}
            assert kept <= shown
            assert len({key[:2] for key in shown}) == len(shown)


async def test_the_compressed_page_is_the_page() -> None:
    """However large; compressed once a tick."""
    ring = filled([Sample(Series("m", labels(pid=i)), i / 7) for i in range(9000)])
    page = Page(ring, (), eof)
    packed = await page.zipped()
    assert gzip.decompress(packed) == page.text()
    assert await page.zipped() is packed


@pytest.mark.parametrize("packed", [False, True])
async def test_one_who_asks_at_every_tick_finds_the_page_ready(packed: bool) -> None:
    """A scraper that comes seldom makes nobody render for nothing."""
    ring = filled()
    renders: list[float] = []
    page = Page(ring, METRICS, eof, renders.append)

    async def ticks(count: int, every: int) -> list[int]:
        """How often the page was rendered before it was asked for, at each asking."""
        early = []
        for i in range(count):
            ring.add(ring.now + 1, SAMPLES[:2])
            before = len(renders)
            page.prepare()
            if i % every == 0:
                early.append(len(renders) - before)
                assert (gzip.decompress(await page.zipped()) if packed else page.plain()) == page.text()
        return early

    assert await ticks(60, 15) == [0] * 4
    assert len(renders) == 4
    assert await ticks(10, 1) == [0] * 4 + [1] * 6


@pytest.mark.parametrize("openmetrics", [False, True])
def test_own_counters_stand_at_the_foot(openmetrics: bool) -> None:
    """The whole page, appendix included, parses."""
    ring = filled()
    own = OwnCounters(ring)
    own.count("/metrics", 200)
    page = Page(ring, METRICS, own.render, own.rendered).text(openmetrics).decode()
    families = {f.name: f for f in (parse_openmetrics if openmetrics else parse_plain)(page)}
    assert families["anfl_agent_http_requests"].samples[0].value == 1.0
    assert families["anfl_agent_series"].samples[0].value == len(ring)
    assert families["anfl_agent_history_bytes"].samples[0].value > 0
