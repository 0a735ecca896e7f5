"""``anfl-agent diagnose``: find the root cause, now."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from typing import Any

import click

from agent import config as configuration
from agent.cli._output import Progress, colour, print_json
from agent.errors import AgentError, Refused, Unavailable, UsageError
from agent.yamlfile import parse_duration


class Duration(click.ParamType[float]):
    """``15s``, ``5m``, ``1h30m`` or plain seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Pid(click.IntRange):
    """The number of a process."""

    name = "pid"

    def __init__(self) -> None:
        super().__init__(1)


@click.command("diagnose")
@click.argument("trees", nargs=-1, metavar="[TREE]...")
@click.option("--pid", type=Pid(), help="The process that suffers (with its children).")
@click.option("--unit", help="The systemd unit that suffers.")
@click.option("--gpu", help="The GPU that suffers (index, UUID or PCI address).")
@click.option("--for", "for_s", type=Duration(), default="15s", show_default=True, help="How long it may sample.")
@click.option("--since", type=Duration(), help="Look back this far: with --at from there, else from now (needs a running agent).")
@click.option("--at", help="A moment of the recording: 03:12, 2026-11-23 03:12, '20m ago', 'incident 3' …")
@click.option("--recording", help="With --at: another recording: a folder, a file, or the name of an imported one.")
@click.option("--deep", is_flag=True, help="Allow longer looks: up to 60 s of drill-down instead of 15 s.")
@click.option("--gentle", is_flag=True, help="Attach no debugger to any process.")
@click.option("--local", is_flag=True, help="Do not ask the running agent; sample here.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout (anfl.diagnosis/1).")
@click.option("--plugin", is_flag=True, help="One line and exit codes of the monitoring-plugin convention.")
@click.option("-q", "--quiet", is_flag=True, help="No progress lines.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    as_json: bool,
    plugin: bool,
    quiet: bool,
    local: bool,
    at: str | None,
    recording: str | None,
    **asked: Any,
) -> int:
    """Name the root cause of what a process or the host suffers from, with evidence.

    TREE is one or more of the diagnosis trees (latency, memory, throughput, host …); without any, all are walked. Without --pid
    the busiest and fastest growing processes are looked at. The running agent is asked if there is one; else a short burst of
    samples is taken here.

    Exit codes: 0 nothing wrong, 1 something found, 2 usage error, 3 too little could be checked to say.
    """
    from agent.reports import terminal

    if sum(asked[key] is not None for key in ("pid", "unit", "gpu")) > 1:
        raise UsageError("name one of --pid, --unit and --gpu")
    if plugin and as_json:
        raise UsageError("--json and --plugin exclude each other", help="--plugin prints one line for a monitoring system")
    if recording is not None and at is None:
        raise UsageError("--recording needs --at", help="say which moment of it, such as --at 03:12")
    progress = Progress(quiet or as_json or plugin)
    config = configuration.load(ctx.obj["config"])
    request = {key: list(value) if isinstance(value, tuple) else value for key, value in asked.items()}
    try:
        if at is not None:
            diagnosis = _rewound(config, at, recording, asked, progress)
        elif (answer := None if local else _ask_daemon(config, request, progress)) is not None:
            diagnosis = answer
        else:
            diagnosis = asyncio.run(_burst(config, request, progress))
    finally:
        progress.done()
    if plugin:
        click.echo(terminal.plugin_line(diagnosis))
        return terminal.PLUGIN_EXIT[diagnosis["verdict"]]
    if as_json:
        print_json(diagnosis)
    else:
        columns = shutil.get_terminal_size((100, 40)).columns
        click.echo(terminal.render(diagnosis, colour=colour(), width=min(columns, 120)), nl=False)
    return terminal.exit_code(diagnosis)


def _rewound(config: configuration.Config, at: str, named: str | None, asked: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The diagnosis of a recorded moment."""
    from agent import past, plugins
    from agent.cli._moments import moment_of
    from agent.cli.record import located, nothing
    from agent.store.recording import Recording

    if asked["unit"] is not None or asked["gpu"] is not None:
        raise UsageError("--at looks at the whole host or one --pid", help="leave --unit and --gpu out")
    began = time.monotonic()
    moment = moment_of("--at", at, config)
    rules = plugins.rules_or_raise(plugins.installed(), config)
    recording = Recording(located(config, named))
    try:
        rewound = past.rewind(recording, rules, moment, asked["since"] or config.budget.history, progress)
    except Unavailable as empty:
        raise nothing(recording.folder, empty.message) from None
    return past.diagnose(rewound, rules, pid=asked["pid"], trees=asked["trees"], took_s=time.monotonic() - began)


def _ask_daemon(config: configuration.Config, request: dict[str, Any], progress: Progress) -> dict[str, Any] | None:
    """The daemon's answer, or None where none can be asked."""
    from agent.host import agentsock

    socket = configuration.reachable_socket(config)
    try:
        agentsock.reach(socket)
        return _answer(socket, request, progress)
    except (Unavailable, Refused) as none:
        if os.path.lexists(socket):
            progress(f"{none.message} ({socket}); sampling here instead")
        return None


def _answer(socket: str, request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    from agent.host import agentsock

    for line in agentsock.stream(socket, "/v1/diagnose", request):
        if "progress" in line:
            progress(line["progress"])
        elif "error" in line:
            error = line["error"]
            raise AgentError(error["message"], help=error.get("help", ""), exit_code=error.get("exit_code", 1))
        else:
            diagnosis: dict[str, Any] = line["diagnosis"]
            return diagnosis
    raise AgentError("the agent ended its answer early", help="see its log, or use --local", exit_code=3)


async def _burst(config: configuration.Config, request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    from agent import app

    agent = app.build(config, burst=True)
    try:
        return await agent.diagnose(app.Request(**{**request, "trees": tuple(request["trees"])}), progress)
    finally:
        agent.close()
