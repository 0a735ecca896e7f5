"""``anfl-agent report``: one incident, or a day, a week, a month, written for people."""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING, Any

import click

from agent import config as configuration
from agent.cli._output import Progress
from agent.errors import AgentError, UsageError
from agent.host.whole import whole

if TYPE_CHECKING:
    from agent.model import JsonObject
    from agent.reports.case import Sources
    from agent.reports.document import Document

FORMATS = ("md", "html", "json")
ENDINGS = {".md": "md", ".markdown": "md", ".html": "html", ".htm": "html", ".json": "json"}

SAYS = "health, incidents, error rates, utilisation, trends with a forecast, the agent's own cost."
FAILS = "2 usage error, 3 the state file could not be read"

form = click.option("--format", "form", type=click.Choice(FORMATS), help="Default: by the name of FILE, else md.")
as_json = click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
output = click.option("-o", "--output", type=click.Path(dir_okay=False), metavar="FILE", help="Write to FILE instead of stdout.")
named = click.option("--recording", help="Another recording: a folder, a file, or the name of an imported one.")
quietly = click.option("-q", "--quiet", is_flag=True, help="No progress lines.")


@click.group("report")
def command() -> None:
    """Reports to read, print and mail: of one incident, or of a day, a week or a month.

    They are made here, not by the running agent: from its state file and its recording, which are only read. Secrets are masked.
    HTML is one file without scripts, with charts where matplotlib is installed (pip install 'anfl-agent[report]').
    """


@command.command("incident")
@click.argument("number", type=click.IntRange(1), metavar="NUMBER")
@form
@as_json
@output
@named
@quietly
@click.pass_context
def incident(
    ctx: click.Context, number: int, form: str | None, as_json: bool, output: str | None, recording: str | None, quiet: bool
) -> int:
    """One incident: impact, timeline, root cause with evidence, what was ruled out and done, what remains to be asked.

    Exit codes: 0 the report was made, 2 there is no such incident, 3 the state file could not be read.
    """
    from agent.reports import artifacts, case, case_document
    from agent.store.state import looked

    config = configuration.load(ctx.obj["config"])
    shape, progress = _form(form, as_json, output), Progress(quiet)
    found = looked(config.state_path, lambda at: case.of_state(at, number))
    try:
        told = case.report(found, _sources(config, recording), progress=progress)
    finally:
        progress.done()
    keep = artifacts.within(config.artifacts_dir)
    _write(told, shape, output, lambda: case_document.document(told, keep))
    return 0


def _period(name: str) -> click.Command:
    @click.command(name, help=f"The {name} up to now, or up to --until: {SAYS}\n\nExit codes: 0 the report was made, {FAILS}.")
    @click.option("--until", default="now", show_default=True, help="Its end, such as '2026-11-23 00:00' or '2h ago'.")
    @form
    @as_json
    @output
    @named
    @quietly
    @click.pass_context
    def made(
        ctx: click.Context, until: str, form: str | None, as_json: bool, output: str | None, recording: str | None, quiet: bool
    ) -> int:
        from agent.cli._moments import moment_of
        from agent.reports import period, period_document
        from agent.store.state import looked

        config = configuration.load(ctx.obj["config"])
        shape, progress, end = _form(form, as_json, output), Progress(quiet), moment_of("--until", until, config, "ended")
        found = looked(config.state_path, period.of_state) if recording is None else None
        try:
            told = period.report(found, _sources(config, recording), name, end, progress)
        finally:
            progress.done()
        _write(told, shape, output, lambda: period_document.document(told))
        return 0

    return made


for _name in ("day", "week", "month"):
    command.add_command(_period(_name))


def _sources(config: configuration.Config, recording: str | None) -> Sources:
    from agent import plugins
    from agent.cli.record import located
    from agent.reports.case import Sources
    from agent.reports.history import host_of
    from agent.store.recording import Recording

    installed = plugins.installed()
    rules, _ = plugins.read_rules(installed, config)
    metrics = installed.catalog().metrics
    read = Recording(located(config, recording))
    host = (host_of(read) if recording else "") or socket.gethostname()
    return Sources(read, rules, metrics, host, config.state_path)


def _form(form: str | None, as_json: bool, output: str | None) -> str:
    if as_json:
        if form not in (None, "json"):
            raise UsageError(f"--json and --format {form} contradict each other")
        return "json"
    return form or ENDINGS.get(os.path.splitext(output or "")[1].lower(), "md")


def _write(told: JsonObject, form: str, output: str | None, document: Any) -> None:
    """The report in its form, on stdout or into a file that stands whole or not at all."""
    if form == "json":
        text = json.dumps(told, indent=2, ensure_ascii=True, allow_nan=False) + "\n"
    else:
        text = _rendered(document(), form)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        with whole(output) as file:
            file.write(text.encode())
    except OSError as error:
        raise AgentError(f"cannot write {output}: {error.strerror}", help="name another --output") from None


def _rendered(document: Document, form: str) -> str:
    from agent.reports import charts, html, markdown

    if form == "md":
        return markdown.markdown(document)
    if not charts.available():
        click.echo(f"anfl-agent: {charts.MEND}", err=True)
    return html.page(document)
