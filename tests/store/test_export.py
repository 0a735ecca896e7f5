"""A stretch of the recording as one file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.errors import AgentError
from agent.model import Event, Sample, Series, labels
from agent.store.export import Redaction, export
from agent.store.recorder import Recorder
from agent.store.recording import Recording, report
from agent.store.ring import Ring
from tests.store.test_recorder import START, Life, read


def test_an_export_holds_just_the_stretch_that_was_asked_for(tmp_path: Path) -> None:
    """Over several files of the recording, in one of its own."""
    life = Life(tmp_path / "all")
    life.live(1400)
    path = tmp_path / "part.rec"
    made = export(Recording(str(tmp_path / "all")), str(path), START + 590, START + 650)
    assert read(path) == {t: row for t, row in life.fed.items() if START + 590 < t <= START + 650}
    assert (report(str(path)).ended, made.bytes) == ("export", path.stat().st_size)


def test_names_are_replaced_everywhere_by_the_same_stand_in(tmp_path: Path) -> None:
    """In labels, in what happened, in words; numbers stay."""
    ring = Ring()
    recorder = Recorder(str(tmp_path / "all"), ring, {})
    info = Series("process_info", labels(pid=7, comm="secretd", user="alice"))
    told = Event(
        START + 1, "look", labels(pid=7), '{"says": "secretd of alice waits; secretdaemon does not"}', {"process": "secretd"}
    )
    ring.add(START + 1, [Sample(info, 1.0)])
    recorder.write(recorder.gather(START + 1))
    ring.add(START + 2, [told, Sample(info, 1.0)])
    recorder.write(recorder.gather(START + 2))
    path = tmp_path / "part.rec"
    export(Recording(str(tmp_path / "all")), str(path), 0, 2 * START, redact=True, host="n1")
    ticks = list(Recording(str(path)).ticks(0, 2 * START))
    known = dict(ticks[0][2][0].series.labels)
    (event,) = [e for _, events, _ in ticks for e in events]
    assert (known["pid"], known["comm"][:5], known["user"][:5]) == ("7", "comm-", "user-")
    assert json.loads(event.text) == {"says": f"{known['comm']} of {known['user']} waits; secretdaemon does not"}
    assert event.fields == {"process": known["comm"]}
    assert report(str(path)).about["host"] == "redacted"


def test_a_name_is_replaced_although_it_stands_in_no_label_or_in_one_only_later(tmp_path: Path) -> None:
    """A short-lived process has no series of its own; what was said comes before the names of its record."""
    ring = Ring()
    recorder = Recorder(str(tmp_path / "all"), ring, {})
    target = {"kind": "process", "name": "trainer", "user": "alice", "unit": "train.service", "cgroup": None}
    body = {
        "target": target,
        "diagnosis": {"file": "/srv/trainer/main.py", "says": "trainer of alice", "answers": {"name": "alice"}},
    }
    ring.add(
        START + 1,
        [
            Event(START + 1, "process_started", labels(pid=8), "secret-tool", {"ppid": 7.0}),
            Event(START + 1, "diagnosis", labels(pid=7), json.dumps(body), {"by": "secret-tool"}),
            Event(START + 1, "kernel", labels(), "Xid 79, name=ghost", {"process": "ghost"}),
            Sample(Series("process_info", labels(pid=7, comm="trainer", user="alice", job="7")), 1.0),
        ],
    )
    recorder.write(recorder.gather(START + 1))
    path = tmp_path / "part.rec"
    export(Recording(str(tmp_path / "all")), str(path), 0, 2 * START, redact=True)
    (found,) = Recording(str(path)).ticks(0, 2 * START)
    started, told, kernel = found[1]
    said = json.loads(told.text)
    assert not [e for e in found[1] for name in ("secret-tool", "train.service", "ghost") if name in e.text + str(e.fields)]
    assert (said["target"]["user"], said["target"]["name"]) == (dict(found[2][0].series.labels)["user"], said["target"]["name"])
    assert said["diagnosis"]["says"] == f"{said['target']['name']} of {said['target']['user']}"
    assert (said["diagnosis"]["file"], said["diagnosis"]["answers"]) == ("/srv/trainer/main.py", {"name": "alice"})
    assert (started.text, kernel.text) == (told.fields["by"], f"Xid 79, name={kernel.fields['process']}")


def test_another_export_has_other_stand_ins() -> None:
    """Two files cannot be joined by them."""
    key = ("process_info", labels(user="alice"))
    assert Redaction().key(key) != Redaction().key(key)


def test_what_is_there_is_not_overwritten_and_nothing_is_no_file(tmp_path: Path) -> None:
    """Each with its reason."""
    life = Life(tmp_path / "all")
    life.live(16)
    recording, path = Recording(str(tmp_path / "all")), tmp_path / "x.rec"
    with pytest.raises(AgentError, match="nothing was recorded in that time"):
        export(recording, str(path), 0.0, 100.0)
    assert not path.exists()
    path.write_text("mine")
    with pytest.raises(AgentError, match="exists already"):
        export(recording, str(path), 0.0, 2 * START)
    assert path.read_text() == "mine"
