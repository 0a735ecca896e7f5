"""The configuration as people see it: the one in force, without its secrets, and the file to begin with."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from agent.config import Config
from agent.yamlfile import Node, key_of

TEMPLATE = """\
# anfl-agent: every key is optional; the values shown are the defaults.
# listen: 127.0.0.1:9477          # /metrics; loopback only unless the agent is told 'insecure'
# socket: /run/anfl-agent/agent.sock
# state_dir: /var/lib/anfl-agent
# artifacts: {quota: 512MiB, keep: 7d}
# recorder: {enabled: true, keep: 14d, quota: 1GiB}    # the flight recorder, for 'diagnose --at' and 'replay'
# rules_dir: ""                   # empty: the shipped rules; your own go into rules.d/ beside this file
# subjects:
#   top: 8                        # processes with series of their own, by CPU, RSS, growth and I/O each
#   match: []                     # e.g. ["gunicorn", "unit:model-server.service", "cgroup:/slurm"]
# collectors:
#   filesystem: {interval: 30s}
# probes:
#   memray: {mode: ask}           # ask: propose; auto: the daemon may attach by itself; off: never
# receivers:                      # where alerts go; addresses that are secrets belong into files or systemd credentials
#   - {name: chat, url_file: /etc/anfl-agent/chat.url}         # any service apprise knows; one address a line
#   - {name: am, type: alertmanager, url: "http://127.0.0.1:9093"}
# alerts:
#   routes:
#     - {receivers: [chat], severity: [critical], escalate: {after: 15m, receivers: [am]}}
#     - {receivers: [am]}
#   maintenance:
#     - {name: patch-night, hours: "sun 02:00-04:00", zone: Europe/Berlin, until: "2030-01-01"}
# playbooks:
#   ceiling: dry-run              # dry-run, propose, auto
#   approvers:                    # none: root, the agent's user and the group anfl-agent
#     - {group: sre}
#     - {name: grace, totp_file: /etc/anfl-agent/grace.totp}
# budget: {cpu: 2%, drill: 15s}
"""


def show(config: Config) -> dict[str, Any]:
    """The configuration in force as plain values; receivers may hold secrets and are only counted."""

    def plain(value: Any) -> Any:
        if isinstance(value, Node):
            return value.plainly()
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {key_of(f.name): plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        if isinstance(value, Mapping):
            return {str(k): plain(v) for k, v in value.items()}
        return [plain(item) for item in value] if isinstance(value, tuple) else value

    shown: dict[str, Any] = plain(config)
    shown["receivers"] = f"{len(config.receivers)} configured"
    shown["artifacts"]["dir"] = config.artifacts_dir
    shown["recorder"]["dir"] = config.recording_dir
    for section, key in ((shown["playbooks"], "webhook"), (shown["playbooks"]["permit"], "url")):
        section[key] = "configured" if section[key] else ""
    return shown
