"""Tests of agent.web._lean: the served half of aiohttp without the other."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def said(code: str) -> list[str]:
    """What a fresh interpreter prints."""
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT).stdout.split()


@pytest.mark.real
def test_the_client_is_there_for_whoever_asks_and_for_nobody_else() -> None:
    """Serving imports none of it; its first name brings all of it, the same names as a plain import."""
    plain = said("import aiohttp; print(aiohttp.__version__, *sorted(n for n in vars(aiohttp) if not n.startswith('_')))")
    lean = said(
        "import sys, agent.web.server, aiohttp\n"
        "print('aiohttp.client' in sys.modules, aiohttp.__version__)\n"
        "from aiohttp import ClientSession, hdrs, web\n"
        "assert issubclass(aiohttp.ClientConnectionError, aiohttp.ClientError) and ClientSession is aiohttp.ClientSession\n"
        "print(aiohttp.__version__, *sorted(n for n in vars(aiohttp) if not n.startswith('_')))\n"
    )
    assert lean[:2] == ["False", plain[0]]
    assert lean[2] == plain[0]
    assert set(plain) <= set(lean)


@pytest.mark.real
def test_a_package_that_is_there_already_is_left_alone() -> None:
    """Whoever imported aiohttp before keeps what it has, and a name that nobody has is an error as ever."""
    code = "import aiohttp, sys\nbefore = aiohttp\nimport agent.web\nassert sys.modules['aiohttp'] is before\n"
    assert said(code + "print(hasattr(aiohttp, 'nothing'), 'web' in vars(aiohttp))") == ["False", "True"]
    assert said("import agent.web, aiohttp; print(hasattr(aiohttp, '__nothing__'), hasattr(aiohttp, 'nothing'))") == ["False"] * 2
