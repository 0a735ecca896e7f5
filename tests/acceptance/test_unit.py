"""The shipped unit: systemd reads it without a complaint, and it leaves the agent few rights."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from agent import data

EXPOSURE = 2.6
"""Of 10. What is left: the two capabilities py-spy needs, the network for /metrics, devices of the driver."""

EXPOSURE_ACTING = 4.0

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze"),
]


def analyze(*args: str, unit: str = "") -> subprocess.CompletedProcess[str]:
    """One call of systemd-analyze on the shipped unit, or another."""
    unit = unit or str(data.folder("systemd") / "anfl-agent.service")
    done = subprocess.run(["systemd-analyze", *args, unit], capture_output=True, text=True, timeout=60)
    if "Unknown" in done.stderr or "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze is too old")
    return done


def test_systemd_reads_it_without_a_complaint() -> None:
    """But that the command lies elsewhere in a checkout."""
    told = [line for line in analyze("verify").stderr.splitlines() if "/opt/anfl-agent/bin/anfl-agent" not in line]
    assert not [line for line in told if "anfl-agent.service" in line], told


def exposure(unit: str = "") -> float:
    """What systemd makes of its rights, out of ten."""
    said = analyze("security", "--offline=yes", "--no-pager", unit=unit).stdout
    found = re.search(r"exposure level for anfl-agent\.service: ([\d.]+)", said)
    assert found is not None, said
    return float(found[1])


def test_it_leaves_the_agent_few_rights() -> None:
    """As systemd itself counts them."""
    assert exposure() <= EXPOSURE


def test_it_gives_two_capabilities_and_the_kernel_log() -> None:
    """The log is opened for the agent, which then needs no right to open it."""
    lines = (data.folder("systemd") / "anfl-agent.service").read_text("utf-8").splitlines()
    for name in ("AmbientCapabilities", "CapabilityBoundingSet"):
        assert [line for line in lines if line.startswith(name)] == [f"{name}=CAP_SYS_PTRACE CAP_DAC_READ_SEARCH"]
    assert {"StandardInput=file:/dev/kmsg", "ProtectKernelLogs=yes"} <= {*lines}


def test_the_drop_in_for_acting_is_read_too_and_keeps_most_of_the_sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs as root then, which systemd counts heavily."""
    shipped, beside = data.folder("systemd"), tmp_path / "anfl-agent.service.d"
    beside.mkdir()
    shutil.copy(shipped / "anfl-agent.service", tmp_path)
    shutil.copy(shipped / "anfl-agent-acts.conf", beside / "acts.conf")
    monkeypatch.setenv("SYSTEMD_UNIT_PATH", f"{tmp_path}:")
    said = analyze("verify", unit=str(tmp_path / "anfl-agent.service")).stderr
    assert "acts.conf" not in said
    assert exposure(unit="anfl-agent.service") <= EXPOSURE_ACTING
    assert exposure(unit="anfl-agent.service") > EXPOSURE
