"""The command ``anfl-agent``: one command = one file of this folder, imported only when it is chosen."""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
from typing import Any

import click

from agent import __version__
from agent.cli._output import fail, stdout_trouble, unexpected
from agent.errors import AgentError

READER_GONE = 141  # as a program that SIGPIPE ends: whoever reads us has left, and no other code would be true

SHORT = {
    "playbooks": "what could be done on this host, to what, and why not",
    "pause": "keep playbooks from acting for a while",
    "deny": "refuse what a playbook proposes",
    "audit": "who decided and did what, and whether the record is whole",
    "approve": "agree to what a playbook proposes",
    "alerts": "what was told to whom, and whether messages arrive",
    "config": "check, show or write the configuration",
    "diagnose": "find the root cause, now",
    "doctor": "what works on this host, what does not, and how to mend it",
    "drill": "start harmless faults and check that they are named",
    "kernel-log": "what kernel-log text says of GPUs, memory, disks and links",
    "files": "list or copy the files that ship with the agent",
    "incidents": "what is or was wrong on this host: list, show, acknowledge, comment, assign, close",
    "record": "the flight recorder's files: list, verify, export, import, prune",
    "replay": "a recording under these or other rules",
    "report": "an incident, a day, a week or a month, to read, print and mail",
    "rules": "check, test, list and explain the diagnosis trees",
    "run": "run the agent in the foreground",
    "sim": "simulated GPUs for any NVML client",
    "silence": "keep alerts from being told for a while",
    "status": "what the running agent sees",
}


class Commands(click.Group):
    """Finds commands by file name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands."""
        found = pkgutil.iter_modules(sys.modules[__name__].__path__)
        return sorted(m.name.replace("_", "-") for m in found if not m.name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command's file."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = importlib.import_module(f"{__name__}.{cmd_name.replace('-', '_')}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List commands without importing them: ``--help`` answers at once."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, SHORT.get(name, "")) for name in self.list_commands(ctx)])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Add did-you-mean to an unknown command."""
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in self.list_commands(ctx):
            import difflib

            close = difflib.get_close_matches(name, self.list_commands(ctx), 1)
            hint = f"; did you mean '{close[0]}'?" if close else ""
            raise click.UsageError(f"no command '{name}'{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="anfl-agent")
@click.option(
    "--config", "config_path", type=click.Path(readable=False), envvar="ANFL_CONFIG", help="Configuration file.", metavar="FILE"
)
@click.option("-v", "--verbose", count=True, help="More log lines (twice: debug).")
@click.pass_context
def cli(ctx: click.Context, config_path: str | None, verbose: int) -> None:
    """Node health from symptom to root cause: the line, device or process to blame, with evidence.

    Exit codes: 0 nothing wrong, 1 something found (or a check failed), 2 usage or configuration error, 3 too little could be
    checked to say.
    """
    ctx.obj = {"config": config_path, "verbose": verbose}


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit with its code; every error is one clear message, never a traceback."""
    args = sys.argv[1:] if argv is None else argv
    try:
        code = _run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        code = READER_GONE
        _forget_stdout()
    except OSError as error:
        _forget_stdout()
        code = fail(AgentError(f"cannot write: {error.strerror}", help="make room, or send the output elsewhere", exit_code=3), [])
    sys.exit(code)


def _run(args: list[str]) -> int:
    """The exit code of one command; whatever goes wrong has been told. OSError only where stdout cannot be written."""
    error: AgentError
    try:
        code: Any = cli.main(args, prog_name="anfl-agent", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as done:
        return done.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except click.exceptions.NoArgsIsHelpError as empty:
        empty.show()
        return empty.exit_code
    except click.ClickException as wrong:
        context = wrong.ctx.command_path if isinstance(wrong, click.UsageError) and wrong.ctx else "anfl-agent"
        error = AgentError(wrong.format_message(), help=f"see '{context} --help'", exit_code=2)
    except AgentError as known:
        error = known
    except Exception as wrong:
        if stdout_trouble(wrong):
            raise
        error = unexpected(wrong, verbose=any(arg in ("-v", "-vv", "--verbose") for arg in args))
    return fail(error, args)


def _forget_stdout() -> None:
    """Nothing more is written there, so that the interpreter's own last flush does not complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
