from agent.collectors.self import Collector, parse_stat
from tests.collectors.figures import figures


def test_a_process_name_with_brackets_and_spaces_does_not_shift_the_columns() -> None:
    """The name ends at the last bracket."""
    raw = b"77 (a) (b c) S 1 77 77 0 -1 4194560 1 0 0 0 5 6 0 0 20 0 9 0 100 1000000 4321 18446744073709551615 1 1 0\n"
    assert parse_stat(raw) == (9, 4321)


def test_the_agents_own_figures_are_there() -> None:
    """A running process has CPU time, memory, a thread and open files."""
    read = figures(Collector().collect())
    assert read.keys() == {"agent_cpu_seconds_total", "agent_resident_bytes", "agent_open_fds", "agent_threads"}
    assert all(value > 0 for value in read.values())
