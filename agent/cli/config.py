"""``anfl-agent config``: check, show, init."""

from __future__ import annotations

import os
from pathlib import Path

import click

from agent import config as configuration
from agent import configtext
from agent.cli._output import print_json
from agent.errors import AgentError
from agent.host.whole import whole


@click.group("config")
def command() -> None:
    """Check, show or write the configuration."""


@command.command()
@click.argument("path", required=False)
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@click.pass_context
def check(ctx: click.Context, path: str | None, as_json: bool) -> None:
    """Read the configuration (or PATH) exactly as a start would; all mistakes at once, exit code 2 if there are any."""
    from agent import plugins
    from agent.web.server import parse_listen

    config = configuration.load(path or ctx.obj["config"])
    plugins.check(config)
    parse_listen(config.listen, insecure=True)  # a start may be told that it is meant
    if as_json:
        print_json({"schema": "anfl.config-check/1", "path": config.path or None, "ok": True})
    else:
        click.echo(f"{config.path or 'no configuration file; the defaults'}: ok")


@command.command()
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@click.pass_context
def show(ctx: click.Context, as_json: bool) -> None:
    """Print the configuration in force, defaults included. Receivers may hold secrets and are only counted."""
    config = configuration.load(ctx.obj["config"])
    shown = configtext.show(config)
    shown["path"] = config.path or None
    if as_json:
        print_json({"schema": "anfl.config/1", **shown})
        return
    click.echo(f"# from {config.path or 'the defaults: no configuration file was found'}")
    del shown["path"]
    for key, value in shown.items():
        _line(key, value, 0)


def _line(key: str, value: object, depth: int) -> None:
    indent = "  " * depth
    if isinstance(value, dict) and value:
        click.echo(f"{indent}{key}:")
        for inner, item in value.items():
            _line(inner, item, depth + 1)
    else:
        text = '""' if value == "" else str(value)
        click.echo(f"{indent}{key}: {text}")


@command.command()
@click.argument("path", required=False)
@click.option("--force", is_flag=True, help="Replace an existing file.")
def init(path: str | None, force: bool) -> None:
    """Write a commented configuration file (default: the place where it is looked for)."""
    home = os.environ.get("XDG_CONFIG_HOME") or str(Path(os.environ.get("HOME", "/")) / ".config")
    default = Path("/etc/anfl-agent/config.yaml") if os.geteuid() == 0 else Path(home) / "anfl-agent/config.yaml"
    target = Path(path) if path else default
    if target.exists() and not force:
        raise AgentError(f"{target} exists", help="--force replaces it")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole(str(target)) as file:
            file.write(configtext.TEMPLATE.encode())
    except OSError as error:
        raise AgentError(f"cannot write {target}: {error.strerror}", help="name another path") from None
    click.echo(str(target))
