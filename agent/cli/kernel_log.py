"""``anfl-agent kernel-log``: classify kernel-log text offline."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from agent import config as configuration
from agent.errors import ConfigError, Problems, UsageError

MOST_EVENTS = 200_000
"""Distinct events kept at once (some 200 MiB); what comes before is printed first, with its incidents numbered so far."""


@click.command("kernel-log", short_help="what kernel-log text says")
@click.argument("file", required=False, default="-", metavar="[FILE|-]")
@click.option("--trusted", is_flag=True, help="Only events proved to be the kernel's: records whose facility is the kernel's.")
@click.option("--json", "as_json", is_flag=True, help="One object a line for each event.")
@click.pass_context
def command(ctx: click.Context, file: str, trusted: bool, as_json: bool) -> int:
    """Classify kernel-log text: dmesg in any of its formats, syslog, journal (also -o json), records of /dev/kmsg.

    Reads FILE, or standard input. Events of one fault share the number of their incident. Text that does not say who wrote it has
    trusted null. Exit 0 if nothing was found, 1 if something was.

    \b
    Examples:
      dmesg | anfl-agent kernel-log
      journalctl -k -b -1 -o json | anfl-agent kernel-log --json --trusted
    """
    from agent import plugins
    from agent.engine.kernel import lines, reader, show
    from agent.host.text import clean

    try:
        tables = plugins.kernel_tables(configuration.load(ctx.obj["config"]))
    except Problems as wrong:
        wrong.exit_code = ConfigError.exit_code  # 1 means that something was found
        raise
    found, log = False, reader.Reader()

    def tell(everything: bool) -> bool:
        told = False
        for event in log.take(everything):
            if trusted and event.record.trusted is not True:
                continue
            told = True
            if as_json:
                click.echo(json.dumps(show.to_json(event, tables), ensure_ascii=True))
            else:
                click.echo(clean(show.line(event, tables), 500))
        return told

    with _opened(file) as text:
        for record in lines.records(text):
            log.feed(record)
            if log.waiting >= MOST_EVENTS:
                found = tell(False) or found
    found = tell(True) or found
    return 1 if found else 0


@contextmanager
def _opened(name: str) -> Iterator[Iterator[str]]:
    """Lines of the file; bytes that are not UTF-8 are kept apart, overlong lines are cut while they are read."""
    if name == "-":
        yield _lines(io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8", errors="replace", newline="\n"))
        return
    try:
        with open(name, encoding="utf-8", errors="replace", newline="\n") as file:
            yield _lines(file)
    except OSError as error:
        raise UsageError(
            f"cannot read '{name}': {error.strerror}", help="name a file with kernel-log text, or - for standard input"
        ) from None


def _lines(file: io.TextIOWrapper) -> Iterator[str]:
    from agent.engine.kernel.lines import MAX_LINE

    whole = True
    while line := file.readline(MAX_LINE):
        if whole:
            yield line
        whole = line.endswith("\n")
