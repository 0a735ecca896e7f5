"""The real command on a host whose GPUs are in trouble from the start."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.acceptance.command import Command
from tests.fakes.gpusim import Host

pytestmark = pytest.mark.real


def test_a_driver_that_never_answered_is_no_all_clear(agent: Command, tmp_path: Path) -> None:
    """Its first call is not late yet: too little is known, and the command says so."""
    host = Host(tmp_path)
    host.break_("hang")
    done = replace(agent, more=host.sim.environment())("diagnose", "gpu", "--local", "--for", "3s", "--json")
    assert (done.code, done.json["verdict"]) == (3, "unknown")
    assert "gpu.driver-hung" in {p["id"] for p in done.json["possible"]}
    assert "gpu_node.hung" in {n["id"] for n in done.json["not_checked"]}
