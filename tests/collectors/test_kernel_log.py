"""The collector of the kernel log."""

from __future__ import annotations

import asyncio
import os
import time
from itertools import pairwise
from pathlib import Path

import pytest

from agent.collectors.kernel_log import Collector
from agent.engine.kernel.tables import FILES, Tables, load_tables
from agent.errors import AgentError, Unavailable
from agent.host.kmsg import Device
from agent.model import Event, Sample
from tests.fakes.clock import FakeClock

XID = "NVRM: Xid (PCI:0000:3b:00): {}, pid=7, name=train, Ch 00000008"
RULES = Path(__file__).parents[2] / "rules"
SHIPPED = {str(RULES / name): (RULES / name).read_text() for name in FILES}
UUID = "GPU-509665ad-b600-ac93-3616-d754b23d636d"


class Log:
    """A private log with its collector, tick by tick."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.path = folder / "kernel.log"
        self.path.touch()
        self.clock = FakeClock()
        self.collector = Collector(path=str(self.path), proc=str(folder / "proc"), **settings)  # type: ignore[arg-type]
        self.collector.clock = self.clock
        self._at = 0.0

    def tick(self, *lines: str) -> tuple[dict[str, float], list[Event]]:
        """Write these lines, let a second pass: figures above 0 or asked for by name, and events."""
        with self.path.open("a") as file:
            file.writelines(f"{line}\n" for line in lines)
        asyncio.run(self.clock.advance(1.0))
        items = list(self.collector.collect())
        return {repr(i.series): i.value for i in items if isinstance(i, Sample)}, [i for i in items if isinstance(i, Event)]


@pytest.fixture
def log(tmp_path: Path) -> Log:
    """A log whose records are trusted, as drills have it."""
    return Log(tmp_path, trust_user_records=True)


def gpu(folder: Path, address: str, uuid: str = UUID) -> None:
    """The driver's folder of one GPU."""
    place = folder / "proc" / "driver" / "nvidia" / "gpus" / address
    place.mkdir(parents=True)
    (place / "information").write_text(f"Model: \t\t NVIDIA H100\nIRQ:   \t\t 88\nGPU UUID: \t {uuid}\nDevice Minor: \t 0\n")


def test_an_xid_is_an_event_and_counted(log: Log) -> None:
    """With the table's words, and every kind's counter there from the first tick."""
    figures, _ = log.tick()
    assert figures["kernel_events_total{kind='xid'}"] == 0.0
    figures, (event,) = log.tick(XID.format(79))
    assert (event.kind, event.trusted, event.time) == ("kernel", True, log.clock.now())
    assert {
        "kind": "xid",
        "xid": 79,
        "pid": 7,
        "process": "train",
        "class": "bus",
        "level": "critical",
        "count": 1,
    }.items() <= event.fields.items()
    assert figures["kernel_events_total{kind='xid'}"] == 1.0
    assert figures["kernel_log_records_total{}"] == 1.0


def test_a_new_series_shows_0_for_a_tick_before_its_count(log: Log) -> None:
    """Else growth since its first sample would be 0."""
    name = "gpu_xid_total{gpu='',pci='0000:3b:00.0',uuid='',xid='31'}"
    log.tick()
    assert log.tick(XID.format(31))[0][name] == 0.0
    assert log.tick()[0][name] == 1.0
    assert log.tick(XID.format(31))[0][name] == 2.0


def test_what_the_boot_logged_before_is_in_the_first_value(log: Log) -> None:
    """It did not happen while the agent watched."""
    figures, _ = log.tick(XID.format(31))
    assert figures["gpu_xid_events_total{class='application',gpu='',pci='0000:3b:00.0',uuid=''}"] == 1.0


def test_a_long_log_of_the_boot_is_no_growth(log: Log) -> None:
    """It takes several ticks to read; its counters are shown when its end was reached."""
    collector = Collector(most=2)
    records = iter([b"4,%d,%d,-;%s\n" % (n, n, XID.format(31).encode()) for n in range(5)])
    collector._door = Device(os.devnull, lambda fd, size: next(records, b""))
    first = [list(collector.collect()) for _ in range(3)]
    counts = [[i.value for i in items if isinstance(i, Sample) and ("kind", "xid") in i.series.labels] for items in first]
    assert counts == [[], [], [5.0]]


def test_known_gpus_have_every_class_from_0_on(tmp_path: Path) -> None:
    """Read in the driver's folder: index by address, UUID as it says."""
    gpu(tmp_path, "0000:5e:00.0", UUID[:-1] + "e")
    gpu(tmp_path, "0000:3b:00.0")
    log = Log(tmp_path, trust_user_records=True)
    figures, _ = log.tick()
    bus = f"gpu_xid_events_total{{class='bus',gpu='0',pci='0000:3b:00.0',uuid='{UUID}'}}"
    assert figures[bus] == 0.0
    assert sum(name.startswith("gpu_xid_events_total") for name in figures) == 2 * len(log.collector.tables.classes)
    figures, (event,) = log.tick(XID.format(79))
    assert figures[bus] == 1.0
    assert dict(event.labels) == {"gpu": "0", "uuid": UUID, "pci": "0000:3b:00.0"}


def test_who_knows_gpus_better_is_believed(tmp_path: Path) -> None:
    """The index of a UUID is that of the collector of GPUs, however the driver writes the address."""
    gpu(tmp_path, "0000:3b:00.0")
    log = Log(tmp_path, trust_user_records=True)
    log.collector.know_gpus({"00000000:3B:00.0": ("5", UUID)})
    _, (event,) = log.tick(XID.format(79))
    assert dict(event.labels) == {"gpu": "5", "uuid": UUID, "pci": "0000:3b:00.0"}


def test_the_log_itself_tells_a_uuid(log: Log) -> None:
    """The driver prints it before a GPU's first Xid; without a driver's folder that is all there is."""
    _, (event,) = log.tick(f"NVRM: GPU at PCI:0000:3b:00: {UUID}", XID.format(79))
    assert dict(event.labels)["uuid"] == UUID


def test_untrusted_records_are_shown_and_not_counted(tmp_path: Path) -> None:
    """A program may write anything into the log; text that does not say who wrote it is no better."""
    log = Log(tmp_path)
    lines = (f"12,1,1000,-;{XID.format(79)}", XID.format(31), f"4,2,2000,-;{XID.format(43)}")
    figures, events = log.tick(*lines)
    assert [(e.fields["xid"], e.trusted) for e in events] == [(79, False), (31, False), (43, True)]
    assert figures["kernel_events_total{kind='xid'}"] == 1.0
    assert figures["kernel_log_untrusted_total{}"] == 2.0


def test_a_report_of_several_lines_may_come_in_two_ticks(log: Log) -> None:
    """An OOM report is told when it is whole, or a tick later as far as it came."""
    summary = (
        "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/a,task=x,pid=9,uid=0"
    )
    assert log.tick(summary)[1] == []
    figures, (event,) = log.tick("Out of memory: Killed process 9 (x) total-vm:8kB, anon-rss:4kB")
    assert (event.fields["kind"], event.fields["pid"], event.fields["anon_rss_kb"]) == ("oom_kill", 9, 4)
    assert figures["kernel_events_total{kind='oom_kill'}"] == 1.0
    assert log.tick()[1] == []


def test_a_flood_is_told_at_once_and_then_summed_up(log: Log) -> None:
    """One event the first second, one with the sum ten seconds on; another number in between is told at once."""
    told = [log.tick(*[XID.format(95)] * 50)[1] for _ in range(5)]
    assert [[e.fields["count"] for e in events] for events in told] == [[50], [], [], [], []]
    _, (other,) = log.tick(*[XID.format(95)] * 50, XID.format(79))
    assert other.fields["xid"] == 79
    counts = [e.fields["count"] for _ in range(12) for e in log.tick()[1]]
    assert counts == [250]
    assert log.tick()[0]["kernel_events_total{kind='xid'}"] == 301.0


def test_a_link_that_flaps_is_told_each_time(log: Log) -> None:
    """Down after up is news, however soon: else the link would seem to be up for ten seconds."""
    down, up = "tg3 0000:03:00.0 eth0: Link is down", "tg3 0000:03:00.0 eth0: Link is up at 1000 Mbps, full duplex"
    told = [[e.fields["kind"] for e in log.tick(line)[1]] for line in (down, up, down, down, up)]
    assert told == [["link_down"], ["link_up"], ["link_down"], [], ["link_down", "link_up"]]


def test_a_storm_of_one_device_is_one_story(log: Log) -> None:
    """Each corrected memory error names another page: they are summed up, and do not push other events out of the history."""
    line = "EDAC MC1: 1 CE memory read error on DIMM_A1 (channel:0 slot:0 page:0x{:x} offset:0x0)"
    told = [e for n in range(5) for e in log.tick(*(line.format(100 * n + m) for m in range(50)))[1]]
    assert len(told) == 1
    assert log.tick()[0]["kernel_events_total{kind='edac'}"] == 250.0


def test_a_program_cannot_drown_the_kernels_events(tmp_path: Path) -> None:
    """Of doubtful events only some are shown, all are counted."""
    log = Log(tmp_path)
    figures, events = log.tick(*(f"12,{n},1000,-;NVRM: Xid (PCI:0000:3b:00): 31, pid={n}, name=x, Ch 00000001" for n in range(500)))
    assert len(events) == 20
    assert figures["kernel_log_untrusted_total{}"] == 500.0


def test_devices_are_counted_by_name_and_level(log: Log) -> None:
    """Disks, links, servers; what only ends something is no error."""
    log.tick("I/O error, dev nvme2n1, sector 8 op 0x1:(WRITE)", "nfs: server fs1 not responding, timed out", "nfs: server fs1 OK")
    figures, _ = log.tick()
    assert {k: v for k, v in figures.items() if k.startswith("kernel_device")} == {
        "kernel_device_errors_total{device='nvme2n1',kind='io_error',level='warn'}": 1.0,
        "kernel_device_errors_total{device='fs1',kind='nfs_not_responding',level='warn'}": 1.0,
    }


def test_hostile_text_is_cleaned(log: Log) -> None:
    """Controls and bidi signs of a process name do not travel on."""
    _, (event,) = log.tick("NVRM: Xid (PCI:0000:3b:00): 31, pid=7, name=a\x1b[31m\u202eb, Ch 00000008")
    assert event.fields["process"] == "a\ufffd[31m\ufffdb"
    assert event.text.isprintable()


def test_a_filesystem_is_named_by_its_mount(log: Log, tmp_path: Path) -> None:
    """People know the place, the kernel the device."""
    place = tmp_path / "proc" / "self"
    place.mkdir(parents=True)
    (place / "mountinfo").write_text("25 1 259:2 / /data/train rw - ext4 /dev/nvme0n1p2 rw\n")
    _, (event,) = log.tick("EXT4-fs (nvme0n1p2): Remounting filesystem read-only")
    assert event.fields["mount"] == "/data/train"


def test_a_site_rates_an_xid_otherwise(log: Log) -> None:
    """The tables in force are asked, shipped ones only by default."""
    log.collector.use(lambda: load_tables(SHIPPED, {"rules.d/xid.yaml": "xids:\n  79: {level: warn, class: hardware}\n"}))
    _, (event,) = log.tick(XID.format(79))
    assert (event.fields["level"], event.fields["class"]) == ("warn", "hardware")


def test_a_table_gone_wrong_does_not_blind_the_agent(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    """The shipped ones are used, and the log says why; after a reload the site's are tried again."""

    def broken() -> Tables:
        raise AgentError("rules.d/xid.yaml:1:1: not valid YAML")

    log.collector.use(broken)
    _, (event,) = log.tick(XID.format(79))
    assert event.fields["class"] == "bus"
    assert "not valid YAML" in caplog.text
    log.collector.use(lambda: load_tables(SHIPPED, {"rules.d/xid.yaml": "xids:\n  79: {class: hardware}\n"}))
    _, (event,) = log.tick(XID.format(79).replace("pid=7", "pid=8"))
    assert event.fields["class"] == "hardware"


def test_no_log_no_collector(tmp_path: Path) -> None:
    """A host whose log may not be read has no such source."""
    with pytest.raises(Unavailable):
        list(Collector(path=str(tmp_path / "none")).collect())


@pytest.mark.real
@pytest.mark.root
@pytest.mark.skipif(not os.access("/dev/kmsg", os.W_OK), reason="needs root and /dev/kmsg")
def test_a_record_that_a_program_wrote_into_the_real_log_is_untrusted() -> None:
    """The kernel gives it another facility than its own, whatever priority the program claims."""
    collector, mark = Collector(), f"anfl-test {time.time_ns()}"
    list(collector.collect())
    pid = time.time_ns() // 1000 % (1 << 22)  # another one each time, or it would be a repeat
    with open("/dev/kmsg", "w") as kmsg:
        kmsg.write(f"<4>NVRM: Xid (PCI:0000:3b:00): 79, pid={pid}, name=anfl-test, GPU has fallen off the bus. {mark}\n")
    try:
        (event,) = [e for e in collector.collect() if isinstance(e, Event) and mark in e.text]
    finally:
        collector.close()
    assert (event.trusted, event.fields["xid"]) == (False, 79)
    assert abs(event.time - time.time()) < 3600


def test_a_private_file_is_read_in_parts_of_a_tick_each(tmp_path: Path) -> None:
    """Neither a tick's time nor its memory grows with what was written meanwhile; nothing is lost."""
    path = tmp_path / "kernel.log"
    path.write_text("".join(f"4,{n},{n},-;{XID.format(31)}, {'x' * 200}\n" for n in range(3000)))
    collector = Collector(path=str(path), most=1000)
    counts, ticks = [0.0], 0
    while counts[-1] < 3000:
        found = list(collector.collect())
        counts += [i.value for i in found if isinstance(i, Sample) and i.series.name == "kernel_log_records_total"]
        ticks += 1
    assert max(b - a for a, b in pairwise(counts)) < 2000
    assert (counts[-1], ticks) == (3000.0, len(counts) - 1)
