"""``anfl-agent record``, and what reads a recording."""

from __future__ import annotations

import json
import os
import resource
import time
from pathlib import Path

import pytest

from agent.model import Sample, Series
from agent.store.recorder import Recorder
from agent.store.ring import Ring
from tests.cli.conftest import Call, Done


@pytest.fixture
def recorded(call: Call, tmp_path: Path) -> Call:
    """Calls with a configuration whose recording holds the last two minutes."""
    config = tmp_path / "config.yaml"
    config.write_text(f"state_dir: {tmp_path / 'state'}\nsocket: {tmp_path / 'none.sock'}\n")
    ring, series = Ring(), Series("host_load1")
    recorder = Recorder(str(tmp_path / "state" / "recording"), ring, {"host": "n1"})
    start = round(time.time()) - 120.0
    for i in range(120):
        ring.add(start + i, [Sample(series, float(i))])
    recorder.write(recorder.gather(start + 119))
    recorder.close("SIGTERM")

    def run(*args: str) -> Done:
        return call("--config", str(config), *args)

    return run


def test_the_list_says_what_there_is_and_why_it_ended(recorded: Call) -> None:
    """For people and for programs."""
    assert "SIGTERM" in recorded("record", "list").out
    (file,) = json.loads(recorded("record", "list", "--json").out)["files"]
    assert (file["samples"], file["series"], file["ended"], file["host"], file["damage"]) == (120, 1, "SIGTERM", "n1", [])


def test_verify_names_the_damaged_place(recorded: Call, tmp_path: Path) -> None:
    """And ends with 1."""
    assert recorded("record", "verify").code == 0
    (path,) = (tmp_path / "state" / "recording").rglob("*.rec")
    data = bytearray(path.read_bytes())
    data[150] ^= 4
    path.write_bytes(data)
    done = recorded("record", "verify")
    assert (done.code, f"{path}: damaged: bytes " in done.out) == (1, True)


def test_a_stretch_is_exported_imported_and_read_elsewhere(recorded: Call, tmp_path: Path) -> None:
    """One file, one name."""
    path = str(tmp_path / "case.rec")
    assert recorded("record", "export", path, "--since", "1m ago").code == 0
    assert recorded("record", "import", path, "--name", "case").code == 0
    listed = json.loads(recorded("record", "list", "--json").out)["files"]
    assert [f["ended"] for f in listed] == ["SIGTERM", "export"]
    assert recorded("replay", "case", "-q").out.endswith("0 symptoms fired\n")
    assert json.loads(recorded("diagnose", "--at", "10s ago", "--recording", "case", "--json").out)["source"] == "recording"
    again = recorded("record", "import", path, "--name", "case")
    assert (again.code, "'case' is taken" in again.err) == (2, True)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("record", "export", "x", "--since", "yesterday"), "--since: 'yesterday' is no moment"),
        (("record", "export", "x", "--since", "now", "--until", "5m ago"), "--since must lie before --until"),
        (("record", "prune", "--quota", "much"), "--quota"),
        (("replay", "nowhere"), "no recording 'nowhere'"),
        (("diagnose", "--at", "soon"), "--at: 'soon' is no moment"),
        (("replay", "--from", "now", "--to", "1h ago"), "--from must lie before --to"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_place(recorded: Call, args: tuple[str, ...], said: str) -> None:
    """Exit 2."""
    done = recorded(*args)
    assert (done.code, said in done.err) == (2, True)


def test_a_time_of_which_nothing_was_recorded_is_said(recorded: Call) -> None:
    """Exit 3: nothing can be said about it."""
    done = recorded("diagnose", "--at", "3d ago", "-q")
    assert (done.code, "nothing was recorded" in done.err) == (3, True)


def test_something_that_is_no_recording_is_not_imported(recorded: Call, tmp_path: Path) -> None:
    """It came from outside."""
    path = tmp_path / "x.rec"
    path.write_bytes(b"hello")
    done = recorded("record", "import", str(path))
    assert (done.code, "is no intact recording" in done.err) == (1, True)


def test_prune_keeps_the_newest(recorded: Call) -> None:
    """Whatever is asked."""
    assert recorded("record", "prune", "--keep", "1s").out.startswith("0 files removed")


@pytest.mark.parametrize("words", [("export", "{}/out.rec", "--since", "10m ago"), ("import", "{}/case.rec", "--name", "other")])
def test_a_full_disk_leaves_no_half_of_a_recording(recorded: Call, tmp_path: Path, words: tuple[str, ...]) -> None:
    """One message; what is listed afterwards is what was there before."""
    assert recorded("record", "export", str(tmp_path / "case.rec"), "--since", "10m ago").code == 0
    before = sorted(p for p in tmp_path.rglob("*") if p.is_file())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(tmp_path / "case.rec") // 2, hard))
    try:
        done = recorded("record", *(word.format(tmp_path) for word in words))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (done.code, done.out, done.err.startswith("anfl-agent: cannot ")) == (1, "", True)
    assert sorted(p for p in tmp_path.rglob("*") if p.is_file()) == before


@pytest.mark.parametrize(
    "words", [("replay", "{}"), ("diagnose", "--at", "1m ago", "--recording", "{}"), ("record", "verify", "{}")]
)
def test_a_folder_without_a_recording_is_told_from_a_quiet_time(recorded: Call, tmp_path: Path, words: tuple[str, ...]) -> None:
    """Whoever mistyped a path must not hear that nothing happened."""
    (tmp_path / "empty").mkdir()
    done = recorded(*(word.format(tmp_path / "empty") for word in words))
    assert (done.code, f"no recording lies in {tmp_path / 'empty'}" in done.err) == (3, True)


@pytest.mark.parametrize("words", [("replay", "{}"), ("diagnose", "--at", "1m ago", "--recording", "{}")])
def test_a_file_that_is_no_recording_is_told_so(recorded: Call, tmp_path: Path, words: tuple[str, ...]) -> None:
    """With the command that says more."""
    path = tmp_path / "noise"
    path.write_bytes(os.urandom(50_000))
    done = recorded(*(word.format(path) for word in words))
    assert (done.code, f"{path} is not a recording" in done.err, "record verify" in done.err) == (3, True, True)


def test_a_time_of_which_nothing_was_recorded_is_told_so(recorded: Call) -> None:
    """The recording is there, that hour of it is not."""
    done = recorded("diagnose", "--at", "2020-01-01")
    assert (done.code, "nothing was recorded in the 60 min before" in done.err) == (3, True)


def test_a_recording_that_may_not_be_read_leaves_the_question_open(call: Call, tmp_path: Path) -> None:
    """Exit 3, as where nothing was recorded: 1 would say that something was found."""
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "config.yaml").write_text(f"state_dir: {tmp_path}\nrecorder: {{dir: {tmp_path / 'loop'}}}\n")
    for words in (("record", "list"), ("replay",), ("diagnose", "--at", "1m ago")):
        done = call("--config", str(tmp_path / "config.yaml"), *words)
        assert (done.code, f"recording {tmp_path / 'loop'}: " in done.err) == (3, True)
