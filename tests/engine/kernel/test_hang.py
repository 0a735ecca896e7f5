"""Tasks and CPUs that do not get on."""

from __future__ import annotations

import pytest

from tests.engine.kernel.said import has, said


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (
            "INFO: task kworker/u80:0:10 blocked for more than 120 seconds.",
            {"kind": "hung_task", "process": "kworker/u80:0", "pid": 10},
        ),
        (
            "INFO: task python3:88 blocked in I/O wait for more than 122 seconds.",
            {"kind": "hung_task", "process": "python3", "seconds": 122},
        ),
        (
            "INFO: task a:1 blocked for:7 blocked for more than 9 seconds.",
            {"kind": "hung_task", "process": "a:1 blocked for", "pid": 7},
        ),
        (
            "NMI watchdog: BUG: soft lockup - CPU#2 stuck for 23s! [a]:b:5]",
            {"kind": "soft_lockup", "process": "a]:b", "pid": 5, "cpu": 2},
        ),
        ("NMI watchdog: Watchdog detected hard LOCKUP on cpu 3", {"kind": "hard_lockup", "cpu": 3}),
        ("watchdog: CPU5: Watchdog detected hard LOCKUP on cpu 5", {"kind": "hard_lockup", "cpu": 5}),
        ("rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:", {"kind": "rcu_stall"}),
        ("INFO: rcu_sched self-detected stall on CPU", {"kind": "rcu_stall"}),
        ("BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 46s!", {"kind": "workqueue_lockup", "seconds": 46}),
    ],
)
def test_forms_of_all_ages(line: str, wanted: dict[str, object]) -> None:
    """Old and new wordings; the last colon parts name and pid."""
    (event,) = said(line)
    assert wanted.items() <= event.items()


def test_who_holds_the_lock_goes_with_the_task() -> None:
    """Since Linux 6.16 the report says so; it is no event of its own."""
    (event,) = said(
        "INFO: task b:12 blocked for more than 120 seconds.",
        "INFO: task b:12 is blocked on a mutex likely owned by task holder:11.",
    )
    assert has(event, pid=12, holder="holder", holder_pid=11)


@pytest.mark.parametrize(
    "line", ["INFO: task running normally", "INFO: task xyz blocked for more than 60 seconds.", "task:x state:D"]
)
def test_what_only_looks_like_one_is_silent(line: str) -> None:
    """No pid, no blocked task."""
    assert said(line) == []
