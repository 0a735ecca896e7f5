"""A child that is asked in lines of JSON, and what becomes of questions when it dies."""

from __future__ import annotations

import asyncio
import sys

import pytest

from agent.errors import Unavailable
from agent.host import talker
from agent.host.talker import Ended

ECHO = "import sys, json\nfor l in sys.stdin:\n q = json.loads(l)\n if q.get('say') != 'nothing': print(json.dumps(q), flush=True)"


async def test_answers_find_their_questions() -> None:
    """Several may be out."""
    child = await talker.start([sys.executable, "-c", ECHO], {})
    try:
        answers = await asyncio.gather(*(child.ask({"say": n}) for n in range(5)))
        assert [a["say"] for a in answers] == [0, 1, 2, 3, 4]
        assert (child.alive, child.out) == (True, 0)
    finally:
        await child.kill()
    assert not child.alive
    with pytest.raises(Ended):
        await child.ask({})


async def test_one_that_dies_answers_all_who_wait() -> None:
    """They are told that it ended; one that talks nonsense is ended."""
    child = await talker.start([sys.executable, "-c", ECHO], {})
    waiting = asyncio.ensure_future(child.ask({"say": "nothing"}))
    await child.ask({"say": "something"})
    await child.kill()
    with pytest.raises(Ended):
        await waiting
    liar = await talker.start([sys.executable, "-c", "print('no json', flush=True); input(); input()"], {})
    with pytest.raises(Ended):
        await liar.ask({})
    await liar.kill()


async def test_a_program_that_is_not_there_is_said() -> None:
    """Not a traceback."""
    with pytest.raises(Unavailable, match="cannot be started"):
        await talker.start(["/nowhere/at/all"], {})
