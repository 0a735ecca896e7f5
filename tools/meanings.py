"""What the keys of the configuration mean, one sentence each; tools/docs.py sets them into docs/configuration.md."""

from __future__ import annotations

CONFIG_KEYS = {
    "listen": "Address of `/metrics`. An address that is not loopback is refused unless `run --insecure` is given.",
    "socket": "Path of the unix socket. Empty: `/run/anfl-agent/agent.sock` for root, else "
    "`$XDG_RUNTIME_DIR/anfl-agent/agent.sock`, or `run/agent.sock` below `state_dir`'s default where that is not set.",
    "state_dir": "Folder for memray bundles, the capture ledger and artefacts. Empty: `/var/lib/anfl-agent` for root, else "
    "`$XDG_STATE_HOME/anfl-agent` (`~/.local/state` where that is not set).",
    "artifacts.dir": "Folder for flame graphs and stacks. Empty: `artifacts` below `state_dir`.",
    "artifacts.quota": "Bytes kept; the oldest files go first. Files younger than a minute stay.",
    "artifacts.keep": "Age at which a file is removed. Old files are removed when the next diagnosis begins.",
    "recorder.enabled": "Whether the agent writes its flight recording: see [recording.md](recording.md).",
    "recorder.dir": "Folder of the recording. Empty: `recording` below `state_dir`.",
    "recorder.keep": "Age at which a file of the recording is removed.",
    "recorder.quota": "Bytes kept; the oldest files go first. 2,000 series at 1 Hz take some 50 MiB a day.",
    "rules_dir": "Folder of trees to use in place of the shipped ones. Your own changes belong into `rules.d/` instead.",
    "subjects.top": "How many processes get series of their own by each of CPU, size, growth and I/O.",
    "subjects.match": "Processes that always get series of their own: `unit:NAME`, `cgroup:PATH` (and all below), or text held in "
    "the command line. `*`, `?` and `[…]` are wild in units and cgroups.",
    "kernel_log.trust_user_records": "Whether records that any user may write count: see [kernel-log.md](kernel-log.md).",
    "receivers": "Where alerts go: see [Receivers](#receivers). An item may also be a plain apprise URL. None: the "
    "file `alerts.jsonl` below `state_dir`.",
    "alerts.group_wait": "How long the first message of a group waits for others that belong to it.",
    "alerts.group_interval": "Least time between two messages of a group, unless something critical is new or all is over.",
    "alerts.repeat": "When what still fires and nobody acknowledged is told again.",
    "alerts.settle": "How long after its start the agent looks round before it tells of anything new.",
    "alerts.group_by": "Labels whose values make a group.",
    "alerts.link": "Address of an incident's page; `{incident}`, `{cause}` and `{tree}` are filled in.",
    "alerts.runbook": "Address of runbooks, filled in the same way.",
    "alerts.routes": "Who hears of what: see [Routes](#routes). None: every receiver hears of warnings and critical alerts.",
    "alerts.maintenance": "Weekly hours in which nobody is told: see [Maintenance windows](#maintenance-windows).",
    "alerts.digest.receivers": "Who gets one message a day with what was not worth one of its own.",
    "alerts.digest.severity": "What belongs into it.",
    "alerts.digest.at": "When it is sent.",
    "alerts.digest.zone": "Time zone of that time.",
    "playbooks.ceiling": "The most a playbook may do: see [playbooks.md](playbooks.md).",
    "playbooks.webhook": "Address that tickets and scaling are asked of, for playbooks that name none of their own. Not shown.",
    "playbooks.url": "Address under which people reach the page for approvals, such as a proxy's before `listen`: messages that "
    "ask for an approval then hold a link. See [playbooks.md](playbooks.md#5-who-may-agree).",
    "playbooks.approvers": "Who may agree: see [Approvers](#approvers). None: root, the agent's own user and the group "
    "`anfl-agent`.",
    "playbooks.permit.url": 'Asked with a POST before anything disruptive; only `200` with `{"permit": true}` is a yes. Not shown.',
    "playbooks.permit.command": "The same for a program: the question on its standard input, the answer on its standard "
    "output, exit code 0.",
    "playbooks.permit.secret_file": "A file with the key that signs the question.",
    "playbooks.permit.secret_credential": "The same as a systemd credential.",
    "playbooks.permit.timeout": "No answer within that time is a no.",
    "playbooks.key_file": "A file with the key that seals the audit and signs links. Empty: `playbooks.key` in `state_dir`, made "
    "at the first start.",
    "playbooks.key_credential": "The same as a systemd credential.",
    "budget.cpu": "Share of one core. The agent logs once when it and its probes took more over a minute, and once when they "
    "are back within.",
    "budget.history": "How far back the memory reaches. A rule with a longer window gets a warning when it is loaded.",
    "budget.drill": "Seconds that closer looks may add to a diagnosis.",
    "budget.drill_deep": "The same with `diagnose --deep`.",
    "budget.judge_every": "Seconds between two rounds of the judge; 1 s while a diagnosis runs.",
}

ALERT_KEYS = {
    "name": "How routes and commands call it.",
    "type": "`apprise` (any service it knows), `webhook` (signed CloudEvents), `alertmanager`, `file`, `heartbeat` (asked again "
    "and again while all is well, so that its silence is an alarm).",
    "url": "The address. Exactly one of `url`, `url_file` and `credential` is needed, but for files.",
    "url_file": "A file with one address a line; `#` begins a comment. Read at each sending.",
    "credential": "The same as a systemd credential (`LoadCredential=` or `LoadCredentialEncrypted=`).",
    "secret_file": "A file with the key that signs a webhook's bodies.",
    "secret_credential": "The same as a systemd credential.",
    "path": "Where a file receiver appends one JSON line a message; `-` is standard output.",
    "format": "What apprise services get; `auto` is HTML for mail, Markdown for chats, text for the rest.",
    "attach": "Whether the flame graph rides along, up to 1 MiB.",
    "deadline": "Seconds an attempt may take.",
    "every": "Seconds between two heartbeats, or between two sendings of what still fires to an Alertmanager.",
    "route.receivers": "Names of receivers.",
    "match": 'Matchers that all must hold: `unit=~"vllm.*"`, `user!=root`.',
    "severity": "Which severities.",
    "trees": "Which trees; none: all.",
    "route.hours": "When: `mon-fri 08:00-18:00`. Empty: always.",
    "zone": "Time zone of hours and dates.",
    "continue": "Ask the next routes too.",
    "escalate": "`{after: 15m, receivers: [boss]}`: whom to tell as well when nobody acknowledged in time.",
    "window.name": "How it is called where it hides something.",
    "window.hours": "When: `sun 02:00-04:00`. A span past midnight belongs to the day it begins on.",
    "until": "A date or time after which the window is no more.",
}

APPROVER_KEYS = {
    "user": "A local user.",
    "group": "The members of a local group, as the kernel knows them.",
    "name": "Somebody who agrees on the page of the link; needs a code.",
    "role": "What they may agree to; a playbook's `approval.role` asks for at least that.",
    "totp_file": "A file with their secret for time-based codes (RFC 6238), in base32. Read at each try.",
    "totp_credential": "The same as a systemd credential.",
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
    "library": "Folder or file to load NVML from instead of what the loader finds, such as a simulator's.",
    "deadline": "Seconds one NVML call may take before the process that makes it is given up.",
    "gpu_health.library": "Default: that of `gpu`.",
    "gpu_health.deadline": "Default: that of `gpu`.",
    "gpu_health.state_dir": "Folder of `gpus.json`, which holds the GPUs and NVLinks ever seen. Default: `state_dir`.",
    "expected": "How many GPUs this host should have. 0: the most ever seen.",
    "boot_grace": "Seconds after boot in which missing GPUs are not reported: drivers load late.",
    "kernel_log.path": "The log: the device, or a private file or FIFO of any kernel-log text.",
    "kernel_log.trust_user_records": "Default: `kernel_log.trust_user_records`.",
    "kernel_log.most": "Most records read a tick.",
    "kernel_log.budget": "Most seconds of reading a tick.",
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
    return CONFIG_KEYS[key]


def of_alerting(section: str, setting: str) -> str:
    """What a setting of a receiver, route, window or approver means; KeyError where nobody has written it."""
    if section == "approver":
        return APPROVER_KEYS[setting]
    own = f"{section}.{setting}"
    return ALERT_KEYS[own] if own in ALERT_KEYS else ALERT_KEYS[setting]


def of_plugin(plugin: str, setting: str) -> str:
    """What a plug-in's setting means; KeyError where nobody has written it."""
    own = f"{plugin}.{setting}"
    return PLUGIN_KEYS[own] if own in PLUGIN_KEYS else PLUGIN_KEYS[setting]
