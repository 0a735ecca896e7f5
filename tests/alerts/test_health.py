"""Backoff, breaker and parking."""

from __future__ import annotations

from random import Random

from agent.alerts.health import BREAKER, GIVE_UP_S, LONGEST_S, Health, backoff
from agent.alerts.model import DONE, Outcome

FAILS = Outcome("retry", "refused")


def test_the_wait_grows_from_two_seconds_to_a_quarter_of_an_hour() -> None:
    """With a fifth of jitter, so that a thousand hosts do not come back together."""
    waits = [backoff(n, Random(1)) for n in range(1, 40)]
    assert 1.6 <= waits[0] <= 2.4
    assert all(wait <= LONGEST_S for wait in waits)
    assert waits[-1] >= 0.8 * LONGEST_S
    assert len({backoff(3, Random(seed)) for seed in range(20)}) > 10


def test_a_receiver_that_asks_for_patience_gets_it_but_not_for_ever() -> None:
    """An hour at most."""
    assert backoff(1, Random(1), 60.0) == 60.0
    assert backoff(1, Random(1), 1e9) == 3600.0


def test_after_some_failures_in_a_row_other_messages_wait_too() -> None:
    """One that arrives opens the way again."""
    health = Health()
    for number in range(BREAKER):
        assert health.hold == 0.0
        health = health.after(FAILS, 100.0 + number, 8.0)
    assert (health.hold, health.word) == (102.0 + 8.0, "failing")
    assert health.after(DONE, 200.0, 0.0) == Health(delivered=200.0, sent=1, attempts=4)


def test_retry_after_holds_all_messages_at_once() -> None:
    """It is the receiver that is busy, not the message that is wrong."""
    assert Health().after(Outcome("retry", "it answered 429", after=30.0), 100.0, 30.0).hold == 130.0


def test_a_hopeless_receiver_and_one_that_failed_for_a_day_are_parked() -> None:
    """Each with its reason; freeing it begins anew."""
    assert Health().after(Outcome("hopeless", "it answered 401"), 1.0, 2.0).parked == "it answered 401"
    old = Health().after(FAILS, 0.0, 2.0).after(FAILS, GIVE_UP_S, 2.0)
    assert old.word == "parked"
    assert "24 hours" in old.parked
    assert old.freed().word == "ok"
    assert Health.from_json(old.to_json()) == old
