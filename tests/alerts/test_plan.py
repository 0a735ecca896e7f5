"""Who is told what and when: on a clock set by hand, with a real outbox and its tables."""

from __future__ import annotations

from dataclasses import replace

from agent.alerting import Alerts, Escalate, Route
from agent.alerts import render
from agent.alerts.model import Outcome
from agent.alerts.silences import make_silence
from agent.model import Severity
from agent.yamlfile import Text
from tests.alerts.worlds import T0, World, receiver

FAILS = Outcome("retry", "connection refused")


def test_a_first_message_waits_for_its_group_and_goes_to_everybody_once() -> None:
    """Ten seconds after the first sight; nothing is said twice."""
    world = World()
    world.fire()
    world.live(10)
    assert not world.got
    world.live(300)
    assert world.told("a") == world.told("b") == [("firing", "first")]


def test_an_alert_waits_for_its_cause_but_not_for_ever() -> None:
    """The message names the cause if that is found within a minute."""
    world = World()
    world.fire(ready=False, cause="")
    world.live(30)
    assert not world.got
    world.change("1", ready=True, cause="memory.python-leak")
    world.live(2)
    assert world.told() == [("firing", "first")]
    world.fire("2", ready=False, cause="", tree="host")
    world.live(62)
    assert world.told()[-1] == ("firing", "first")


def test_a_cause_found_late_is_told_soon() -> None:
    """It is what people wait for."""
    world = World()
    world.fire(ready=False, cause="")
    world.live(70)
    world.change("1", ready=True, cause="memory.python-leak")
    world.live(12)
    assert world.told() == [("firing", "first"), ("firing", "cause")]


def test_the_end_is_told_at_once_and_once() -> None:
    """Then nothing is left of the alert."""
    world = World()
    world.fire()
    world.live(20)
    world.end("1")
    world.live(2)
    assert world.told() == [("firing", "first"), ("resolved", "all_ended")]
    world.live(20_000, step=100)
    assert len(world.told()) == 2
    assert not world.alerts
    assert not world.outbox.ledger.told
    assert not world.outbox.ledger.last


def test_what_came_and_went_before_anybody_was_told_is_one_message() -> None:
    """Never nothing, never two."""
    world = World()
    world.fire()
    world.live(5)
    world.end("1")
    world.live(60)
    assert world.told("a") == world.told("b") == [("over", "over")]
    assert not world.alerts


def test_a_receiver_that_was_down_gets_one_message_with_begin_and_end() -> None:
    """The other one got two, in time."""
    world = World(answers=lambda row: FAILS if row.address == "b" and world.now < T0 + 600 else Outcome("done"))
    world.fire()
    world.live(30)
    world.end("1")
    world.live(3000)
    assert world.told("a") == [("firing", "first"), ("resolved", "all_ended")]
    assert world.told("b") == [("over", "over")]
    assert world.got[-1][1]["alerts"][0]["closed"] is not None


def test_a_message_that_may_have_arrived_keeps_its_words_and_its_id() -> None:
    """What happened since comes after it."""
    world = World(receivers=(receiver("a"),))
    world.answers = lambda row: Outcome("retry", "no answer", unsure=True) if row.attempts < 3 else Outcome("done")
    world.fire()
    world.live(11)
    world.end("1")
    world.live(60)
    kinds = [payload["kind"] for _, payload in world.got]
    ids = [payload["id"] for _, payload in world.got]
    assert kinds == ["firing"] * 3 + ["resolved"] * 3
    assert len(set(ids)) == 2


def test_new_ones_of_a_group_wait_for_the_interval_and_critical_ones_do_not() -> None:
    """One message tells of both."""
    world = World()
    world.fire("1")
    world.live(20)
    world.fire("2")
    world.live(30)
    assert world.told() == [("firing", "first")]
    world.live(300)
    assert world.told() == [("firing", "first"), ("firing", "new")]
    assert world.got[-1][1]["firing"] == 2
    world.fire("3", severity=Severity.CRITICAL)
    world.live(12)
    assert world.told()[-1] == ("firing", "new")
    assert world.got[-1][1]["severity"] == "critical"


def test_it_is_repeated_every_four_hours_unless_acknowledged() -> None:
    """Whoever has it in hand is left in peace, and told of the end."""
    world = World()
    world.fire()
    world.live(2.5 * 4 * 3600, step=60)
    assert world.told() == [("firing", "first"), ("firing", "repeat"), ("firing", "repeat")]
    assert len({payload["id"] for name, payload in world.got if name == "a"}) == 3
    world.change("1", acknowledged="ana")
    world.live(12 * 3600, step=60)
    assert len(world.told()) == 3
    world.end("1")
    world.live(120, step=60)
    assert world.told()[-1] == ("resolved", "all_ended")


def test_a_worse_severity_is_told_at_once() -> None:
    """And a better one is not worth a message."""
    world = World()
    world.fire()
    world.live(20)
    world.change("1", severity=Severity.CRITICAL)
    world.live(10)
    world.change("1", severity=Severity.WARNING)
    world.live(600)
    assert world.told() == [("firing", "first"), ("firing", "worse")]


def test_a_silence_hides_begin_and_end() -> None:
    """What was told before it closes without a word."""
    world = World()
    world.fire()
    world.live(20)
    world.mutes = (make_silence("s", ["tree=memory"], world.now, 3600, "upgrade", "ana"),)
    world.end("1")
    world.fire("2")
    world.live(60)
    assert world.told() == [("firing", "first")]
    assert set(world.alerts) == {"2"}
    world.live(3600, step=10)
    assert world.told() == [("firing", "first"), ("firing", "first")]


def test_alertmanager_is_told_the_end_whatever_is_silenced() -> None:
    """It keeps state; silences of its own are its business. It is told without waiting."""
    world = World(receivers=(receiver("am", "alertmanager"),))
    world.fire()
    world.live(1)
    assert world.told("am") == [("firing", "first")]
    world.mutes = (make_silence("s", ["tree=memory"], world.now, 3600, "", "ana"),)
    world.end("1")
    world.live(2)
    assert world.told("am") == [("firing", "first"), ("resolved", "all_ended")]


def test_a_consequence_rides_with_its_root() -> None:
    """It gets no message of its own; the root speaks with the worse severity of the two."""
    world = World()
    world.fire("1", leads_to=frozenset({"memory.oom-risk"}))
    world.fire("2", cause="memory.oom-risk", severity=Severity.CRITICAL, labels={}, title="The host runs out of memory")
    world.live(400)
    assert world.told() == [("firing", "first")]
    payload = world.got[0][1]
    assert (payload["severity"], payload["firing"]) == ("critical", 1)
    assert "The host runs out of memory" in payload["alerts"][0]["consequences"]
    world.end("1")
    world.live(10)
    assert world.told()[-1] == ("resolved", "all_ended")
    world.end("2")
    world.live(600)
    assert len(world.told()) == 2


def test_a_consequence_that_outlives_its_root_is_told() -> None:
    """After the settle time."""
    world = World()
    world.fire("1", leads_to=frozenset({"memory.oom-risk"}))
    world.fire("2", cause="memory.oom-risk", labels={})
    world.live(30)
    world.end("1")
    world.live(60)
    assert world.told() == [("firing", "first"), ("resolved", "all_ended"), ("firing", "first")]


def test_the_same_cause_on_another_process_is_no_consequence() -> None:
    """What both name must be the same."""
    world = World()
    world.fire("1", leads_to=frozenset({"memory.oom-risk"}))
    world.fire("2", cause="memory.oom-risk", labels={"pid": "77"})
    world.live(30)
    assert len(world.told()) == 2


def test_nothing_is_told_right_after_the_start() -> None:
    """Inhibition must see what stands first."""
    world = World(started=T0, settings=Alerts(settle=35.0))
    world.fire()
    world.live(30)
    assert not world.got
    world.live(10)
    assert world.told() == [("firing", "first")]


def test_nobody_acknowledged_so_somebody_else_is_told() -> None:
    """And told of the end too."""
    ladder = Escalate(900.0, (Text("boss"),))
    settings = Alerts(routes=(Route(receivers=(Text("a"),), escalate=ladder),))
    world = World(receivers=(receiver("a"), receiver("boss")), settings=settings)
    world.fire()
    world.live(890)
    assert not world.told("boss")
    world.live(30)
    assert world.told("boss") == [("firing", "escalated")]
    world.end("1")
    world.live(5)
    assert world.told("boss")[-1] == ("resolved", "all_ended")


def test_an_acknowledged_alert_is_not_escalated() -> None:
    """Somebody has it in hand."""
    settings = Alerts(routes=(Route(receivers=(Text("a"),), escalate=Escalate(900.0, (Text("b"),))),))
    world = World(settings=settings)
    world.fire(acknowledged="ana")
    world.live(2000, step=10)
    assert not world.told("b")


def test_a_hopeless_address_is_parked_at_once_and_the_end_waits_with_the_begin() -> None:
    """Retried by hand it gets one message that tells both."""
    world = World()
    world.answers = lambda row: Outcome("hopeless", "401") if row.address == "b" and world.now < T0 + 100 else Outcome("done")
    world.fire()
    world.live(50)
    assert world.outbox.health["b"].parked == "401"
    world.end("1")
    world.live(100)
    assert world.told("b") == []
    from agent.alerts.tables import Writes

    writes = Writes()
    assert world.outbox.retry("b", world.now, writes) == 1
    world.live(5)
    assert world.told("b") == [("over", "over")]
    assert world.outbox.health["b"].word == "ok"


def test_a_storm_of_groups_is_merged_by_tree() -> None:
    """Past two hundred groups new ones go together; every alert is counted once."""
    world = World(receivers=(receiver("a"),))
    for number in range(300):
        world.fire(str(number), cause=f"memory.c{number}")
    world.live(20)
    assert len(world.got) <= 201
    assert sum(payload["firing"] for _, payload in world.got) == 300


def test_a_large_group_is_one_message_with_the_ten_worst_and_a_count() -> None:
    """Critical ones are all named."""
    world = World(receivers=(receiver("a"),))
    for number in range(150):
        world.fire(str(number), severity=Severity.CRITICAL if number % 10 == 0 else Severity.WARNING)
    world.live(20)
    [(_, payload)] = world.got
    assert payload["firing"] == 150
    assert len(payload["alerts"]) == 15
    assert all(told["severity"] == "critical" for told in payload["alerts"])
    assert payload["more"] == 135
    assert sum("evidence" in told for told in payload["alerts"]) == 10


def test_a_flapping_alert_is_told_when_it_begins_and_when_it_stops() -> None:
    """In between it fires, and that is known."""
    world = World()
    world.fire()
    world.live(20)
    world.change("1", flapping=True)
    world.live(400)
    world.change("1", flapping=False)
    world.live(400)
    assert world.told() == [("firing", "first"), ("firing", "flapping"), ("firing", "flapping")]


def test_a_relapse_after_its_end_was_told_is_told_again() -> None:
    """And one before nobody noticed is not."""
    world = World()
    world.fire()
    world.live(20)
    world.end("1")
    world.change("1", status="firing", episode=2, closed=None, seen=world.now)
    world.live(400)
    assert world.told() == [("firing", "first")]
    world.end("1")
    world.live(3)
    world.fire("1", episode=3)
    world.live(30)
    assert [kind for kind, _ in world.told()] == ["firing", "resolved", "firing"]


def test_a_restart_in_the_middle_sends_the_same_message_again_and_nothing_else() -> None:
    """Killed between sending and marking: one copy more, with the same id."""
    world = World(receivers=(receiver("a"),))
    world.fire()
    world.live(9)
    world.now += 5
    world.look()
    row = world.outbox.next("a", world.now)[0]
    assert row is not None
    from agent.alerts.tables import Writes

    writes = Writes()
    leased = world.outbox.lease(row, writes)
    writes(world.file)
    world.got.append(("a", leased.payload))
    world.begin()
    world.live(400)
    assert world.told() == [("firing", "first")] * 2
    assert len({payload["id"] for _, payload in world.got}) == 1


def test_a_merged_incident_nobody_heard_of_is_not_told() -> None:
    """The one it is part of speaks for it."""
    world = World()
    world.fire()
    world.live(5)
    world.end("1", ending="merged")
    world.live(60)
    assert not world.got
    assert not world.alerts


def test_every_receiver_hears_of_a_parked_one() -> None:
    """An alert about a receiver goes to all others where no route fits."""
    settings = Alerts(routes=(Route(receivers=(Text("a"),), match=(Text("unit=x"),)),))
    world = World(settings=settings)
    world.fire("receiver-a", tree="agent", cause="agent.receiver-parked", avoid="a", labels={"receiver": "a"})
    world.live(20)
    assert world.told("a") == []
    assert world.told("b") == [("firing", "first")]


def test_the_same_state_has_the_same_event_everywhere() -> None:
    """Two receivers told the same are told it under one id."""
    world = World()
    world.fire()
    world.live(20)
    assert len({payload["id"] for _, payload in world.got}) == 1
    other = World()
    other.put(replace(world.alerts["1"], group=""))
    other.live(20)
    assert other.got[0][1]["id"] == world.got[0][1]["id"]


def test_a_clock_that_is_set_back_makes_nobody_wait() -> None:
    """Neither a new alert nor a message that failed."""
    world = World(receivers=(receiver("a"),), answers=lambda row: FAILS if row.attempts < 2 else Outcome("done"))
    world.fire()
    world.live(12)
    world.now -= 7 * 86400
    world.live(30)
    assert world.told() == [("firing", "first")]
    world.fire("2", cause="memory.other", opened=world.now + 86400, seen=world.now + 86400)
    world.live(30)
    assert len(world.told()) == 2


def test_what_people_are_asked_is_told_at_once_with_the_command_in_the_title() -> None:
    """Also where somebody has acknowledged; and once."""
    world = World()
    world.fire(acknowledged="ada")
    world.live(20)
    world.change("1", pleas=1, body={"plea": "anfl-agent approve 12: restart svc@1.service"})
    world.live(2)
    assert world.told("a") == [("firing", "first"), ("firing", "asked")]
    assert world.got[-1][1]["title"].endswith("anfl-agent approve 12: restart svc@1.service")
    world.live(600)
    assert [reason for _, reason in world.told("a")].count("asked") == 1


def test_the_link_to_say_so_goes_along_whole_while_it_is_asked() -> None:
    """It is neither masked nor broken; once the incident is over it is gone."""
    link = "https://n1.example/anfl/approve?t=WzEyLCJhYmMtZGVmX2doaWprbG0iLDE3MDAsIjAxMjM0NTY3ODkiXQ.c2lnbmF0dXJlLXNpZ25hdHVyZS1zaWduYXR1cmU"
    world = World()
    world.fire()
    world.live(20)
    world.change("1", pleas=1, body={"plea": "anfl-agent approve 12", "plea_link": link})
    world.live(2)
    told = world.got[-1][1]
    assert told["alerts"][0]["plea_link"] == link
    assert f"[Approve or refuse](<{link}>)" in render.markdown(told)
    assert (f"Approve or refuse: {link}" in render.text(told), f'href="{link}"' in render.html(told)) == (True, True)
    world.change("1", status="resolved")
    world.live(600)
    assert link not in str(world.got[-1][1])
