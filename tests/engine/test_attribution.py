"""What a diagnosis means for incidents: its owner, the root cause, and which of them turn out to be one."""

from __future__ import annotations

from typing import Any

import pytest

from agent.engine.attribution import diagnosed, led_to, not_diagnosed
from agent.engine.graph import Place
from agent.engine.incident import Affected, Impact, Key
from agent.model import JsonObject, Severity, labels
from tests.fakes.life import Life, process
from tests.fakes.rules import rule_set

MEMORY: Key = ("memory", labels(pid=7))
HOST: Key = ("host", ())


def cause(id_: str = "memory.python-leak", pid: int | None = 7, lo: float = 0.8, **more: Any) -> JsonObject:
    """A root cause, as a diagnosis has it."""
    target: JsonObject = {"kind": "process" if pid else "host", "name": "python3", "pid": pid, "user": "ada"}
    known = {"id": id_, "title": "Objects pile up", "severity": "warning", "confidence": {"lo": lo, "hi": 0.9}, "target": target}
    return {**known, "symptoms": ["memory"], "consequences": [], "culprits": [], **more}


def diagnosis(*causes: JsonObject, possible: tuple[str, ...] = ()) -> JsonObject:
    """As much of a diagnosis as matters here."""
    may = [{"id": id_, "confidence": {"lo": 0.1, "hi": 0.8}, "try": ""} for id_ in possible]
    return {"causes": list(causes), "possible": may, "ruled_out": [], "not_checked": []}


def look(life: Life, found: JsonObject, key: Key | None = MEMORY, who: str = "") -> int | None:
    """A diagnosis comes in."""
    step, number = diagnosed(life.book, life.now, found, key, lambda id_: (f"{id_}.then",), who)
    life.take(step)
    return number


@pytest.fixture
def life() -> Life:
    """One process's memory grows."""
    made = Life()
    made.fires("memory", process(7))
    return made


def test_a_root_cause_makes_it_diagnosed(life: Life) -> None:
    """It names what is wrong, who suffers and where, and what else it may bring about."""
    culprit = {"kind": "code", "name": "remember", "file": "/srv/app.py", "line": 42, "function": "remember"}
    assert look(life, diagnosis(cause(culprits=[culprit]))) == 1
    one = life.one()
    assert (one.phase, one.title) == ("diagnosed", "Objects pile up: python3 (pid 7)")
    assert life.told() == ["opened", "diagnosed"]
    assert life.events[-1].reason == "memory.python-leak: Objects pile up: /srv/app.py:42"
    assert one.leads_to == ("memory.python-leak.then",)
    assert one.impact.users == ("ada",)
    assert one.ready


def test_a_search_without_a_result_is_over(life: Life) -> None:
    """Nobody waits any longer; later ones without a result are not told again."""
    look(life, diagnosis(possible=("memory.native-leak",)))
    look(life, diagnosis())
    assert life.told() == ["opened", "inconclusive"]
    assert life.one().phase == "open"
    assert "memory.native-leak" in life.events[-1].reason


def test_what_is_not_looked_into_is_not_waited_for(life: Life) -> None:
    """Said once, and not of one that was looked into."""
    for _ in range(2):
        life.take(not_diagnosed(life.book, life.now, MEMORY, "others wait"))
    look(life, diagnosis(cause()))
    life.take(not_diagnosed(life.book, life.now, MEMORY, "others wait"))
    assert life.told() == ["opened", "inconclusive", "diagnosed"]


def test_the_root_cause_may_change(life: Life) -> None:
    """A later look that finds another one tells so; one that finds the same does not."""
    look(life, diagnosis(cause("memory.leak-unlocalised")))
    look(life, diagnosis(cause()))
    look(life, diagnosis(cause()))
    assert life.told() == ["opened", "diagnosed", "changed"]
    assert "formerly memory.leak-unlocalised" in life.events[-1].reason


def test_a_gentle_look_does_not_unseat_a_known_cause(life: Life) -> None:
    """It could not check the better one and offers something vaguer."""
    look(life, diagnosis(cause()))
    look(life, diagnosis(cause("memory.leak-unlocalised", lo=0.55), possible=("memory.python-leak",)))
    assert life.one().root == cause()
    assert life.told() == ["opened", "diagnosed"]


def test_a_graver_cause_raises_the_severity(life: Life) -> None:
    """The incident is as severe as what it leads to."""
    look(life, diagnosis(cause(severity="critical")))
    assert life.one().severity is Severity.CRITICAL
    assert life.events[-1].severity is Severity.CRITICAL
    life.ends(*MEMORY)
    assert (life.one().severity, life.told()[-1]) == (Severity.CRITICAL, "resolved")


def test_a_cause_of_somebody_else_explains_nothing(life: Life) -> None:
    """A diagnosis for this symptom that names another process leaves it without a cause."""
    look(life, diagnosis(cause(pid=99, symptoms=["latency"])))
    assert life.told() == ["opened", "inconclusive"]


def test_what_a_person_asked_finds_its_incident(life: Life) -> None:
    """The answer to a question belongs to the incident it bears on, and opens none."""
    assert look(life, diagnosis(cause(pid=99, symptoms=[])), None) is None
    assert look(life, diagnosis(), None) is None
    assert look(life, diagnosis(cause(symptoms=[])), None, who="ada") == 1
    assert life.told() == ["opened", "diagnosed"]


def test_a_cause_found_after_the_end_is_kept_but_not_told(life: Life) -> None:
    """The process was killed while it was looked into: the answer is worth keeping."""
    life.ends(*MEMORY, to="gone")
    found = cause(severity="critical")
    assert look(life, diagnosis(found)) == 1
    assert life.one().root == found
    assert life.one().severity is Severity.WARNING
    assert life.told() == ["opened", "gone"]


def test_a_symptom_of_the_host_joins_what_causes_it(life: Life) -> None:
    """Two incidents with one root cause become the first; the second ends as merged."""
    life.fires("host", Place(), Severity.CRITICAL)
    look(life, diagnosis(cause()))
    assert look(life, diagnosis(cause(symptoms=["host", "memory"])), HOST) == 2
    assert life.told(2) == ["opened", "merged"]
    assert life.one(2).merged_into == 1
    assert {c.key for c in life.one().active} == {MEMORY, HOST}
    assert life.one().severity is Severity.CRITICAL
    life.ends(*HOST)
    life.ends(*MEMORY)
    assert life.told() == ["opened", "diagnosed", "changed", "changed", "resolved"]


def test_one_that_is_only_a_consequence_is_taken_in(life: Life) -> None:
    """The process's trouble turns out to be the host's: whoever has the lowest number stays, with the host's cause."""
    life.fires("host", Place())
    look(life, diagnosis(cause("memory.reclaim")))
    root = cause("host.memory-pressure", pid=None, symptoms=["host", "memory"], consequences=["memory.reclaim"])
    look(life, diagnosis(root), HOST)
    assert life.told(2) == ["opened", "merged"]
    assert life.one(1).root == root


@pytest.mark.parametrize(
    ("first", "second", "one"),
    [
        ({"kind": "process", "name": "hog", "pid": 50}, {"kind": "process", "name": "hog", "pid": 50}, True),
        ({"kind": "process", "name": "hog", "pid": 50}, {"kind": "process", "name": "hog", "pid": 51}, False),
        ({"kind": "device", "name": "sda"}, {"kind": "device", "name": "sda"}, True),
        ({"kind": "code", "name": "f", "file": "a.py", "line": 1}, {"kind": "code", "name": "f", "file": "a.py", "line": 1}, False),
        ({"kind": "process", "name": "self", "pid": 7}, {"kind": "process", "name": "self", "pid": 9}, False),
    ],
)
def test_two_that_suffer_from_one_neighbour_are_one(life: Life, first: JsonObject, second: JsonObject, one: bool) -> None:
    """The same cause with the same thing to blame; the same line of code in two programs is two faults."""
    life.fires("memory", process(9))
    look(life, diagnosis(cause(culprits=[first])))
    look(life, diagnosis(cause(pid=9, culprits=[second])), ("memory", labels(pid=9)))
    assert (life.one(2).ending == "merged") is one
    assert {c.key[1] for c in life.one(1).active} == ({labels(pid=7), labels(pid=9)} if one else {labels(pid=7)})


def test_strangers_stay_apart(life: Life) -> None:
    """Another process with the same kind of trouble has an incident of its own."""
    life.fires("memory", process(9))
    look(life, diagnosis(cause()))
    look(life, diagnosis(cause(pid=9)), ("memory", labels(pid=9)))
    assert life.told(1) == life.told(2) == ["opened", "diagnosed"]


def test_a_relapse_keeps_the_cause_until_it_is_looked_into(life: Life) -> None:
    """Whoever is called again sees at once what it was."""
    look(life, diagnosis(cause()))
    life.ends(*MEMORY)
    life.fires("memory", process(7))
    assert (life.one().phase, life.events[-1].kind) == ("diagnosed", "reopened")
    assert "Objects pile up" in life.events[-1].reason


def test_all_that_a_cause_leads_to_is_known() -> None:
    """Directly or through others; a cycle ends."""
    tree = """
tree: t
symptom: {when: "host_load1 > 1"}
checks: [{id: c, expr: "host_load1 > 1"}]
causes:
  t.a: {title: A, support: {c: 0.8}, leads_to: [t.b]}
  t.b: {title: B, support: {c: 0.8}, leads_to: [t.c]}
  t.c: {title: C, support: {c: 0.8}}
"""
    rules = rule_set(tree)
    assert led_to(rules, "t.a") == ("t.b", "t.c")
    assert led_to(rules, "t.c") == led_to(rules, "unknown") == ()


def test_a_noisy_neighbour_is_not_among_those_concerned() -> None:
    """Not though one launcher started both, nor when it is slow itself later on: impact is who suffers."""
    life, both = Life(), Place(labels(pid=7), {"pid": "7"}, frozenset({"7", "20"}))
    server, batch = Affected(7, "serve", "ada"), Affected(20, "batch", "bob")
    life.fires("latency", both, impact=Impact((server, batch), users=("ada", "bob")))
    noisy = cause("latency.cpu-saturated", symptoms=["latency"], culprits=[{"kind": "process", "name": "batch", "pid": 20}])
    look(life, diagnosis(noisy), ("latency", both.key))
    assert life.one().impact == Impact((server,), users=("ada",))
    life.fires("throughput", both, impact=Impact((server, batch), users=("ada", "bob")))
    assert [p.pid for p in life.one().impact.processes] == [7]
    assert life.one().impact.users == ("ada",)


def test_what_two_suffer_from_is_no_third_sufferer() -> None:
    """Two incidents that are one know the same neighbour; each had somebody else concerned."""
    life = Life()
    noisy = [{"kind": "process", "name": "batch", "pid": 20}]
    life.fires("latency", process(7), impact=Impact((Affected(7),)))
    life.fires("latency", process(9), impact=Impact((Affected(9), Affected(20))))
    for pid in (9, 7):
        found = cause("latency.cpu-saturated", pid=pid, symptoms=[], culprits=noisy)
        look(life, diagnosis(found), ("latency", labels(pid=pid)))
    assert [p.pid for p in life.one().impact.processes] == [7, 9]
    assert life.one().blamed == (20,)
