"""Looks and answers as events, there and back."""

from __future__ import annotations

from agent.engine import looks
from agent.engine.walk import ProbeKey
from agent.model import Artifact, Culprit, Event, Evidence, labels

SEEN = Evidence(
    "memray",
    answers={"leak_share": 0.93, "verdict": "leak", "native_share": None},
    culprits={"leak_share": (Culprit("code", "remember", file="/srv/app.py", line=42, share=0.93),)},
    says={"leak_share": "93 % from one line"},
    artifacts=(Artifact("report", "/var/x.html"),),
    took_s=9.6,
    target_pause_s=0.4,
)
KEY = ProbeKey("memray", 7, (("seconds", 8.0),), "")


def test_a_look_comes_back_as_it_was() -> None:
    """Answers, culprits, words and cost."""
    assert looks.answers([looks.event(KEY, SEEN, 10.0)]) == {KEY: SEEN}


def test_of_equal_looks_the_newest_counts() -> None:
    """An older one is what was, not what is."""
    other = Evidence("memray", answers={"leak_share": 0.1})
    assert looks.answers([looks.event(KEY, SEEN, 10.0), looks.event(KEY, other, 20.0)]) == {KEY: other}


def test_a_look_that_cannot_be_read_is_left_out() -> None:
    """A recording may come from anywhere."""
    for text in ("", "{", "[]", '{"settings": 1}', '{"settings": [], "entity": "", "evidence": {"nonsense": 1}}'):
        assert looks.answers([Event(1.0, looks.LOOK, labels(probe="memray"), text)]) == {}


def test_a_refusal_does_not_hide_what_was_seen_before() -> None:
    """Shortly after a look the next one is refused; where there was none, the reason stands."""
    refused = Evidence("memray", because="looked at already")
    assert looks.answers([looks.event(KEY, SEEN, 10.0), looks.event(KEY, refused, 20.0)]) == {KEY: SEEN}
    assert looks.answers([looks.event(KEY, refused, 20.0)]) == {KEY: refused}
