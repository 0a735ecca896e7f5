"""What people do with an incident."""

from __future__ import annotations

import pytest

from agent.engine.handling import LONGEST, Verb, plea, remedy, said
from agent.errors import UsageError
from agent.model import labels
from tests.fakes.life import Life, process


@pytest.fixture
def life() -> Life:
    """One process's memory grows."""
    made = Life()
    made.fires("memory", process(7))
    return made


def say(life: Life, verb: Verb, text: str = "", who: str = "ada") -> None:
    """One word."""
    life.take(said(life.book, life.now, life.one(), verb, who, text))


def test_the_first_to_acknowledge_is_remembered(life: Life) -> None:
    """It is told once; who joins later is in the timeline."""
    say(life, "ack", "on it")
    say(life, "ack", who="bob")
    assert (life.one().acknowledged, life.one().acknowledged_at) == ("ada", life.now)
    assert life.told() == ["opened", "acknowledged"]
    assert life.notes.count((1, "acknowledged")) == 2


def test_an_acknowledgement_ends_with_its_episode(life: Life) -> None:
    """A relapse calls people anew."""
    say(life, "ack")
    life.ends("memory", labels(pid=7))
    life.fires("memory", process(7))
    assert life.one().acknowledged == ""


def test_comments_and_assignments_are_for_the_timeline(life: Life) -> None:
    """Nobody is called for them, and they are possible after the end."""
    say(life, "comment", "it is the nightly batch")
    say(life, "assign", "bob")
    life.ends("memory", labels(pid=7))
    say(life, "comment", "mended in 1.2")
    assert life.one().assigned == "bob"
    assert life.told() == ["opened", "resolved"]
    assert [what for _, what in life.notes].count("comment") == 2


def test_one_closed_by_hand_stays_quiet_until_it_begins_anew(life: Life) -> None:
    """What fires on in it opens nothing; when it was over and fires again that is a new incident."""
    say(life, "close", "known")
    life.wait(7200)
    assert life.told() == ["opened", "closed"]
    life.ends("memory", labels(pid=7))
    life.wait(60)
    life.fires("memory", process(7))
    assert life.told(2) == ["opened"]


def test_it_is_not_closed_while_a_playbook_works(life: Life) -> None:
    """Its end waits for the playbook's."""
    life.take(remedy(life.book, life.now, 1, "recycle-worker", begins=True))
    life.round()
    assert life.one().phase == "remediating"
    life.ends("memory", labels(pid=7))
    life.wait(60)
    assert life.one().phase == "remediating"
    life.take(remedy(life.book, life.now, 1, "recycle-worker", begins=False))
    life.round()
    assert life.told() == ["opened", "resolved"]


@pytest.mark.parametrize(("verb", "text"), [("comment", ""), ("comment", "x" * (LONGEST + 1))])
def test_empty_and_endless_words_are_refused(life: Life, verb: Verb, text: str) -> None:
    """With a reason."""
    with pytest.raises(UsageError):
        say(life, verb, text)


@pytest.mark.parametrize("verb", ["ack", "close"])
def test_what_is_over_is_over(life: Life, verb: Verb) -> None:
    """It can be neither acknowledged nor closed again."""
    life.ends("memory", labels(pid=7))
    with pytest.raises(UsageError, match="is closed"):
        say(life, verb)


def test_a_plea_is_told_and_answered_by_the_work_that_follows(life: Life) -> None:
    """Each is an event that alerts send; of what is over nothing is asked."""
    life.take(plea(life.book, life.now, 1, "asked", "anfl-agent approve 3"))
    assert (life.one().plea, life.one().pleas, life.told()) == ("anfl-agent approve 3", 1, ["opened", "asked"])
    life.take(remedy(life.book, life.now, 1, "begins", begins=True))
    assert (life.one().plea, life.one().pleas) == ("", 1)
    life.take(remedy(life.book, life.now, 1, "failed", begins=False))
    life.ends("memory", labels(pid=7))
    life.take(plea(life.book, life.now, 1, "given_up", "a person must look"))
    assert life.told() == ["opened", "asked", "resolved"]
