"""What stands before a message, and who wrote it."""

from __future__ import annotations

import json

import pytest

from agent.engine.kernel.lines import MAX_LINE, plain, records

TEXT = "NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus."


@pytest.mark.parametrize(
    "line",
    [
        TEXT,
        f"[171167.620236] {TEXT}",
        f"[    5.203057] {TEXT}",
        f"[12] {TEXT}",
        f"[   32.298491][  T896] {TEXT}",
        f"[   32.298491][   C12] {TEXT}",
        f"[  133.5 <    0.000003>] {TEXT}",
        f"[Jan21 04:41] {TEXT}",
        f"[  +0.000003] {TEXT}",
        f"[...] {TEXT}",
        f"[Wed Jul 31 23:14:18 2024] {TEXT}",
        f"[Mon Aug  5 03:54:13 2024] node7 kernel: {TEXT}",
        f"kern  :warn  : {TEXT}",
        f"kern  :warn  : [   12.5] {TEXT}",
        f"kern  :err   : 2025-01-21T04:41:44,283302+00:00 {TEXT}",
        f"2025-01-21T04:41:44,283302+00:00 {TEXT}",
        f"<4>[2315424.099010] {TEXT}",
        f"<4>{TEXT}",
        f"kernel: {TEXT}",
        f"kernel: [   66.816635] {TEXT}",
        f"Feb 23 03:28:16 kernel: {TEXT}",
        f"May 31 19:17:40 dev-gpu01 kernel: [  977.050305] {TEXT}",
        f"May  1 2025 19:17:40 dev-gpu01 kernel: {TEXT}",
        f"2025-05-31T19:17:40.123456+02:00 dev-gpu01 kernel: [  977.050305] {TEXT}",
        f"2025-05-31T19:17:40+0200 dev-gpu01.example.com kernel: {TEXT}",
        f"[12345.678901] dev-gpu01 kernel: {TEXT}",
        f"May 31 19:17:40.123456 dev-gpu01 kernel: {TEXT}",
        f"Fri 2025-05-31 19:17:40 UTC dev-gpu01 kernel: {TEXT}",
        f"Fri 2025-05-31 19:17:40.123456 CEST dev-gpu01 kernel: {TEXT}",
        f"2025-05-31 19:17:40 dev-gpu01 kernel: {TEXT}",
        f"1748718660.123456 dev-gpu01 kernel: {TEXT}",
        f"<4>1 2025-05-31T19:17:40.123456+02:00 dev-gpu01 kernel - - - {TEXT}",
        json.dumps({"MESSAGE": TEXT, "_TRANSPORT": "kernel", "SYSLOG_FACILITY": "0", "PRIORITY": "4"}),
    ],
)
def test_prefixes_are_taken_off(line: str) -> None:
    """Whatever tool printed it, the message is the same and nobody but the kernel is named."""
    (record,) = records([line + "\n"])
    assert (record.text, record.tag) == (TEXT, None)


@pytest.mark.parametrize(
    ("line", "tag"),
    [
        (f"Nov 02 10:11:12 node7 python3[4242]: {TEXT}", "python3"),
        (f"Nov 02 10:11:12 node7 systemd-oomd[881]: {TEXT}", "systemd-oomd"),
        (f"2025-05-31T19:17:40.123456+02:00 node7 /usr/bin/app[7]: {TEXT}", "app"),
        (f"Nov 02 10:11:12 node7 app: kernel: {TEXT}", "app"),
        (f"Fri 2025-05-31 19:17:40 UTC node7 app[7]: {TEXT}", "app"),
        (f"1748718660.123456 node7 app[7]: {TEXT}", "app"),
        (json.dumps({"MESSAGE": TEXT, "_TRANSPORT": "stdout", "SYSLOG_IDENTIFIER": "app"}), "app"),
        (json.dumps({"MESSAGE": TEXT, "_TRANSPORT": "syslog", "SYSLOG_FACILITY": "0", "_COMM": "logger"}), "logger"),
    ],
)
def test_programs_are_told_from_the_kernel(line: str, tag: str) -> None:
    """A program that quotes the kernel, or calls itself so, is not the kernel and not trusted."""
    (record,) = records([line])
    assert (record.tag, record.trusted) == (tag, False)


@pytest.mark.parametrize(
    ("line", "trusted"),
    [
        (f"4,1,5000000,-;{TEXT}", True),
        (f"12,1,5000000,-;{TEXT}", False),
        (f"30,1,5000000,-;{TEXT}", False),
        (f"<4>[1.0] {TEXT}", True),
        (f"<12>[1.0] {TEXT}", False),
        (f"kern  :warn  : {TEXT}", True),
        (f"user  :warn  : {TEXT}", False),
        (f"local3:warn  : {TEXT}", False),
        (TEXT, None),
        (f"May 31 19:17:40 n1 kernel: {TEXT}", None),
    ],
)
def test_only_facility_0_proves_the_kernel(line: str, trusted: bool | None) -> None:
    """User space cannot write it; text without a facility proves nothing."""
    (record,) = records([line])
    assert record.trusted is trusted


def test_times_are_kept_where_they_are_said() -> None:
    """Seconds since the boot, and Unix seconds."""
    assert plain("[   12.500000] x").stamp == 12.5
    assert plain("[Thu Jan  1 00:01:00 1970] x").wall == 60.0
    assert plain("1970-01-01T01:00:00.5+0100 n1 kernel: x").wall == 0.5
    assert plain("Thu 1970-01-01 00:01:00 UTC n1 kernel: x").wall == 60.0
    assert plain("May 31 19:17:40 n1 kernel: [  977.050305] x").stamp == 977.050305
    assert plain("Feb 30 19:17:40 n1 kernel: x").wall is None


def test_wrapped_repeats_are_counted() -> None:
    """What a syslog daemon folded is unfolded, with its own stamp inside."""
    record = plain("Nov 17 13:16:56 n1 kernel: message repeated 9 times: [ [   12.5] NVRM: y]")
    assert (record.text, record.repeat, record.stamp) == ("NVRM: y", 9, 12.5)
    assert plain("Nov 17 13:16:56 n1 last message repeated 3 times").repeat == 3


def test_a_raw_record_takes_its_dictionary_with_it() -> None:
    """Lines of KEY=value belong to the record before them; blank lines and other text do not."""
    found = [*records(["3,7,1000000,-,caller=T1;text", " SUBSYSTEM=pci", " DEVICE=+pci:0000:3b:00.0", "", " KEY=orphan"])]
    assert [dict(r.keys) for r in found] == [{"SUBSYSTEM": "pci", "DEVICE": "+pci:0000:3b:00.0"}, {}]


def test_endless_lines_are_cut() -> None:
    """Nothing in a log makes us hold more than a bounded part of it."""
    (record,) = records(["x" * (MAX_LINE + 5)])
    assert len(record.text) == MAX_LINE
