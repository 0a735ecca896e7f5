"""``anfl-agent playbooks``: what could be done on this host, to what, and why not."""

from __future__ import annotations

from typing import Any

import click

from agent import config as configuration
from agent.cli._agent import get, post
from agent.cli._output import print_json
from agent.errors import UsageError
from agent.host.text import clean

as_json = click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
reason = click.option("--reason", "-m", default="", help="Why; it stands in the audit.")
run_number = click.argument("number", type=click.IntRange(1), metavar="RUN")


@click.group("playbooks")
def command() -> None:
    """Remediation playbooks: what the agent could do about what it finds, under guard.

    Nothing is done as installed: the host's ceiling is dry-run and no playbook allows a target. docs/playbooks.md shows the way
    from there to automatic, step by step.
    """


@command.command("list")
@as_json
@click.pass_context
def list_(ctx: click.Context, as_json: bool) -> int:
    """Every playbook with the mode in force, and runs that wait or work. Exit 1 if one waits for a person."""
    told = get(ctx, "/v1/playbooks")
    waiting = [r for r in told["runs"] if r["phase"] == "proposed" and r["mode"] == "propose"]
    if as_json:
        print_json(told)
        return 1 if waiting else 0
    click.echo(f"ceiling {told['ceiling']}" + "".join(f" · {_switch(name, v)}" for name, v in told["switches"].items()))
    for one in told["playbooks"]:
        allowed = f"{len(one['allow'])} allowed" if one["allow"] else "allows no target yet"
        click.echo(f"{one['id']:<24} {one['in_force']:<8} {one['class']:<11} {allowed:<22} {one['title']}")
    for run in told["runs"]:
        if run["phase"] in ("proposed", "approved", "reserved", "intent", "result", "verifying", "ambiguous"):
            click.echo(_run(run))
    for run in waiting:
        click.echo(f"  anfl-agent approve {run['id']}   or   anfl-agent deny {run['id']} --reason …")
    return 1 if waiting else 0


@command.command("show")
@click.argument("name")
@as_json
@click.pass_context
def show(ctx: click.Context, name: str, as_json: bool) -> int:
    """One playbook: for which causes, on what, how often, what it does, how success is known."""
    one = _shelf(ctx).get(name)
    if one is None:
        raise UsageError(f"there is no playbook '{name}'", help="'anfl-agent playbooks list' shows them")
    told = _whole(one, configuration.load(ctx.obj["config"]).playbooks.ceiling)
    if as_json:
        print_json({"schema": "anfl.playbook/1", **told})
    else:
        for key, value in told.items():
            click.echo(f"{key:<12} {clean(value if isinstance(value, str) else _words(value), 400)}")
    return 0


@command.command("check")
@as_json
@click.pass_context
def check(ctx: click.Context, as_json: bool) -> int:
    """Read all playbooks, the shipped ones and playbooks.d, as the agent would. Every mistake at once."""
    shelf = _shelf(ctx)
    if as_json:
        print_json({"schema": "anfl.playbooks-check/1", "playbooks": len(shelf)})
    else:
        click.echo(f"{len(shelf)} playbooks: ok")
    return 0


@command.command("run")
@click.argument("name")
@click.option("--incident", "-i", type=click.IntRange(1), required=True, help="For which open incident.")
@click.option("--dry-run", is_flag=True, required=True, help="Only say what would be done, and whether it might.")
@as_json
@click.pass_context
def run(ctx: click.Context, name: str, incident: int, dry_run: bool, as_json: bool) -> int:
    """What a playbook would do about an incident now, and every reason why it may not. Exit 1 if it may not."""
    told = post(ctx, "/v1/playbook", {"verb": "weigh", "playbook": name, "incident": incident})
    if as_json:
        print_json(told)
    else:
        click.echo(clean(f"would: {told['plan']}", 400))
        for why in told["reasons"]:
            click.echo(clean(f"not now: {why}", 400))
        if told["go"]:
            click.echo("the guard would let it go")
    return 0 if told["go"] else 1


@command.command("history")
@as_json
@click.pass_context
def history(ctx: click.Context, as_json: bool) -> int:
    """What was proposed, refused and done, oldest first."""
    told = get(ctx, "/v1/playbooks")
    if as_json:
        print_json({"schema": "anfl.playbook-runs/1", "runs": told["runs"]})
    else:
        click.echo("\n".join(map(_run, told["runs"])) or "nothing yet")
    return 0


@command.command("undo")
@run_number
@as_json
@click.pass_context
def undo(ctx: click.Context, number: int, as_json: bool) -> int:
    """Take back what a run that is over did, as far as that can be."""
    told = post(ctx, "/v1/playbook", {"verb": "undo", "id": number}, timeout=300.0)
    if as_json:
        print_json(told)
    else:
        click.echo(clean("; ".join(told["done"]) or "nothing of it can be taken back", 400))
    return 0


@command.command("reset")
@click.option("--lost-state", is_flag=True, help="Accept instead that the record of what was done is lost.")
@reason
@as_json
@click.pass_context
def reset(ctx: click.Context, lost_state: bool, reason: str, as_json: bool) -> int:
    """Close the breaker after too many or vain actions. What was proposed meanwhile is not done later."""
    told = post(ctx, "/v1/playbook", {"verb": "fresh" if lost_state else "reset", "reason": reason})
    print_json(told) if as_json else click.echo("accepted" if lost_state else "the breaker is closed")
    return 0


# ---------------------------------------------------------------------------------------------- helpers


def _shelf(ctx: click.Context) -> Any:
    from agent import acting, plugins

    config = configuration.load(ctx.obj["config"])
    return acting.read(config, plugins.rules_or_raise(plugins.installed(), config).causes).playbooks


def _whole(one: Any, ceiling: Any) -> dict[str, Any]:
    import dataclasses

    from agent.remedy.answers import summary

    told = summary(one, ceiling)
    told["steps"] = [{"do": str(s.do), **dict(one.settings(s))} for s in one.steps]
    told["needs"] = {"confidence": one.needs.confidence, "max_age_s": one.needs.max_age, "data": one.needs.data}
    told["limits"] = dataclasses.asdict(one.limits)
    told["approval"] = dataclasses.asdict(one.approval)
    told["verify"] = dataclasses.asdict(one.verify)
    return told


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_words(v)}" for k, v in value.items())
    if isinstance(value, list):
        return "; ".join(map(_words, value)) or "none"
    return "none" if value is None else str(value)


def _switch(name: str, value: dict[str, Any]) -> str:
    return clean({"pause": "paused", "breaker": "breaker open"}.get(name, name) + f": {value.get('why', '')}", 200)


def _run(run: dict[str, Any]) -> str:
    target = run["target"]
    whom = target.get("unit") or (
        f"{target.get('name')} pid {target['pid']}" if "pid" in target else target.get("name") or target["kind"]
    )
    why = f": {run['reason']}" if run["reason"] else ""
    return clean(
        f"{run['created']}  run {run['id']}  {run['playbook']} for incident {run['incident']} on {whom}  {run['phase']}{why}", 400
    )
