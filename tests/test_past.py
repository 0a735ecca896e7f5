"""A recorded moment judged again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agent import past, replay
from agent.engine import looks
from agent.engine.report import when
from agent.engine.walk import ProbeKey
from agent.errors import Unavailable, UsageError
from agent.model import Event, Evidence, JsonObject, Sample, Series, Target, labels
from agent.store.recorder import Recorder
from agent.store.recording import Recording
from agent.store.ring import Ring
from tests.fakes.rules import process, rule_set

START = 1_700_000_000.0
RULES = """
tree: memory
each: [pid]
symptom: {when: "last(process_anonymous_bytes) > 500", for: 10s, severity: warning}
checks:
  - {id: big, expr: "last(process_anonymous_bytes) > 500"}
  - {id: one_site, cost: heavy, if: big, probe: memray, expr: "leak_share > 50%"}
causes:
  memory.python-leak:
    title: It leaks
    require: [one_site]
    support: {one_site: 0.7, big: 0.3}
    advice: Mend it.
"""
LENIENT = RULES.replace("> 500", "> 10000")
KEY = ProbeKey("memray", 7, (), "")


def silent(said: str) -> None:
    """No progress."""


def recorded(folder: Path, *events: Event, seconds: int = 120) -> Recording:
    """A process that grows by 10 bytes a second, and what happened meanwhile."""
    ring = Ring()
    recorder = Recorder(str(folder), ring, {})
    info, grown = Series(*process(7)), Series("process_anonymous_bytes", labels(pid=7))
    waiting = sorted(events, key=lambda e: e.time)
    for i in range(seconds):
        due = [e for e in waiting if e.time <= START + i]
        waiting = waiting[len(due) :]
        ring.add(START + i, [*due, Sample(info, 1.0), Sample(grown, 10.0 * i)])
        if i % 8 == 7:
            recorder.write(recorder.gather(START + i))
    recorder.write(recorder.gather(START + seconds))
    return Recording(str(folder))


def look(at: float, share: float = 0.9, by: str = "diagnosis-1") -> Event:
    """memray looked then."""
    return looks.event(KEY, Evidence("memray", answers={"leak_share": share}), START + at, by)


def given(diagnosis: JsonObject, symptom: str = "", by: str = "diagnosis-1") -> Event:
    """The answer of that investigation: to a symptom, or to somebody."""
    onsets = {("memory", labels(pid=7)): START + 51}
    asked = looks.Question(by, Target("process", "train", 7), (7,), (), symptom, START + 66, START + 90, onsets)
    return looks.told(diagnosis, asked, START + 95)


def test_a_moment_is_judged_with_what_was_known_then(tmp_path: Path) -> None:
    """The leak is named at the end and was not there at the beginning; the look counts."""
    recording, rules = recorded(tmp_path, look(70.0)), rule_set(RULES)
    late = past.diagnose(past.rewind(recording, rules, START + 110, 600.0, silent), rules, pid=7)
    early = past.diagnose(past.rewind(recording, rules, START + 30, 600.0, silent), rules, pid=7)
    assert [c["id"] for c in late["causes"]] == ["memory.python-leak"]
    assert late["source"] == "recording"
    assert (early["causes"], early["verdict"]) == ([], "ok")


def test_what_nobody_looked_at_then_stays_open_and_says_why(tmp_path: Path) -> None:
    """While its symptom held, it is possible; nobody can look any more."""
    recording, rules = recorded(tmp_path), rule_set(RULES)
    found = past.diagnose(past.rewind(recording, rules, START + 110, 600.0, silent), rules, pid=7)
    assert (found["verdict"], [p["id"] for p in found["possible"]]) == ("unknown", ["memory.python-leak"])
    assert any(past.GONE in n["because"] for n in found["not_checked"])


def test_a_time_or_a_process_that_was_not_recorded_is_said(tmp_path: Path) -> None:
    """With the way to what there is."""
    recording, rules = recorded(tmp_path), rule_set(RULES)
    with pytest.raises(Unavailable, match="nothing was recorded"):
        past.rewind(recording, rules, START - 100, 60.0, silent)
    with pytest.raises(UsageError, match="process 8 was not among those recorded"):
        past.diagnose(past.rewind(recording, rules, START + 60, 600.0, silent), rules, pid=8)


def test_a_replay_names_what_fired_and_agrees_with_the_answer_given_live(tmp_path: Path) -> None:
    """The same moment, the same looks, the same rules: the same answer."""
    rules = rule_set(RULES)
    bare = past.diagnose(past.rewind(recorded(tmp_path / "a", look(85.0)), rules, START + 90, 600.0, silent), rules, pid=7)
    answer = given(bare, "memory")
    recording = recorded(tmp_path / "b", look(85.0), answer)
    (finding,) = replay.play(recording, {"r": rules}, START - 1, START + 120)["r"].findings
    assert (finding.tree, finding.root, finding.agrees) == ("memory", "memory.python-leak", True)


def test_another_look_is_another_answer(tmp_path: Path) -> None:
    """A replay that disagrees says so."""
    rules = rule_set(RULES)
    bare = past.diagnose(past.rewind(recorded(tmp_path / "a", look(85.0)), rules, START + 90, 600.0, silent), rules, pid=7)
    answer = given(bare, "memory")
    recording = recorded(tmp_path / "b", look(85.0, 0.2), answer)
    (finding,) = replay.play(recording, {"r": rules}, START - 1, START + 120)["r"].findings
    assert (finding.root, finding.agrees) == ("", False)


def test_what_somebody_asked_for_is_answered_again_beside_what_fired(tmp_path: Path) -> None:
    """Two investigations of one process at one time: each counts what it saw itself."""
    rules = rule_set(RULES)
    saw = past.diagnose(past.rewind(recorded(tmp_path / "a", look(85.0)), rules, START + 90, 600.0, silent), rules, pid=7)
    saw_not = past.diagnose(past.rewind(recorded(tmp_path / "b", look(85.0, 0.2)), rules, START + 90, 600.0, silent), rules, pid=7)
    events = look(84.0), look(86.0, 0.2, "diagnosis-2"), given(saw), given(saw_not, "memory", "diagnosis-2")
    played = replay.play(recorded(tmp_path / "c", *events), {"r": rules}, START - 1, START + 120)["r"]
    assert [(f.tree, f.root, f.agrees) for f in played.findings] == [("memory", "", True)]
    assert [(f.tree, f.root, f.agrees, dict(f.labels)) for f in played.asked] == [("", "memory.python-leak", True, {"pid": "7"})]


def test_a_symptom_that_fires_a_little_later_than_live_belongs_to_its_answer(tmp_path: Path) -> None:
    """The rounds of a replay come at other moments, and long windows are read anew at others."""
    rules = rule_set(RULES)
    bare = past.diagnose(past.rewind(recorded(tmp_path / "a", look(85.0)), rules, START + 90, 600.0, silent), rules, pid=7)
    early = looks.Question("diagnosis-1", Target("process", "train", 7), (7,), (), "memory", START + 40, START + 90)
    recording = recorded(tmp_path / "b", look(85.0), looks.told(bare, early, START + 95))
    (finding,) = replay.play(recording, {"r": rules}, START - 1, START + 120)["r"].findings
    assert finding.agrees is True


def test_a_replay_knows_the_beginnings_that_were_known_then(tmp_path: Path) -> None:
    """Roots of one weight stand in the order of their beginnings, which its own rounds would put elsewhere."""
    rules = rule_set(RULES)
    bare = past.diagnose(past.rewind(recorded(tmp_path / "a", look(85.0)), rules, START + 90, 600.0, silent), rules, pid=7)
    events = look(85.0), given(bare), given(bare, "memory", "diagnosis-2"), look(86.0, by="diagnosis-2")
    played = replay.play(recorded(tmp_path / "b", *events), {"r": rules}, START - 1, START + 120)["r"]
    since = [f.diagnosis["causes"][0]["since"] for f in (*played.findings, *played.asked)]
    assert since == [when(START + 51)] * 2


@pytest.mark.parametrize(
    ("target", "agrees"),
    [(Target("process", "train", 7), True), (Target("process", "other", 8), None), (Target("gpu", "GPU 2", uuid="GPU-2"), None)],
)
def test_an_answer_belongs_to_the_symptom_of_its_process_or_device(tmp_path: Path, target: Target, agrees: bool | None) -> None:
    """Several may have fired at once."""
    rules = rule_set(RULES)
    bare = past.diagnose(past.rewind(recorded(tmp_path / "a", look(85.0)), rules, START + 90, 600.0, silent), rules, pid=7)
    asked = looks.Question("diagnosis-1", target, (7,), (), "memory", START + 66, START + 90)
    recording = recorded(tmp_path / "b", look(85.0), looks.told(bare, asked, START + 95))
    (finding,) = replay.play(recording, {"r": rules}, START - 1, START + 120)["r"].findings
    assert finding.agrees is agrees


def test_the_answer_about_a_process_that_was_gone_was_given_for_its_device_or_the_host(tmp_path: Path) -> None:
    """Where nobody is left to look at, it is looked for more widely."""
    rules = rule_set(RULES)
    bare = past.diagnose(past.rewind(recorded(tmp_path / "a", look(85.0)), rules, START + 90, 600.0, silent), rules, pid=7)
    asked = looks.Question("diagnosis-1", Target("host", "n1"), (7,), (), "memory", START + 66, START + 90)
    recording = recorded(tmp_path / "b", look(85.0), looks.told(bare, asked, START + 95))
    (finding,) = replay.play(recording, {"r": rules}, START - 1, START + 120)["r"].findings
    assert finding.live is not None


def test_a_suspicion_that_only_its_second_look_bore_out_is_told_once(tmp_path: Path) -> None:
    """It is looked into again as long as it stands, minutes after it fired; what the first look did not find is nothing to tell."""
    rules = rule_set(RULES.replace("severity: warning}", "severity: warning, suspicion: [memory.python-leak]}"))
    looked = (look(70.0, 0.2, "diagnosis-1"), look(285.0, 0.9, "diagnosis-2"))
    past_of = recorded(tmp_path / "a", *looked, seconds=320)
    answers = []
    for by, began, judged in (("diagnosis-1", 66, 90), ("diagnosis-2", 280, 290)):
        found = past.diagnose(past.rewind(past_of, rules, START + judged, 600.0, silent), rules, pid=7)
        asked = looks.Question(by, Target("process", "train", 7), (7,), (), "memory", START + began, START + judged)
        answers.append(looks.told(found, asked, START + judged + 5))
    recording = recorded(tmp_path / "b", *looked, *answers, seconds=320)
    (finding,) = replay.play(recording, {"r": rules}, START - 1, START + 320)["r"].findings
    assert (finding.root, finding.agrees) == ("memory.python-leak", True)


def test_an_answer_that_cannot_be_read_is_no_answer(tmp_path: Path) -> None:
    """A recording from elsewhere may hold anything; what fired is judged all the same."""
    broken = replace(given({"causes": [], "verdict": "ok"}, "memory"), text="{}")
    (finding,) = replay.play(recorded(tmp_path, broken), {"r": rule_set(RULES)}, START - 1, START + 120)["r"].findings
    assert finding.agrees is None


def test_a_change_of_rules_is_told_by_what_it_adds_loses_and_renames(tmp_path: Path) -> None:
    """Before it is trusted with the future."""
    recording = recorded(tmp_path, look(70.0))
    renamed = RULES.replace("memory.python-leak", "memory.other")
    sets = {"old": rule_set(RULES), "lenient": rule_set(LENIENT), "renamed": rule_set(renamed)}
    played = {name: p.findings for name, p in replay.play(recording, sets, START - 1, START + 120).items()}
    assert [(c.kind, c.before) for c in replay.compare(played["old"], played["lenient"])] == [("lost", "memory.python-leak")]
    assert [c.kind for c in replay.compare(played["lenient"], played["old"])] == ["added"]
    assert [(c.kind, c.after) for c in replay.compare(played["old"], played["renamed"])] == [("renamed", "memory.other")]
    assert replay.compare(played["old"], played["old"]) == []
