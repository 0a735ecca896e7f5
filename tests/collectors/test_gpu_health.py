"""What wears out on a GPU, from simulated ones: errors, links, how many there should be, the fabric manager, an old driver."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.collectors import gpu_health
from agent.collectors._gpu_fabric import Fabric
from agent.collectors._gpu_seen import Known, Seen
from agent.model import Event, Sample
from tests.fakes.gpusim import Host

UNTIL_S = 30.0
Figures = dict[tuple[str, ...], float]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """Two GPUs, which the loader would find."""
    made = Host(tmp_path)
    for name, value in made.sim.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("agent.host.nvml_gpu.FIRST_PAUSE_S", 0.2)
    monkeypatch.setattr("agent.host.nvml_driver.LOOK_EVERY_S", 0.0)
    return made


@pytest.fixture
def health(host: Host, tmp_path: Path) -> Iterator[gpu_health.Collector]:
    """The collector of a host that has been up for long."""
    made = gpu_health.Collector(library=host.library, state_dir=str(tmp_path / "state"), boot_grace=0.0)
    until(made, lambda found: ("gpu_ecc_mode", "1") in found)
    yield made
    made.close()


def told(collector: gpu_health.Collector) -> Figures:
    """One reading: values by metric, GPU and other label values of note."""
    figures: Figures = {}
    for item in collector.collect():
        if isinstance(item, Sample):
            known = dict(item.series.labels)
            figures[item.series.name, *[known[k] for k in ("gpu", "type", "location", "link", "cause") if k in known]] = item.value
    return figures


def until(collector: gpu_health.Collector, wanted: Callable[[Figures], bool]) -> Figures:
    """Read until it is so."""
    deadline = time.monotonic() + UNTIL_S
    while not wanted(figures := told(collector)):
        assert time.monotonic() < deadline, figures
        time.sleep(0.05)
    return figures


@pytest.mark.real
def test_everything_brought_was_declared(health: gpu_health.Collector) -> None:
    """The declaration is what rules are checked against and the page is made from."""
    declared = {m.name: set(m.labels) for m in gpu_health.Collector.metrics}
    for item in health.collect():
        assert not isinstance(item, Event)
        assert {name for name, _ in item.series.labels} == declared[item.series.name], item


@pytest.mark.real
def test_errors_and_rows_are_told_by_kind(host: Host, health: gpu_health.Collector) -> None:
    """Corrected and uncorrected errors mean different things, and so do pending and failed rows."""
    host.put(1, ecc__volatile__uncorrected__sram=2, remap__pending=1, remap__uncorrected=3)
    found = told(health)
    assert found["gpu_ecc_errors_total", "1", "uncorrected", "sram"] == 2
    assert (found["gpu_remap_pending", "1"], found["gpu_remap_failed", "1"]) == (1, 0)
    assert found["gpu_remapped_rows", "1", "uncorrected"] == 3
    assert found["gpu_remap_pending", "0"] == 0


@pytest.mark.real
def test_a_link_that_was_active_and_is_not_shows(host: Host, health: gpu_health.Collector) -> None:
    """Links that never were active are no fault: boards differ."""
    before = told(health)
    assert before["gpu_nvlink_links_active", "0"] == before["gpu_nvlink_links_expected", "0"] > 0
    host.put(0, **{"nvlink__links__3__state": "down"})
    found = told(health)
    assert found["gpu_nvlink_up", "0", "3"] == 0
    assert found["gpu_nvlink_links_active", "0"] == found["gpu_nvlink_links_expected", "0"] - 1


@pytest.mark.real
def test_a_gpu_that_vanished_is_missed_by_name_also_after_a_restart(
    host: Host, health: gpu_health.Collector, tmp_path: Path
) -> None:
    """The most ever seen is kept in the state folder."""
    host.break_("vanish", {"gpu": 0})
    found = until(health, lambda found: found.get(("gpus_present",)) == 1)
    assert (found["gpus_expected",], found["gpu_missing_info", "0"]) == (2, 1)
    health.close()
    again = gpu_health.Collector(library=host.library, state_dir=str(tmp_path / "state"), boot_grace=0.0)
    try:
        found = until(again, lambda found: ("gpus_present",) in found)
        assert (found["gpus_present",], found["gpus_expected",], ("gpu_missing_info", "0") in found) == (1, 2, True)
        host.mend()
        found = until(again, lambda found: found.get(("gpus_present",)) == 2)
        assert ("gpu_missing_info", "0") not in found
    finally:
        again.close()


@pytest.mark.real
def test_right_after_boot_nobody_is_missed(host: Host, tmp_path: Path) -> None:
    """Drivers load late and GPUs come up one by one."""
    young = gpu_health.Collector(library=host.library, state_dir=str(tmp_path / "state"), expected=8, boot_grace=1e12)
    try:
        found = until(young, lambda found: ("gpu_ecc_mode", "1") in found)
        assert ("gpus_expected",) not in found
    finally:
        young.close()


@pytest.mark.real
def test_where_gpus_were_seen_before_a_missing_driver_is_a_finding(host: Host, tmp_path: Path) -> None:
    """On a host that never had any it is none."""
    Seen(str(tmp_path / "state")).note([Known(0, "GPU-a", "0000:18:00.0")])
    host.break_("unload")
    health = gpu_health.Collector(library=host.library, state_dir=str(tmp_path / "state"), boot_grace=0.0)
    try:
        found = until(health, lambda found: ("gpus_present",) in found)
        assert (found["gpus_present",], found["gpus_expected",]) == (0, 1)
    finally:
        health.close()


@pytest.mark.real
def test_a_driver_that_was_unloaded_takes_its_gpus_with_it(host: Host, health: gpu_health.Collector) -> None:
    """They are missed until it is back; a driver that merely hangs has them still."""
    host.break_("unload")
    assert health._nvml is not None
    health._nvml.release()  # nobody can unload it before
    health._nvml.resume()
    found = until(health, lambda found: found.get(("gpus_present",)) == 0)
    assert found["gpus_expected",] == 2
    host.mend()
    until(health, lambda found: found.get(("gpus_present",)) == 2)


@pytest.mark.real
def test_who_holds_the_old_driver_is_named_only_while_versions_differ(host: Host, health: gpu_health.Collector) -> None:
    """Our own process is one of them, and says which version it maps."""
    assert not [key for key in told(health) if key[0] == "gpu_driver_holder_info"]
    host.break_("mismatch")
    until(health, lambda found: ("gpu_driver_holder_info",) in found)
    host.mend()
    until(health, lambda found: ("gpu_driver_holder_info",) not in found)


def test_what_is_expected_stands_beside_what_is_there() -> None:
    """A count alone tells nothing; a rule needs both."""
    names = {m.name for m in gpu_health.Collector.metrics}
    assert {"gpus_present", "gpus_expected", "gpu_nvlink_links_active", "gpu_nvlink_links_expected"} <= names


GPUS = [Known(n, f"GPU-{n}", f"0000:{n:02x}:00.0", "NVIDIA H200", {0, 1}) for n in range(3)]


def test_the_most_ever_seen_outlives_the_agent(tmp_path: Path) -> None:
    """With names, addresses and links."""
    Seen(str(tmp_path)).note(GPUS)
    seen = Seen(str(tmp_path))
    seen.note(replace(known, links=set()) for known in GPUS[:2])
    assert (seen.most, [known.uuid for known in seen.missing(["GPU-0", "GPU-1"])]) == (3, ["GPU-2"])
    assert seen.gpus["GPU-0"].links == {0, 1}


def test_simulated_gpus_are_not_the_hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are remembered beside their simulator: none of them is missing on the host when it is gone."""
    monkeypatch.setenv("ANFL_SIM_PROC", str(tmp_path / "gpu.json.d" / "proc"))
    Seen(str(tmp_path / "state")).note(GPUS)
    assert Seen(str(tmp_path / "elsewhere")).most == 3
    monkeypatch.delenv("ANFL_SIM_PROC")
    assert Seen(str(tmp_path / "state")).most == 0


def test_an_exchanged_gpu_is_not_missed(tmp_path: Path) -> None:
    """Where the number is right again, those that are there are the host's."""
    seen = Seen(str(tmp_path))
    seen.note(GPUS)
    seen.note([*GPUS[:2], Known(2, "GPU-new", "0000:02:00.0")])
    assert (seen.most, seen.missing(["GPU-0", "GPU-1", "GPU-new"])) == (3, [])


@pytest.mark.parametrize("text", ["", "{", "[]", '{"most": "many", "gpus": []}', '{"most": 3}'])
def test_a_damaged_file_counts_as_none(tmp_path: Path, text: str) -> None:
    """What it held is learnt again."""
    (tmp_path / "gpus.json").write_text(text)
    seen = Seen(str(tmp_path))
    assert (seen.most, seen.gpus) == (0, {})
    seen.note(GPUS)
    assert Seen(str(tmp_path)).most == 3


def test_a_folder_that_cannot_be_written_costs_only_the_memory(tmp_path: Path) -> None:
    """The agent's life is then how long it is known."""
    (tmp_path / "file").write_text("")
    seen = Seen(str(tmp_path / "file"))
    seen.note(GPUS)
    assert seen.most == 3


@pytest.mark.parametrize(
    ("name", "state", "needed"),
    [
        ("NVIDIA H200", 1, True),
        ("NVIDIA H200", 3, False),
        ("NVIDIA L4", 0, False),
        ("NVIDIA GB200", 1, False),
        ("NVIDIA L4", None, False),
    ],
)
def test_a_fabric_manager_is_needed_where_gpus_wait_for_a_fabric(proc: Path, name: str, state: int | None, needed: bool) -> None:
    """One that was joined without a switch in sight is run elsewhere; a rack's switches stand elsewhere too."""
    raw = {"fabric": None if state is None else [state, 0]}
    assert Fabric(str(proc)).needed([(name, raw)]) is needed


def test_switches_of_this_host_need_a_fabric_manager_and_it_is_found(proc: Path) -> None:
    """Its name is cut by the kernel; a restart gives it another pid."""
    (proc / "driver" / "nvidia-nvswitch" / "devices" / "0000:05:00.0").mkdir(parents=True)
    fabric = Fabric(str(proc))
    assert (fabric.needed([]), fabric.up()) == (True, False)
    for pid in ("4711", "4712"):
        (proc / pid).mkdir(exist_ok=True)
        (proc / pid / "comm").write_text("nv-fabricmanage\n")
        assert fabric.up()
        shutil.rmtree(proc / pid)
    assert not fabric.up()
