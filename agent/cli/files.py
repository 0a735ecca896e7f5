"""``anfl-agent files``: the shipped rules, units, dashboards, drills and samples."""

from __future__ import annotations

from pathlib import Path

import click

from agent import data
from agent.cli._output import print_json
from agent.errors import AgentError, UsageError
from agent.host.whole import whole
from agent.yamlfile import did_you_mean

FEW = 5
"""So many names fit into a line."""


@click.command("files")
@click.argument("names", nargs=-1)
@click.option("--to", type=click.Path(file_okay=False), help="Copy the named files (or folders) here instead of printing them.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
def command(names: tuple[str, ...], to: str | None, as_json: bool) -> None:
    """List the files that ship with the agent; with NAMES print one, or copy them with --to."""
    known = data.files()
    if not names:
        if as_json:
            print_json({"schema": "anfl.files/1", "root": str(data.root()), "files": known})
        else:
            click.echo("\n".join(known))
        return
    chosen = [f for f in known if any(f == n or f.startswith(n.rstrip("/") + "/") for n in names)]
    for name in names:
        if not any(f == name or f.startswith(name.rstrip("/") + "/") for f in known):
            raise UsageError(f"no shipped file '{name}'", help=did_you_mean(name, known) or "'anfl-agent files' lists them")
    if to is None and len(chosen) > 1:
        few = f" ({', '.join(chosen)})" if len(chosen) <= FEW else ""
        raise UsageError(f"{len(chosen)} files match", help=f"name one{few}, or copy them with --to DIR")
    for name in chosen:
        source = data.root() / name
        if to is None:
            click.echo(source.read_text(encoding="utf-8"), nl=False)
            continue
        target = Path(to) / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with whole(str(target)) as file:
                file.write(source.read_bytes())
        except OSError as error:
            raise AgentError(f"cannot write {target}: {error.strerror}", help="choose another folder with --to") from None
        click.echo(str(target))
