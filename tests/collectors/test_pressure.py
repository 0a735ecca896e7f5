from pathlib import Path

import pytest

from agent.collectors.pressure import Collector
from agent.errors import Unavailable
from tests.collectors.figures import figures


def test_totals_become_seconds(proc: Path) -> None:
    """Microseconds of some and full become seconds of waiting and stalled."""
    read = figures(Collector(proc=str(proc)).collect())
    assert read["host_pressure_cpu_waiting_seconds_total"] == pytest.approx(7.58372)
    assert read["host_pressure_memory_stalled_seconds_total"] == 0.25
    assert read["host_pressure_io_stalled_seconds_total"] == pytest.approx(2.469305)


def test_kernels_before_5_13_have_no_full_line_for_the_processor(proc: Path) -> None:
    """Without the line there is no such series."""
    (proc / "pressure" / "cpu").write_text("some avg10=0.00 avg60=0.00 avg300=0.00 total=5\n")
    read = figures(Collector(proc=str(proc)).collect())
    assert "host_pressure_cpu_stalled_seconds_total" not in read
    assert "host_pressure_cpu_waiting_seconds_total" in read


def test_a_kernel_without_psi_is_unavailable_with_the_mend(tmp_path: Path) -> None:
    """The collector is absent there, not broken, and says how to switch it on."""
    with pytest.raises(Unavailable, match="psi=1"):
        Collector(proc=str(tmp_path)).collect()
