"""Which changes of the configuration a reload leaves to a restart; reloads themselves are held in test_daemon.py."""

from __future__ import annotations

from agent.config import parse_config
from agent.reload import others

BEFORE = """\
listen: 127.0.0.1:9477
collectors:
  processes: {interval: 2s, match: [unit:db]}
"""


def changed(after: str) -> list[str]:
    """Keys that wait for a restart after this change."""
    return others(parse_config(BEFORE, "before"), parse_config(after, "after"))


def test_comments_order_and_receivers_need_no_restart() -> None:
    """The same settings written otherwise, in another file, and what a reload takes over."""
    same = "# ours\ncollectors:\n  processes:\n    interval: 2s\n    match:\n      - unit:db\nlisten: 127.0.0.1:9477\n"
    assert changed(same) == []
    assert changed(f"{same}receivers: [{{name: diary, path: /var/log/diary}}]\nalerts: {{repeat: 2h}}\n") == []


def test_settings_of_plug_ins_and_others_do() -> None:
    """Each is named by its key."""
    assert changed(BEFORE.replace("2s", "3s")) == ["collectors"]
    assert changed(BEFORE.replace("unit:db", "unit:web")) == ["collectors"]
    assert changed(BEFORE.replace("9477", "9478") + "probes: {pyspy: {seconds: 6}}\n") == ["listen", "probes"]
