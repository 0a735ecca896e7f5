"""OOM kills."""

from __future__ import annotations

from tests.engine.kernel.said import has, said

SUMMARY = (
    "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/pod,task_memcg=/pod/{0}"
    ",task={1},pid={2},uid=0"
)
KILLED = "Memory cgroup out of memory: Killed process {1} ({0}) total-vm:8kB, anon-rss:{2}kB, file-rss:0kB oom_score_adj:-997"


def test_a_cgroup_killed_as_a_whole() -> None:
    """memory.oom.group: one report, several victims, the limit's cgroup for all."""
    events = said(
        "a invoked oom-killer: gfp_mask=0xcc0, order=0, oom_score_adj=0",
        SUMMARY.format("x", "a", 1),
        KILLED.format("a", 1, 10),
        "Tasks in /pod are going to be killed due to memory.oom.group set",
        KILLED.format("b", 2, 20),
        KILLED.format("c", 3, 30),
    )
    assert [(e["process"], e["pid"], e["anon_rss_kb"], e["memcg"]) for e in events] == [
        ("a", 1, 10, "/pod"),
        ("b", 2, 20, "/pod"),
        ("c", 3, 30, "/pod"),
    ]


def test_names_that_look_like_the_message() -> None:
    """A task's name may hold the words around it."""
    assert has(said(SUMMARY.format("x", "a,task=b", 1))[0], process="a,task=b", memcg="/pod")
    assert has(said(KILLED.format("a) total-vm:1", 5, 7))[0], process="a) total-vm:1", pid=5)
    assert has(said("Out of memory: Killed process 123, UID 48, (httpd)")[0], process="httpd", scope="system")


def test_a_report_that_names_nobody_is_no_kill() -> None:
    """Cut off, or only begun."""
    assert said("oom-kill:constraint=OTHER", "java invoked oom-killer: gfp_mask=0x1", "Killed process invalid (x)") == []


def test_the_tables_of_a_report_do_not_part_it() -> None:
    """Hundreds of tasks may be listed between its lines."""
    table = [f"[{n:6d}]     0 {n:5d}   410346   131071   257        0             0 x" for n in range(500)]
    (event,) = said("a invoked oom-killer: x", *table, SUMMARY.format("x", "v", 9), KILLED.format("v", 9, 5))
    assert has(event, process="v", invoker="a", anon_rss_kb=5)
