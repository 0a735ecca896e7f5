"""The agent's own counters are written as prometheus_client writes them, without what that costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import exposition
from prometheus_client.openmetrics import exposition as openmetrics_exposition

from agent.store.ring import Ring
from agent.web.metrics import OwnCounters

LOADED = """
import sys
from agent.store.ring import Ring
from agent.web.metrics import OwnCounters
own = OwnCounters(Ring())
own.render(False), own.render(True)
print(*sys.modules)
"""


def own() -> OwnCounters:
    """With a path that needs to be escaped."""
    made = OwnCounters(Ring())
    made.count("/metrics", 200)
    made.count('/a"b\\c\nd', 404)
    made.rendered(0.25)
    made.refused_connections = 3
    return made


@pytest.mark.parametrize("openmetrics", [False, True])
def test_the_text_is_that_of_prometheus_client(openmetrics: bool) -> None:
    """To the byte, in both formats."""
    latest = openmetrics_exposition.generate_latest if openmetrics else exposition.generate_latest
    assert own().render(openmetrics) == latest(own())  # type: ignore[arg-type]


def test_a_scrape_loads_neither_a_web_server_nor_what_reads_proc() -> None:
    """The package is for whoever compares."""
    root = Path(__file__).resolve().parents[2]
    answer = subprocess.run([sys.executable, "-c", LOADED], check=True, capture_output=True, text=True, cwd=root).stdout.split()
    assert not {"prometheus_client", "wsgiref"} & set(answer)
