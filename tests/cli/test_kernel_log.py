"""``anfl-agent kernel-log`` on collected cases: each names where its lines come from."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.cli import main

CASES = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "fixtures" / "kernel_log" / "cases.jsonl").read_text("utf-8").splitlines()
]
OF_THE_CASE = {"kind", "accept_kinds", "events", "incidents", "resolved"}


class Asked:
    """The command with standard input and output caught."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._patch = monkeypatch
        self._capsys = capsys

    def __call__(self, text: str | bytes, *args: str) -> tuple[int, list[dict[str, Any]]]:
        """Exit code and events."""
        code, out = self.plain(text, "--json", *args)
        return code, [json.loads(line) for line in out.splitlines()]

    def plain(self, text: str | bytes, *args: str) -> tuple[int, str]:
        """Exit code and standard output."""
        raw = text if isinstance(text, bytes) else text.encode()
        self._patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
        with pytest.raises(SystemExit) as ended:
            main(["kernel-log", *args])
        return int(str(ended.value.code or 0)), self._capsys.readouterr().out


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Asked:
    """The command, without a configuration of this host."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return Asked(monkeypatch, capsys)


def wrong(expected: dict[str, Any], got: dict[str, Any]) -> list[str]:
    """Keys that differ; only those the case names count, a missing key is null."""
    kinds = {expected["kind"], *expected.get("accept_kinds", ())}
    found = [] if got["kind"] in kinds else [f"kind {got['kind']}"]
    keys = expected.keys() - OF_THE_CASE
    return found + [f"{key}: {got.get(key)!r} for {expected[key]!r}" for key in sorted(keys) if got.get(key) != expected[key]]


def spread(events: list[dict[str, Any]], wanted: int) -> list[dict[str, Any]]:
    """Repeats one by one, where the case lists them so."""
    return events if len(events) == wanted else [event for event in events for _ in range(event["count"])]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_every_collected_case_is_read_right(case: dict[str, Any], ask: Asked) -> None:
    """Kind, fields, number of incidents; and a look-alike prints nothing and ends with 0."""
    expected = case["expect"]
    code, events = ask("\n".join(case["lines"]) + "\n")
    assert code == bool(events)
    if expected["kind"] == "multi":
        shown = spread(events, len(expected["events"]))
        assert len(shown) == len(expected["events"])
        assert [wrong(want, got) for want, got in zip(expected["events"], shown, strict=True)] == [[]] * len(shown)
        assert len({event["incident"] for event in events}) == expected.get("incidents", len({e["incident"] for e in events}))
        assert sum(event["count"] for event in events) >= expected.get("count", 0)
        assert any(event["resolved"] for event in events) or not expected.get("resolved")
    elif not events:
        assert "none" in (expected["kind"], *expected.get("accept_kinds", ()))
    else:
        assert len(events) == 1
        assert wrong(expected, events[0]) == []


def test_trusted_drops_what_is_not_proved_to_be_the_kernels(ask: Asked) -> None:
    """Facility 0 stays; another facility, a daemon's line and text without a facility go."""
    xid = "NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus."
    log = f"4,1,1000000,-;{xid}\n12,2,2000000,-;{xid}\n{xid}\nNov  2 10:11:12 n1 systemd-networkd[1]: eth0: Lost carrier\n"
    assert [event["trusted"] for event in ask(log)[1]] == [True, False, None, False]
    assert [event["seq"] for event in ask(log, "--trusted")[1]] == [1]


def test_a_site_rates_a_number_otherwise(ask: Asked, tmp_path: Path) -> None:
    """``rules.d/xid.yaml`` beside the configuration counts here too."""
    folder = tmp_path / "anfl-agent"
    (folder / "rules.d").mkdir(parents=True)
    (folder / "config.yaml").write_text("")
    (folder / "rules.d" / "xid.yaml").write_text("xids:\n  63: {level: critical, action: reset_gpu}\n")
    _, events = ask("NVRM: Xid (PCI:0000:01:00): 63, Row Remapper: New row marked\n")
    assert (events[0]["level"], events[0]["action_class"], events[0]["class"]) == ("critical", "reset_gpu", "remap")


def test_a_table_with_a_mistake_is_a_configuration_error(ask: Asked, tmp_path: Path) -> None:
    """Exit 2 with the place, not 1: that would say that something was found."""
    folder = tmp_path / "anfl-agent"
    (folder / "rules.d").mkdir(parents=True)
    (folder / "config.yaml").write_text("")
    (folder / "rules.d" / "xid.yaml").write_text("xids:\n  63: {level: very}\n")
    code, (error,) = ask("")
    assert code == 2
    assert error["problems"][0]["line"] == 2


def test_a_file_that_is_not_there_is_a_usage_error(ask: Asked) -> None:
    """Exit 2, and with --json one object that says so."""
    code, events = ask("", "/nonexistent/log")
    assert code == 2
    assert events[0]["schema"] == "anfl.error/1"


def test_people_get_one_line_an_event(ask: Asked) -> None:
    """Incident, time, number, meaning, GPU and what to do; control characters of a process name do not reach the terminal."""
    code, out = ask.plain("[  12.5] NVRM: Xid (PCI:0000:3b:00): 31, pid=7, name=a\x1b[31mb, Ch 00000008\n")
    assert code == 1
    assert out.startswith("#1  12.500000  warn  xid 31  (GPU memory page fault)  pci=0000:3b:00")
    assert "\x1b" not in out
    assert "→ restart_app" in out


def test_bytes_that_are_no_text_and_endless_lines_are_survived(ask: Asked) -> None:
    """Binary rubbish around a real line changes nothing; a line of a megabyte is cut."""
    good = b"NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus.\n"
    code, events = ask(b"\xff\xfe\x00\n" + b"x" * (1 << 20) + b"\n" + good + b"\x80\n")
    assert (code, [e["xid"] for e in events]) == (1, [79])
