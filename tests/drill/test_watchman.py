"""The watchman: an agent of its own whose alerts come back, and how long it may take to tell."""

from __future__ import annotations

import json
from pathlib import Path

from agent.drill.watchman import _with_receiver, patience


def test_an_agent_has_its_tree_s_own_time_the_drill_down_and_twenty_seconds() -> None:
    """A topic may have several trees; one that fires at once leaves the drill-down and what telling takes."""
    assert patience("gpu.missing") == 10 + 15 + 20
    assert patience("gpu.pcie-degraded") == 60 + 10 + 15 + 20, "only its fast path fires for it"
    assert patience("memory.oom-killed") == 10 + 15 + 20
    assert patience("memory.python-leak") == 120 + 10 + 15 + 20
    assert patience("site.own-cause") == 45


def test_its_configuration_is_that_of_the_drill_with_one_receiver(tmp_path: Path) -> None:
    """The drill's own stays as it is: the diagnosis is asked with it."""
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps({"socket": "s", "collectors": {"disk": {"interval": 2}}}))
    made = json.loads(Path(_with_receiver(str(path), "http://127.0.0.1:1/")).read_text())
    assert made.pop("probes") == {"memray": {"mode": "auto"}}
    assert made.pop("receivers") == [{"name": "drill", "type": "webhook", "url": "http://127.0.0.1:1/"}]
    assert made == json.loads(path.read_text())
