"""Tasks and CPUs that do not get on: hung tasks, soft and hard lockups, RCU stalls, workqueue lockups.

Forms of kernel/hung_task.c, kernel/watchdog.c, kernel/rcu and kernel/workqueue.c.
"""

from __future__ import annotations

import re

from agent.engine.kernel.log import Log
from agent.engine.kernel.words import integer

_HUNG = re.compile(r"(?:INFO: )?task (.{1,64}?):(\d{1,10}) blocked(?: in I/O wait)? for more than (\d{1,10}) seconds")
_HOLDER = re.compile(
    r"INFO: task .{1,64}?:(\d{1,10}) (?:is )?blocked on an? [\w-]+,? (?:likely |last )?(?:owned|held) by task (.{1,64}?):(\d{1,10})"
)
_SOFT = re.compile(r"(?:(?:NMI )?watchdog: )?BUG: soft lockup - CPU#(\d{1,6}) stuck for (\d{1,10})s! \[(.{1,64}):(\d{1,10})\]")
_HARD = re.compile(
    r"(?:(?:NMI )?watchdog: )?(?:CPU\s?\d+: )?Watchdog (?:detected hard LOCKUP on cpu|CPU:) ?(\d{1,6})"
    r"|watchdog: CPU (\d{1,6}) detected hard LOCKUP"
)
_RCU = re.compile(r"(?:rcu: )?(?:INFO: )?rcu\w* (?:self-detected stall on CPU|detected (?:expedited )?stalls? on CPUs?)")
_WORKQUEUE = re.compile(r"BUG: workqueue lockup - pool .{0,200}? stuck for (\d{1,10})s!")


class Hang:
    """One line, one event."""

    def read(self, text: str, log: Log) -> bool:
        """One line; True if it belongs to this family."""
        if (found := _HUNG.match(text)) is not None:
            log.add("hung_task", {"process": found[1], "pid": int(found[2]), "seconds": int(found[3])})
        elif (found := _SOFT.match(text)) is not None:
            who = {"process": found[3], "pid": int(found[4])}
            log.add("soft_lockup", {"cpu": int(found[1]), "seconds": int(found[2]), **who})
        elif (found := _HARD.match(text)) is not None:
            log.add("hard_lockup", {"cpu": integer(found[1] or found[2])})
        elif _RCU.match(text):
            log.add("rcu_stall", {}, ())
        elif (found := _WORKQUEUE.match(text)) is not None:
            log.add("workqueue_lockup", {"seconds": int(found[1])}, ())
        elif text.startswith("Future hung task reports are suppressed"):
            log.add("hung_task_suppressed", {})
        elif (found := _HOLDER.match(text)) is not None:
            self._holder(int(found[1]), found[2], int(found[3]), log)
        else:
            return False
        return True

    def _holder(self, pid: int, name: str, holder: int, log: Log) -> None:
        """Since Linux 6.16 the report also says who holds the lock."""
        for event in reversed(log.events[-4:]):
            if event.kind == "hung_task" and event.get("pid") == pid:
                event.fields |= {"holder": name, "holder_pid": holder}
                return
