"""Reading what the real command answered."""

from __future__ import annotations

import json

import pytest

from agent.drill.oneshot import _split, read_answer
from agent.errors import AgentError
from agent.host.run import Completed


def done(rc: int, out: str, err: str = "", timed_out: bool = False) -> Completed:
    """A program that ended so."""
    return Completed(rc, out.encode(), err.encode(), 1.0, 0.1, timed_out)


def test_a_diagnosis_is_handed_on() -> None:
    """Found something is no error."""
    assert read_answer(done(1, '{"schema": "anfl.diagnosis/1", "causes": []}'))["causes"] == []


@pytest.mark.parametrize(
    ("completed", "says"),
    [
        (done(2, json.dumps({"schema": "anfl.error/1", "message": "no process 7"})), "no process 7"),
        (done(1, "", "Traceback\nKeyError: 'x'"), "KeyError"),
        (done(-9, "", timed_out=True), "no answer"),
        (done(2, '{"schema": "anfl.diagnosis/1"}'), "exit 2"),
    ],
)
def test_everything_else_is_an_error_with_its_reason(completed: Completed, says: str) -> None:
    """The command's own message is kept."""
    with pytest.raises(AgentError, match=says):
        read_answer(completed)


def test_the_configuration_is_taken_out_of_the_arguments() -> None:
    """It is handed over by the environment, wherever it stands."""
    assert _split(["--pid", "1", "--config", "f", "--json"]) == ("f", ["--pid", "1", "--json"])
    assert _split(["--json"]) == (None, ["--json"])
