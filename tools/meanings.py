"""What the keys of the configuration mean, one sentence each; tools/docs.py sets them into docs/configuration.md."""

from __future__ import annotations

LATER = "Read and checked, but nothing uses it yet."

LATER_KEYS = ("kernel_log.trust_user_records", "receivers", "playbooks.ceiling")

CONFIG_KEYS = {
    "listen": "Address of `/metrics`. An address that is not loopback is refused unless `run --insecure` is given.",
    "socket": "Path of the unix socket. Empty: `/run/anfl-agent/agent.sock` for root, else "
    "`$XDG_RUNTIME_DIR/anfl-agent/agent.sock`, or `run/agent.sock` below `state_dir`'s default where that is not set.",
    "state_dir": "Folder for memray bundles, the capture ledger and artefacts. Empty: `/var/lib/anfl-agent` for root, else "
    "`$XDG_STATE_HOME/anfl-agent` (`~/.local/state` where that is not set).",
    "artifacts.dir": "Folder for flame graphs and stacks. Empty: `artifacts` below `state_dir`.",
    "artifacts.quota": "Bytes kept; the oldest files go first. Files younger than a minute stay.",
    "artifacts.keep": "Age at which a file is removed. Old files are removed when the next diagnosis begins.",
    "rules_dir": "Folder of trees to use in place of the shipped ones. Your own changes belong into `rules.d/` instead.",
    "subjects.top": "How many processes get series of their own by each of CPU, size, growth and I/O.",
    "subjects.match": "Processes that always get series of their own: `unit:NAME`, `cgroup:PATH` (and all below), or text held in "
    "the command line. `*`, `?` and `[…]` are wild in units and cgroups.",
    "kernel_log.trust_user_records": "Whether kernel-log records that any user may write count.",
    "receivers": "Where alerts go.",
    "playbooks.ceiling": "The most a playbook may do.",
    "budget.cpu": "Share of one core. The agent logs once when it and its probes took more over a minute, and once when they "
    "are back within.",
    "budget.history": "How far back the memory reaches. A rule with a longer window gets a warning when it is loaded.",
    "budget.drill": "Seconds that closer looks may add to a diagnosis.",
    "budget.drill_deep": "The same with `diagnose --deep`.",
    "budget.judge_every": "Seconds between two rounds of the judge; 1 s while a diagnosis runs.",
}

PLUGIN_KEYS = {
    "interval": "Seconds between two readings. The agent ticks once a second; a shorter interval changes nothing.",
    "timeout": "Seconds after which a reading counts as stalled.",
    "proc": "Where procfs is mounted.",
    "sys": "Where sysfs is mounted.",
    "paths": "Cgroups to read whoever lives there.",
    "patience": "Seconds one mount may take to answer.",
    "skip": "Filesystem types that are left out.",
    "tcp_every": "Read TCP at every so-manieth collection.",
    "top": "Default: `subjects.top`.",
    "match": "Default: `subjects.match`.",
    "max_subjects": "Most process trees with series of their own.",
    "max_members": "Most processes of one tree with series of their own.",
    "max_total": "Most processes with series of their own.",
    "own": "Whether the agent itself may be a subject.",
    "seconds": "How long the look lasts.",
    "large": "Read processes above 2 GiB too.",
    "subprocesses": "Look at the three busiest Python processes of the tree, not at one.",
    "blocking": "Stop the target for each sample. Never with `--gentle`, never above 16 threads.",
    "snapshots": "How many times all stacks are read.",
    "gap": "Seconds between two snapshots.",
    "memray.mode": "What the daemon may do by itself when a symptom fires: `auto` attaches, `ask` and `off` do not. What a person "
    "asks for with `diagnose` is not bound by it.",
    "memray.seconds": "How long allocations are tracked, over all stages.",
    "memray.stage": "`auto` chooses; else one stage only: `default` (large blocks), `pymalloc` (every object), `native` "
    "(C stacks too).",
    "pyspy.mode": "What is recorded: stacks on a CPU (`wall`), holders of the interpreter lock (`gil`), or `both`.",
    "pyspy.seconds": "How long it samples, 1 to 30.",
}


def of_config(key: str) -> str:
    """What a key of config.yaml means; KeyError where nobody has written it."""
    return CONFIG_KEYS[key] + (f" {LATER}" if key in LATER_KEYS else "")


def of_plugin(plugin: str, setting: str) -> str:
    """What a plug-in's setting means; KeyError where nobody has written it."""
    own = f"{plugin}.{setting}"
    return PLUGIN_KEYS[own] if own in PLUGIN_KEYS else PLUGIN_KEYS[setting]
