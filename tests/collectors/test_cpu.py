from pathlib import Path

import pytest

from agent.collectors.cpu import TICKS_PER_SECOND, Collector, parse_stat
from tests.collectors.figures import figures


def test_times_are_seconds_and_kinds_add_up_to_busy(proc: Path) -> None:
    """User includes nice, system includes interrupts, busy is both; steal, idle and iowait stand apart."""
    read = figures(Collector(proc=str(proc)).collect())
    assert read["host_cpu_user_seconds_total"] == 1302 / TICKS_PER_SECOND
    assert read["host_cpu_system_seconds_total"] == 450 / TICKS_PER_SECOND
    assert read["host_cpu_busy_seconds_total"] == pytest.approx(1752 / TICKS_PER_SECOND)
    assert read["host_cpu_steal_seconds_total"] == 700 / TICKS_PER_SECOND


def test_counts_beside_the_times(proc: Path) -> None:
    """Processors, switches, forks, running and blocked tasks, boot time and load are read as they stand."""
    read = figures(Collector(proc=str(proc)).collect())
    expected = {"host_cpus": 2, "host_context_switches_total": 289722, "host_forks_total": 7294, "host_procs_running": 3}
    expected |= {"host_procs_blocked": 1, "host_boot_time_seconds": 1795411105, "host_load1": 0.49}
    assert {name: read[name] for name in expected} == expected


def test_a_counter_the_kernel_steps_back_does_not_fall(proc: Path) -> None:
    """iowait may step back in the kernel; a fall would read as a restart, so the highest value stands."""
    collector = Collector(proc=str(proc))
    before = figures(collector.collect())
    text = (proc / "stat").read_text()
    (proc / "stat").write_text(text.replace("50000 250", "50100 240"))
    after = figures(collector.collect())
    assert after["host_cpu_iowait_seconds_total"] == before["host_cpu_iowait_seconds_total"]
    assert after["host_cpu_idle_seconds_total"] > before["host_cpu_idle_seconds_total"]


def test_a_hundred_processors_and_many_interrupts_are_counted() -> None:
    """The figures behind a long interrupt line are found, and every processor's line is counted."""
    lines = "".join(f"cpu{n} 1 0 1 1 0 0 0 0 0 0\n" for n in range(192))
    tail = "ctxt 7\nbtime 9\nprocesses 3\nprocs_running 1\nprocs_blocked 0\n"
    raw = f"cpu  192 0 192 192 0 0 0 0 0 0\n{lines}intr 5 {'0 ' * 9000}\n{tail}"
    read = parse_stat(raw.encode())
    assert (read["host_cpus"], read["host_forks_total"]) == (192, 3)
