"""The daemon in the foreground, from its command line on: without click, which takes 1 MiB and 30 ms for three options."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from agent.errors import AgentError
from agent.host.text import clean

if TYPE_CHECKING:
    from agent.config import Config
    from agent.yamlnodes import Node

log = logging.getLogger("anfl.run")
CRASHED = 3


class OneLine(logging.Formatter):
    """One event, one line: whatever a message holds, it cannot forge another."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and below it the traceback of an exception of ours."""
        return clean(record.getMessage(), 2000) if record.exc_info is None else super().format(record)


def set_up_logging(verbose: int, journal: bool) -> None:
    """To standard error; journald adds time and unit itself."""
    handler = logging.StreamHandler(sys.stderr)
    prefix = "" if journal else "%(asctime)s %(levelname)-7s "

    class Lines(OneLine):
        def format(self, record: logging.LogRecord) -> str:
            record.asctime = self.formatTime(record)
            return prefix % vars(record) + super().format(record) if prefix else super().format(record)

    handler.setFormatter(Lines())
    logging.basicConfig(level=logging.DEBUG if verbose > 1 else logging.INFO, handlers=[handler])
    logging.getLogger("asyncio").setLevel(logging.INFO)


class Asked(NamedTuple):
    """The options of ``anfl-agent run``."""

    config: str | None = None
    verbose: int = 0
    listen: str | None = None
    insecure: bool = False


def asked(args: Sequence[str]) -> Asked | None:
    """``[--config FILE] [-v]... run [--listen ADDRESS] [--insecure]``, as click reads it; None for anything else, mistakes too."""
    config, verbose, listen, insecure, run = os.environ.get("ANFL_CONFIG") or None, 0, None, False, False
    rest = iter(args)
    for word in rest:
        name, given, value = word.partition("=")
        wanted = "--listen" if run else "--config"
        if name == wanted:
            value = value if given else next(rest, "-")
            if value.startswith("-"):
                return None
            config, listen = (config, value) if run else (value, listen)
        elif run and word == "--insecure":
            insecure = True
        elif not run and (word == "--verbose" or (word[:2] == "-v" and not word[1:].strip("v"))):
            verbose += 1 if word == "--verbose" else len(word) - 1
        elif not run and word == "run":
            run = True
        else:
            return None
    return Asked(config, verbose, listen, insecure) if run else None


def run(given: Asked) -> int:
    """Watch this host until SIGTERM; the exit code."""
    import gc

    from agent.host import heap, spare

    heap.frugal()
    spare.openssl()
    spare.rare()
    import asyncio

    from agent import config as configuration

    gc.disable()  # a tenth of the start's time; the daemon switches it on when it has settled
    config = configuration.load(given.config, parser=_parsed)
    set_up_logging(given.verbose, "JOURNAL_STREAM" in os.environ)
    return asyncio.run(_run(config, given.listen, given.insecure))


def _parsed(text: str, file: str) -> Node:
    """The configuration's nodes. A copy of this process reads them: the parser takes 2 MiB, and rules are mostly parsed before."""
    from agent import yamlcache
    from agent.config import state_home
    from agent.host.apart import apart
    from agent.yamlnodes import parse

    told = re.search(r"^state_dir: *(\S+)", text, re.MULTILINE)  # a guess: a wrong one costs 30 ms, or the 2 MiB
    folder = told[1] if told else state_home(os.environ, os.geteuid() == 0)
    found = None
    if os.path.exists(os.path.join(folder, yamlcache.FILE)):
        found = apart(lambda: yamlcache.flat(text, file).encode("utf-8", "surrogatepass"))
    return parse(text, file) if found is None else yamlcache.whole(found.decode("utf-8", "surrogatepass"), text, file)


async def _run(config: Config, listen: str | None, insecure: bool) -> int:
    from agent.daemon import Daemon

    try:
        await Daemon(config, listen=listen, insecure=insecure).run()
    except AgentError:
        raise
    except Exception:  # an organ may not fail: the service manager starts the agent anew
        log.critical("an organ of the agent failed; the agent ends", exc_info=True)
        return CRASHED
    return 0
