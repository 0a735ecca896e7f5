"""``anfl-agent replay``: a recording under these or other rules."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import click

from agent import config as configuration
from agent.cli._output import Progress, print_json
from agent.cli.record import located, nothing
from agent.errors import UsageError
from agent.host.text import clean

WEEK_S = 7 * 86400.0


@click.command("replay", short_help="a recording under these or other rules")
@click.argument("recording", required=False)
@click.option("--rules", "rules_dir", type=click.Path(exists=True, file_okay=False), help="Judge with these rules instead.")
@click.option("--compare", nargs=2, type=click.Path(exists=True, file_okay=False), metavar="OLD NEW", help="Two folders of rules.")
@click.option("--from", "since", default="1h ago", show_default=True, help="From this moment on, such as 03:00.")
@click.option("--to", "until", default="now", show_default=True, help="Up to this moment.")
@click.option("--speed", type=click.FloatRange(0), default=0.0, help="Seconds of recording a second; 0: as fast as it goes.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout (anfl.replay/1).")
@click.option("-q", "--quiet", is_flag=True, help="No progress lines.")
@click.pass_context
def command(
    ctx: click.Context,
    recording: str | None,
    rules_dir: str | None,
    compare: tuple[str, str] | None,
    since: str,
    until: str,
    speed: float,
    as_json: bool,
    quiet: bool,
) -> int:
    """Live a recording again: which symptoms would fire, and what would be named for them.

    RECORDING is a file, a folder or the name of an imported one; without it, this host's own. Looks (py-spy, memray …) count as
    they were recorded; what was not looked at then stays unknown. With --compare: what a change of rules adds, loses, renames.

    Exit codes: 0 nothing found (or no change), 1 something found (or changed), 2 usage error, 3 nothing recorded.
    """
    from agent import replay
    from agent.cli._moments import moment_of
    from agent.store.recording import Recording

    if rules_dir and compare:
        raise UsageError("--rules and --compare exclude each other")
    config = configuration.load(ctx.obj["config"])
    found = Recording(located(config, recording))
    low, high = _span(
        found,
        moment_of("--from", since, config, "began"),
        moment_of("--to", until, config, "ended"),
        given=recording is not None and since == "1h ago",
    )
    folders = {"old": compare[0], "new": compare[1]} if compare else {"rules": rules_dir or config.rules_dir}
    progress = Progress(quiet or as_json)
    try:
        rules = {name: _rules(config, folder) for name, folder in folders.items()}
        players = replay.play(found, rules, low, high, history=config.budget.history, speed=speed, progress=progress)
    finally:
        progress.done()
    if not any(p.rounds for p in players.values()):
        raise nothing(found.folder)
    if compare:
        return _tell_changes(replay.compare(players["old"].findings, players["new"].findings), high - low, as_json)
    return _tell(players["rules"], as_json)


def _span(recording: Any, low: float, high: float, *, given: bool) -> tuple[float, float]:
    """An export or import is played whole unless a span was asked for."""
    if not given:
        if low >= high:
            raise UsageError("--from must lie before --to")
        return low, high
    reports = [r for r in recording.verify() if r.last >= r.first]
    return (min(r.first for r in reports) - 1, max(r.last for r in reports)) if reports else (low, high)


def _rules(config: configuration.Config, folder: str) -> Any:
    from agent import plugins

    return plugins.rules_or_raise(plugins.installed(), dataclasses.replace(config, rules_dir=folder))


def _tell(player: Any, as_json: bool) -> int:
    if as_json:
        findings, asked = ([_plain(f) for f in found] for found in (player.findings, player.asked))
        print_json({"schema": "anfl.replay/1", "rounds": player.rounds, "findings": findings, "asked": asked})
    else:
        for f in sorted((*player.findings, *player.asked), key=lambda f: f.time):
            where = " ".join(f"{k}={v}" for k, v in f.labels) or "host"
            live = {None: "", True: " · as live", False: " · live named otherwise"}[f.agrees]
            what = f"{f.severity.word:<8}  {f.tree}" if f.tree else f"{'asked':<8} "
            click.echo(clean(f"{_when(f.time)}  {what} {where}: {f.root or 'no cause named'}{live}", 400))
        answered = f", {len(player.asked)} questions answered again" if player.asked else ""
        click.echo(f"{player.rounds} rounds, {len(player.findings)} symptoms fired{answered}")
    return 1 if player.findings else 0


def _plain(finding: Any) -> dict[str, Any]:
    """As JSON; a question of somebody has no tree. The live answer is there where it was another."""
    return {
        "time": finding.time,
        "tree": finding.tree or None,
        "labels": dict(finding.labels),
        "severity": finding.severity.word,
        "root": finding.root or None,
        "agrees_with_live": finding.agrees,
        "diagnosis": finding.diagnosis,
        "live": finding.live if finding.agrees is False else None,
    }


def _tell_changes(changes: list[Any], span: float, as_json: bool) -> int:
    kinds = {kind: sum(c.kind == kind for c in changes) for kind in ("added", "lost", "renamed")}
    per_week = {kind: round(count * WEEK_S / span, 1) for kind, count in kinds.items()}
    if as_json:
        listed = [{**dataclasses.asdict(c), "labels": dict(c.labels)} for c in changes]
        print_json({"schema": "anfl.replay-compare/1", "counts": kinds, "per_week": per_week, "changes": listed})
    else:
        for c in changes:
            where = " ".join(f"{k}={v}" for k, v in c.labels) or "host"
            names = f"{c.before or 'none'} -> {c.after or 'none'}"
            click.echo(clean(f"{_when(c.time)}  {c.kind:<8} {c.tree} {where}: {names}", 400))
        click.echo(", ".join(f"{kind} {kinds[kind]} ({per_week[kind]:g} a week)" for kind in kinds))
    return 1 if changes else 0


def _when(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))
