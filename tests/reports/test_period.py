"""A period's report: what the recording and the state file say of it, and nothing where they say nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.model import Labels, Severity, labels
from agent.reports import html, markdown, period, period_document, shown
from agent.reports.history import Grid
from agent.reports.incident import duration
from tests.reports.worlds import CASE, OPENED, START, course, record, sources, state

DAY = 86400.0
ROOT, DATA = labels(mountpoint="/"), labels(mountpoint="/data")
GPU = labels(gpu=0, uuid="GPU-1", pci="0000:3b:00.0")


def readings(t: float) -> dict[Any, float]:
    """Half of two CPUs busy, a disk that fills, an error in each hour, a collector that is down for a tenth."""
    return {
        ("host_cpus", labels()): 2.0,
        ("host_cpu_busy_seconds_total", labels()): t,
        ("host_memory_total_bytes", labels()): 8e9,
        ("host_memory_available_bytes", labels()): 6e9,
        ("host_swap_total_bytes", labels()): 0.0,
        ("host_swap_free_bytes", labels()): 0.0,
        ("filesystem_size_bytes", ROOT): 1e11,
        ("filesystem_avail_bytes", ROOT): 5e10,
        ("filesystem_size_bytes", DATA): 1e11,
        ("filesystem_avail_bytes", DATA): 6e10 - t / DAY * 4e10,
        ("kernel_events_total", labels(kind="io_error")): float(int(t / 3600)),
        ("kernel_events_total", labels(kind="mce")): 0.0,
        ("gpu_utilization_ratio", GPU): 0.75,
        ("agent_cpu_seconds_total", labels()): 0.006 * t,
        ("agent_resident_bytes", labels()): 4e7,
        ("agent_collector_up", labels(collector="gpu")): 0.0 if t % DAY < DAY / 10 else 1.0,
        ("host_boot_time_seconds", labels()): 1.0 if t < DAY / 2 else 2.0,
    }


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A day with two overlapping incidents, one critical, and one that was open before."""
    recording = record(tmp_path_factory.mktemp("rec"), course(int(DAY), 120, readings))
    first = replace(CASE, worst=Severity.CRITICAL, id=3, since=START + 1000, opened=START + 1010, closed=START + 4600)
    second = replace(
        CASE, worst=Severity.WARNING, id=4, since=START + 2800, opened=START + 2900, closed=None, ending="", phase="open", causes=()
    )
    earlier = replace(CASE, id=1, since=START - 500, opened=START - 500, closed=START - 100)
    return period.report(period.of_state(state(first, second, earlier)), sources(recording), "day", START + DAY)


def test_incidents_are_counted_beside_those_of_the_period_before(told: Any) -> None:
    """Overlapping ones take time once."""
    i = told["incidents"]
    assert (i["opened"], i["closed"], i["open"], i["before"]) == (2, 1, 1, 1)
    assert i["by_severity"] == {"critical": 1, "warning": 1}
    assert i["suffered_s"] == DAY - 1000
    assert (i["noticed_s"], i["closed_s"]) == (55.0, 3590.0)
    assert [(x["id"], x["lasted_s"]) for x in i["top"]] == [(3, 3600.0), (4, DAY - 2800)]
    assert {c["cause"] for c in i["causes"]} == {"memory.python-leak", "unknown"}
    assert told["actions"] == {"denied": 1}


def test_use_is_what_was_used(told: Any) -> None:
    """Shares of what there is; what there is not, such as swap, has no row."""
    by_name = {(u["what"], u["name"]): u for u in told["use"]}
    assert by_name["CPU", "host"]["mean"] == pytest.approx(0.5)
    assert by_name["memory", "host"]["max"] == pytest.approx(0.25)
    assert by_name["filesystem full", "/data"]["last"] == pytest.approx(0.8, abs=0.01)
    assert by_name["GPU busy", "GPU 0"]["p95"] == 0.75
    assert "swap" not in {what for what, _ in by_name}
    assert [u["name"] for u in told["use"] if u["what"] == "filesystem full"] == ["/data", "/"]


def test_only_counters_that_grew_are_errors(told: Any) -> None:
    """With their rate a day."""
    (only,) = told["errors"]
    assert (only["name"], only["count"], round(only["per_day"])) == ("kind io_error", 24, 24)


def test_a_disk_that_fills_is_foretold(told: Any) -> None:
    """20 GB are left at 40 GB a day; the other one does not move."""
    first = told["trends"][0]
    assert (first["what"], first["name"], first["steady"]) == ("room left on a filesystem", "/data", True)
    assert first["meets_s"] == pytest.approx(DAY / 2, rel=0.02)
    assert not any(t["steady"] for t in told["trends"] if t["name"] == "/")


def test_the_agents_own_cost_is_told(told: Any) -> None:
    """CPU, memory, disk, and what it could not see."""
    own = told["agent"]
    assert own["cpu_cores"] == pytest.approx(0.006)
    assert own["resident_bytes"] == 4e7
    assert own["recording_bytes"] > 1000
    assert own["collectors_down"]["gpu"] == pytest.approx(0.1, abs=0.01)
    assert own["boots_seen"] == 2


@pytest.mark.parametrize("write", [html.page, markdown.markdown])
def test_a_period_reads_well(told: Any, write: Any) -> None:
    """Every section, in each form."""
    page = write(period_document.document(told))
    sections = (
        "Health",
        "Incidents",
        "Causes",
        "Error rates",
        "Utilisation",
        "Courses",
        "Trends and forecast",
        "What the agent itself took",
    )
    assert [section for section in sections if section not in page] == []
    for words in (
        "One day on n1",
        "the day before: 1",
        "Reboots",
        " GiB a day",
        duration(told["trends"][0]["meets_s"]),
        "0.60 % of a core",
        "gpu (10 % of",
    ):
        assert words in page.replace("\\", "")


def test_a_time_without_a_recording_is_not_called_healthy(tmp_path: Path) -> None:
    """It says that nothing is known."""
    told = period.report(period.of_state(state(run=False)), sources(record(tmp_path, [(START, {})])), "week", START)
    page = markdown.markdown(period_document.document(told))
    assert told["recorded"] == 0.0
    assert "NOTHING RECORDED" in page.splitlines()[0]
    assert "| Time without an open incident | unknown |" in page
    assert "Where nothing was recorded nothing is known" in page
    assert page.count("Nothing was recorded.") == 2
    assert "Too little was recorded to tell a trend." in page


def test_an_hour_that_was_watched_is_no_calm_day(tmp_path: Path) -> None:
    """The badge says no more than what was seen."""
    told = period.report(period.of_state(state(run=False)), sources(record(tmp_path, course(3600, 10, _load))), "day", START + 3600)
    quiet = {**told, "incidents": {**told["incidents"], "by_severity": {}}}
    assert 0.0 < told["recorded"] < 0.1
    assert [period_document.document({**quiet, "recorded": share}).badge for share in (told["recorded"], 1.0)] == [
        "no trouble seen",
        "no trouble",
    ]


def test_an_agent_that_stopped_is_not_taken_for_an_incident_that_goes_on(tmp_path: Path) -> None:
    """An open incident lasted up to the last reading; of calm no more is claimed than was watched."""
    left = state(replace(CASE, closed=None, phase="diagnosed", ending="", updated=OPENED), run=False)
    told = period.report(period.of_state(left), sources(record(tmp_path, course(700, 10, _load))), "day", START + 80000)
    assert told["incidents"]["top"][0]["lasted_s"] == told["incidents"]["suffered_s"] == 100.0
    page = markdown.markdown(period_document.document({**told, "recorded": 0.004}))
    assert "| Time without an open incident | at most 99.9 %: not all of it was watched |" in page
    assert "None of the counters of trouble grew in what was recorded." in page
    assert "| Recorded | less than 1 % of the time |" in page


def _load(at: float) -> dict[tuple[str, Labels], float]:
    return {("host_load1", labels()): at}


def test_a_recording_from_elsewhere_has_no_incidents(tmp_path: Path) -> None:
    """Those of this host are none of its."""
    told = period.report(None, sources(record(tmp_path, [(START, {})])), "day", START + 60)
    assert told["incidents"] is None
    assert "not part of a recording" in markdown.markdown(period_document.document(told))


def test_everything_shown_is_a_metric_that_exists() -> None:
    """No name of a metric is wrong."""
    from agent import plugins

    assert shown.NAMES - plugins.installed().catalog().metrics.keys() == set()
    assert shown.level(Grid(0.0, 1.0), shown.USES[0]) == {}
