from collections.abc import Mapping
from pathlib import Path

import pytest

from agent.collectors.cgroup import RENEW_EVERY, Collector
from agent.errors import Unavailable
from tests.collectors.figures import events, figures

GIB = 1 << 30
STAT_V2 = "anon 300\nfile 500\nkernel 20\nshmem 1\ninactive_anon 300\nactive_anon 9\ninactive_file 400\nactive_file 100\n"
STAT_V1 = "cache 1\nrss 2\ninactive_file 3\ntotal_cache 500\ntotal_rss 300\ntotal_inactive_anon 7\ntotal_inactive_file 400\n"


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Files of one cgroup."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)


def v2(usage: int = 1000, limit: str = "max", cpu: str = "max 100000", used: int = 5_000_000, throttled: int = 4) -> dict[str, str]:
    """A version 2 cgroup that is not the root."""
    return {
        "cpu.stat": f"usage_usec {used}\nuser_usec 1\nnr_periods 40\nnr_throttled {throttled}\nthrottled_usec 2500000\n",
        "cpu.max": f"{cpu}\n",
        "memory.current": f"{usage}\n",
        "memory.max": f"{limit}\n",
        "memory.stat": STAT_V2,
        "memory.events": "low 0\nhigh 0\nmax 3\noom 2\noom_kill 1\noom_group_kill 0\n",
        "pids.current": "7\n",
        "pids.max": "max\n",
        "cpu.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=1000000\n",
        "io.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
    }


@pytest.fixture
def tree(proc: Path, tmp_path: Path) -> Path:
    """A version 2 host: /a with limits, /a/b without, both below a root that has none."""
    root = tmp_path / "cg"
    (proc / "self/mountinfo").write_text(f"30 23 0:26 / {root} rw - cgroup2 cgroup2 rw\n")
    write(root, {"cpu.stat": "usage_usec 9000000\nuser_usec 1\nsystem_usec 1\n", "memory.stat": STAT_V2})
    write(root / "a", v2(usage=2000, limit="5000", cpu="150000 100000", throttled=9))
    write(root / "a/b", v2())
    return root


def read(collector: Collector, label: str) -> dict[str, float]:
    """Figures of one cgroup without its label."""
    return {n.split("{")[0]: v for n, v in figures(collector.collect()).items() if n.endswith(f"{{cgroup={label!r}}}")}


def test_version_two_in_full(proc: Path, tree: Path) -> None:
    """Limits of the cgroup above bind: quota with its throttling, memory limit, and what is left of it without idle cache."""
    assert read(Collector(proc=str(proc), paths=("/a/b",)), "/a/b") == {
        "cgroup_cpu_seconds_total": 5.0,
        "cgroup_cpu_quota_cores": 1.5,
        "cgroup_cpu_periods_total": 40,
        "cgroup_cpu_throttled_periods_total": 9,
        "cgroup_cpu_throttled_seconds_total": 2.5,
        "cgroup_memory_bytes": 1000,
        "cgroup_working_set_bytes": 600,
        "cgroup_anonymous_bytes": 300,
        "cgroup_file_bytes": 500,
        "cgroup_memory_limit_bytes": 5000,
        "cgroup_memory_free_bytes": 3400,
        "cgroup_oom_kills_total": 1,
        "cgroup_pids": 7,
        "cgroup_pressure_cpu_waiting_seconds_total": 1.0,
        "cgroup_pressure_io_waiting_seconds_total": 0.0,
    }


def test_the_nearest_to_full_binds_not_the_smallest(proc: Path, tree: Path) -> None:
    """A wide parent that others have filled is closer to its end than the cgroup's own tight limit."""
    (tree / "a/b/memory.max").write_text("4000\n")
    (tree / "a/memory.current").write_text("5300\n")
    found = read(Collector(proc=str(proc), paths=("/a/b",)), "/a/b")
    assert found["cgroup_memory_limit_bytes"] == 4000
    assert found["cgroup_memory_free_bytes"] == 100


def test_a_limit_above_the_hosts_memory_is_none(proc: Path, tree: Path) -> None:
    """It never binds, so there is nothing left to run out of."""
    (tree / "a/memory.max").write_text(f"{900 * GIB}\n")
    found = read(Collector(proc=str(proc), paths=("/a",)), "/a")
    assert "cgroup_memory_limit_bytes" not in found
    assert "cgroup_memory_free_bytes" not in found


def test_the_root_has_time_but_no_limits(proc: Path, tree: Path) -> None:
    """Version 2 keeps no memory figure at the root, and none is made up."""
    found = read(Collector(proc=str(proc), paths=("/",)), "/")
    assert found["cgroup_cpu_seconds_total"] == 9.0
    assert found["cgroup_cpu_throttled_periods_total"] == 0
    assert not any("memory" in name for name in found)


def test_limits_are_read_anew_after_a_while(proc: Path, tree: Path) -> None:
    """An operator who raises a limit is seen within ten readings."""
    collector = Collector(proc=str(proc), paths=("/a",))
    collector.collect()
    (tree / "a/memory.max").write_text("7000\n")
    (tree / "a/cpu.max").write_text("max 100000\n")
    found = [read(collector, "/a") for _ in range(RENEW_EVERY)][-1]
    assert found["cgroup_memory_limit_bytes"] == 7000
    assert "cgroup_cpu_quota_cores" not in found


def test_a_cgroup_that_used_no_cpu_keeps_its_samples_but_its_waiting_is_read(proc: Path, tree: Path) -> None:
    """Blocked tasks burn nothing and still wait for the disk; memory is looked at again once CPU was used."""
    collector = Collector(proc=str(proc), paths=("/a/b",))
    collector.collect()
    write(tree / "a/b", {"memory.current": "1400\n", "io.pressure": "some avg10=0 avg60=0 avg300=0 total=3000000\n"})
    quiet = read(collector, "/a/b")
    (tree / "a/b/cpu.stat").write_text(v2(used=6_000_000)["cpu.stat"])
    busy = read(collector, "/a/b")
    assert (quiet["cgroup_memory_bytes"], quiet["cgroup_pressure_io_waiting_seconds_total"]) == (1000, 3.0)
    assert busy["cgroup_memory_bytes"] == 1400


def test_what_is_watched_can_change_at_any_time(proc: Path, tree: Path) -> None:
    """The app names the cgroups of its subjects whenever they change."""
    collector = Collector(proc=str(proc))
    assert list(collector.collect()) == []
    collector.watch({"/a": 0})
    assert read(collector, "/a")
    collector.watch({"/a/b": 0})
    assert not read(collector, "/a")
    assert read(collector, "/a/b")


def test_a_cgroup_that_is_not_there_has_no_figures(proc: Path, tree: Path) -> None:
    """Least of all those of the cgroup above it."""
    assert list(Collector(proc=str(proc), paths=("/a/none", "/../a")).collect()) == []


@pytest.fixture
def mixed(proc: Path, tmp_path: Path) -> Path:
    """A version 1 host with an empty version 2 tree; the job's memory lies in /jobs/7, its CPU in /slow."""
    root = tmp_path / "cg"
    trees = ("cpu", "cpuacct", "memory", "pids")
    lines = [f"3{n} 31 0:3{n} / {root}/{t} rw - cgroup cgroup rw,{t}\n" for n, t in enumerate(trees)]
    (proc / "self/mountinfo").write_text("".join(lines) + f"41 31 0:41 / {root}/unified rw - cgroup2 cgroup2 rw\n")
    for name in (*trees, "unified"):
        (root / name).mkdir(parents=True)
    write(root / "unified", {"cpu.pressure": "some avg10=0 avg60=0 avg300=0 total=77\n", "cpu.stat": "usage_usec 1\n"})
    write(root / "cpu/slow", {"cpu.cfs_quota_us": "20000\n", "cpu.cfs_period_us": "100000\n"})
    write(root / "cpu/slow", {"cpu.stat": "nr_periods 10\nnr_throttled 8\nthrottled_time 3000000000\n"})
    write(root / "cpuacct", {"cpuacct.usage": "99000000000\n"})
    write(root / "cpuacct/slow", {"cpuacct.usage": "2500000000\n"})
    job = {"memory.usage_in_bytes": "1000\n", "memory.limit_in_bytes": "4000\n", "memory.stat": STAT_V1}
    write(root / "memory/jobs/7", job | {"memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n"})
    write(
        root / "memory/jobs", {"memory.usage_in_bytes": "1\n", "memory.limit_in_bytes": "9223372036854771712\n", "memory.stat": ""}
    )
    write(root / "pids", {})
    (proc / "70").mkdir()
    (proc / "70/cgroup").write_text("5:pids:/\n4:memory:/jobs/7\n2:cpuacct:/slow\n1:cpu:/slow\n0::/\n")
    return root


def test_version_one_with_a_path_for_each_controller(proc: Path, mixed: Path) -> None:
    """The process tells which cgroups belong together; the host's own pressure is not taken for the job's."""
    collector = Collector(proc=str(proc))
    collector.watch({"/jobs/7": 70})
    assert read(collector, "/jobs/7") == {
        "cgroup_cpu_seconds_total": 2.5,
        "cgroup_cpu_quota_cores": 0.2,
        "cgroup_cpu_periods_total": 10,
        "cgroup_cpu_throttled_periods_total": 8,
        "cgroup_cpu_throttled_seconds_total": 3.0,
        "cgroup_memory_bytes": 1000,
        "cgroup_working_set_bytes": 600,
        "cgroup_anonymous_bytes": 300,
        "cgroup_file_bytes": 500,
        "cgroup_memory_limit_bytes": 4000,
        "cgroup_memory_free_bytes": 3400,
        "cgroup_oom_kills_total": 5,
    }


def test_cpu_time_of_the_whole_host_is_not_the_jobs(proc: Path, mixed: Path) -> None:
    """A process without a CPU cgroup of its own sits in the root one, whose time is everybody's."""
    (proc / "70/cgroup").write_text("4:memory:/jobs/7\n2:cpuacct:/\n1:cpu:/\n0::/\n")
    collector = Collector(proc=str(proc))
    collector.watch({"/jobs/7": 70})
    found = read(collector, "/jobs/7")
    assert "cgroup_cpu_seconds_total" not in found
    assert "cgroup_memory_bytes" in found


def test_a_pid_that_moved_on_is_not_believed(proc: Path, mixed: Path) -> None:
    """If the process no longer lives in that cgroup, only the cgroup's own path is looked up."""
    (proc / "70/cgroup").write_text("4:memory:/other\n2:cpuacct:/slow\n1:cpu:/slow\n0::/\n")
    collector = Collector(proc=str(proc))
    collector.watch({"/jobs/7": 70})
    assert "cgroup_cpu_quota_cores" not in read(collector, "/jobs/7")


def test_a_process_put_under_a_quota_later_is_noticed(proc: Path, mixed: Path) -> None:
    """Its memory cgroup stays, its CPU cgroup changes: seen within ten readings, and kept once the process has ended."""
    membership = (proc / "70/cgroup").read_text()
    (proc / "70/cgroup").write_text("4:memory:/jobs/7\n2:cpuacct:/\n1:cpu:/\n0::/\n")
    collector = Collector(proc=str(proc))
    collector.watch({"/jobs/7": 70})
    assert "cgroup_cpu_quota_cores" not in read(collector, "/jobs/7")
    (proc / "70/cgroup").write_text(membership)
    assert [read(collector, "/jobs/7") for _ in range(RENEW_EVERY)][-1]["cgroup_cpu_quota_cores"] == 0.2
    (proc / "70/cgroup").unlink()
    assert [read(collector, "/jobs/7") for _ in range(RENEW_EVERY)][-1]["cgroup_cpu_quota_cores"] == 0.2


def test_no_cgroups_is_unavailable(proc: Path) -> None:
    """A host without cgroups lacks the source."""
    with pytest.raises(Unavailable):
        Collector(proc=str(proc)).collect()


@pytest.mark.real
@pytest.mark.root
def test_a_removed_cgroup_ends() -> None:
    """The kernel answers ENODEV on files kept open, and the entity is seen to end."""
    parent = next((p for p in (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")) if (p / "cgroup.procs").exists()), None)
    if parent is None:
        pytest.skip("no cgroup tree")
    folder = parent / "anfl-test-ends"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        pytest.skip(f"cgroups cannot be made here: {error}")
    collector = Collector(paths=("/anfl-test-ends",))
    try:
        assert read(collector, "/anfl-test-ends")
    finally:
        folder.rmdir()
    found = [event for _ in range(RENEW_EVERY + 1) for event in events(collector.collect())]
    assert found == [("entity_ended", {"cgroup": "/anfl-test-ends"})]
