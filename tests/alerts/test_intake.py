"""From incidents to alerts, and the bound on how many are kept."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace

from agent.alerts import feed
from agent.alerts.intake import FEW, MOST, MOST_OF_GROUP, Bound, alert_of, impact_text
from agent.alerts.model import Alert
from agent.engine.graph import Place
from agent.engine.incident import Affected, Complaint, Impact, Incident, IncidentEvent
from agent.incidents import tables
from agent.incidents.tables import ROOM, Batch
from agent.model import Severity, labels
from tests.alerts.worlds import alert, finding

PLACE = Place(labels(pid=7), {"pid": "7", "cgroup": "/slurm/8812", "comm": "train", "uuid": "GPU-1"}, frozenset({"7"}))
INCIDENT = Incident(
    3,
    100.0,
    130.0,
    "diagnosed",
    looked=130.0,
    version=2,
    complaints=(
        Complaint("throughput", labels(gpu="0"), Severity.NOTICE, 100.0, 100.0, "idle"),
        Complaint("memory", labels(pid=7), Severity.WARNING, 101.0, 120.0, "grows", PLACE),
    ),
    causes=({**finding(), "severity": "warning"},),
    ruled_out=({"id": "memory.page-cache", "because": "no"},),
    leads_to=("memory.thrash",),
    impact=Impact((Affected(7),), ("GPU-1",), ("ml",), (), (), ("8812",)),
)


def test_an_alert_tells_of_the_worst_symptom_with_all_that_names_it() -> None:
    """Its labels are what routes and silences match; a user all share is one of them."""
    made = alert_of(INCIDENT, None, 150.0)
    assert (made.id, made.tree, made.cause, made.status, made.ready) == ("3", "memory", "memory.python-leak", "firing", True)
    assert made.labels == {"pid": "7", "cgroup": "/slurm/8812", "uuid": "GPU-1", "user": "ml", "job": "8812"}
    assert made.leads_to == {"memory.thrash", "memory.oom-risk"}
    assert made.body["impact"] == "GPU GPU-1 · user ml · job 8812"
    assert [line["check"] for line in made.body["cause"]["evidence"]] == ["one_site", "anon_grows"]
    assert Alert.from_json(json.loads(json.dumps(made.to_json()))) == made


def test_it_is_the_same_alert_until_it_ended_and_began_anew() -> None:
    """Only a relapse waits for its group again."""
    first = alert_of(INCIDENT, None, 150.0)
    later = alert_of(replace(INCIDENT, version=3), replace(first, group="g"), 900.0)
    assert (later.seen, later.group) == (150.0, "g")
    over = alert_of(replace(INCIDENT, phase="closed", closed=950.0, ending="resolved"), later, 950.0)
    assert (over.status, over.closed, over.severity) == ("resolved", 950.0, INCIDENT.worst)
    assert alert_of(replace(INCIDENT, episode=2), over, 1000.0).seen == 1000.0


def test_who_suffers_is_said_in_a_line() -> None:
    """Long lists are counted."""
    many = Impact(tuple(Affected(n) for n in range(4)), tuple(f"GPU-{n}" for n in range(5)), (), ("a.service",), more=8)
    assert impact_text(many) == "12 processes · GPUs GPU-0, GPU-1, GPU-2 and 2 more · unit a.service"
    assert impact_text(Impact()) == ""


def test_a_storm_is_counted_and_critical_alerts_are_kept() -> None:
    """Fifty of a group; past five hundred in all five of each; with a group's last one its count goes."""
    bound = Bound((), ("cause",), "h")
    assert sum(bound.takes(alert(str(n))) for n in range(500)) == MOST_OF_GROUP
    assert bound.folded == {"cause=memory.python-leak": 500 - MOST_OF_GROUP}
    assert bound.takes(alert("c", severity=Severity.CRITICAL))
    for number in range(9):
        for n in range(MOST_OF_GROUP):
            bound.takes(alert(f"{number}-{n}", cause=f"x.{number}"))
    assert len(bound._of) >= MOST
    assert sum(bound.takes(alert(f"y{n}", cause="y")) for n in range(50)) == FEW
    for n in range(MOST_OF_GROUP):
        bound.forget(str(n))
    bound.forget("c")
    bound.forget("nobody")
    assert "cause=memory.python-leak" not in bound.folded


def test_heads_of_events_are_the_newest_of_each_incident() -> None:
    """Enough to know the group without reading the whole; an incident without a cause goes by its tree."""
    file = sqlite3.connect(":memory:")
    for statement in ROOM.steps[0]:
        file.execute(statement)
    bare = replace(INCIDENT, id=4, causes=(), complaints=INCIDENT.complaints[1:])
    stages = [(INCIDENT, 1), (bare, 1), (INCIDENT, 2)]
    for number, (incident, n) in enumerate(stages, 1):
        event = IncidentEvent(f"e{number}", incident.id, n, "changed", 1.0, incident.severity, "", incident)
        tables.save(file, Batch(number, (incident,), (event,)))
    last, heads = feed.heads(file, 0, 100)
    assert last == 3
    assert [(h.seq, h.incident, h.cause, h.tree) for h in heads] == [(2, 4, "", "memory"), (3, 3, "memory.python-leak", "")]
    assert [i.id for i in feed.told(file, [h.seq for h in heads])] == [4, 3]
    assert feed.heads(file, 3, 100) == (3, [])
    assert feed.heads(file, 0, 1)[0] == 1
