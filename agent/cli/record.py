"""``anfl-agent record``: the flight recorder's files."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Iterable
from typing import Any

import click

from agent import config as configuration
from agent.cli._output import print_json
from agent.cli.diagnose import Duration
from agent.errors import AgentError, Unavailable, UsageError
from agent.host.whole import whole

IMPORTS = "imports"


@click.group("record", short_help="the flight recorder's files")
def command() -> None:
    """List, check, carry away and thin out what the flight recorder wrote."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@click.pass_context
def list_(ctx: click.Context, as_json: bool) -> int:
    """Every file: time span, size, series, and why it ended. Imported ones come last."""
    reports = _reports(ctx)
    if as_json:
        print_json({"schema": "anfl.recording/1", "folder": _config(ctx).recording_dir, "files": [_plain(r) for r in reports]})
    else:
        for r in reports:
            click.echo(
                f"{_when(r.first)} - {_when(r.last, short=True)}  {_size(r.bytes):>9}  {r.series:>6} series  {_state(r)}  {r.path}"
            )
        total = sum(r.bytes for r in reports)
        click.echo(f"{len(reports)} files, {_size(total)}" if reports else "nothing is recorded yet")
    return 0


@command.command("verify")
@click.argument("paths", nargs=-1, type=click.Path(exists=True), metavar="[PATH]...")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@click.pass_context
def verify(ctx: click.Context, paths: tuple[str, ...], as_json: bool) -> int:
    """Read every record (or PATHs) and name what is damaged. Exit 1 if something is.

    The newest file is being written and may end without a goodbye; an older one that does was cut short by a kill or a power cut,
    which costs its last seconds and is no damage.
    """
    reports = _reports(ctx, paths)
    bad = [r for r in reports if any(not d.tail for d in r.damage) or not r.about]
    if as_json:
        print_json({"schema": "anfl.recording/1", "damaged": len(bad), "files": [_plain(r) for r in reports]})
    else:
        for r in reports:
            for d in r.damage:
                what = "torn tail" if d.tail else "damaged"
                click.echo(f"{r.path}: {what}: bytes {d.at} to {d.end} of {r.bytes}")
            if not r.about:
                click.echo(f"{r.path}: not a recording, or its head is damaged")
        click.echo(f"{len(reports)} files, {sum(r.samples for r in reports)} samples, {len(bad)} damaged")
    return 1 if bad else 0


@command.command("export")
@click.argument("path", type=click.Path())
@click.option("--since", required=True, help="From this moment on, such as 03:00, '2h ago' or 'incident 3'.")
@click.option("--until", default="now", show_default=True, help="Up to this moment.")
@click.option("--redact", is_flag=True, help="Put stand-ins in place of program, user, job, unit and container names.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@click.pass_context
def export(ctx: click.Context, path: str, since: str, until: str, redact: bool, as_json: bool) -> int:
    """Write a stretch of the recording to PATH: one file to mail, to 'record import' or to 'replay'."""
    from agent.cli._moments import moment_of
    from agent.store.export import export as write
    from agent.store.recording import Recording

    config = _config(ctx)
    low, high = moment_of("--since", since, config, "began"), moment_of("--until", until, config, "ended")
    if low >= high:
        raise UsageError("--since must lie before --until")
    made = write(Recording(config.recording_dir), path, low, high, redact=redact, host=socket.gethostname())
    if as_json:
        print_json({"schema": "anfl.export/1", "path": made.path, "bytes": made.bytes, "redacted": redact})
    else:
        click.echo(f"{made.path}: {_size(made.bytes)}")
    return 0


@command.command("import")
@click.argument("path", type=click.Path(exists=True, dir_okay=False))
@click.option("--name", help="Keep it under this name (default: the file's own).")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@click.pass_context
def import_(ctx: click.Context, path: str, name: str | None, as_json: bool) -> int:
    """Check an export and keep it beside the recording; read it with '--recording NAME'."""
    from agent.store.recording import report

    found = report(path)
    if not found.about or any(not d.tail for d in found.damage):
        raise AgentError(f"{path} is no intact recording", help=f"anfl-agent record verify {path}")
    chosen = name or os.path.basename(path).removesuffix(".rec")
    if not chosen or os.path.basename(chosen) != chosen or chosen.startswith("."):
        raise UsageError(f"'{chosen}' cannot be a name", help="a plain word without '/'")
    target = os.path.join(_config(ctx).recording_dir, IMPORTS, chosen + ".rec")
    try:
        os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
        with open(path, "rb") as source, whole(target, fresh=True, mode=0o600) as file:
            shutil.copyfileobj(source, file)
    except FileExistsError:
        raise UsageError(f"'{chosen}' is taken", help="choose another --name") from None
    except OSError as error:
        raise AgentError(
            f"cannot keep {target}: {error.strerror}", help="make room, or run as root or as the agent's user"
        ) from None
    if as_json:
        print_json({"schema": "anfl.import/1", "name": chosen, **_plain(report(target))})
    else:
        click.echo(f"{chosen}: {_when(found.first)} - {_when(found.last, short=True)}, {found.samples} samples")
    return 0


@command.command("prune")
@click.option("--keep", type=Duration(), help="Remove what is older than this (default: the configuration's recorder.keep).")
@click.option("--quota", help="Remove the oldest above this size, such as 500MiB (default: recorder.quota).")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@click.pass_context
def prune(ctx: click.Context, keep: float | None, quota: str | None, as_json: bool) -> int:
    """Remove old files now; the newest always stays."""
    from agent.flight import remove_old
    from agent.store.recording import Recording
    from agent.yamlfile import parse_bytes

    config = _config(ctx)
    try:
        most = config.recorder.quota if quota is None else parse_bytes(quota)
    except ValueError as error:
        raise UsageError(f"--quota: {error}") from None
    recording = Recording(config.recording_dir)
    before = recording.files()
    left = remove_old(before, time.time(), config.recorder.keep if keep is None else keep, most)
    gone = len(before) - len(recording.files())
    if as_json:
        print_json({"schema": "anfl.prune/1", "removed": gone, "bytes_left": int(left)})
    else:
        click.echo(f"{gone} files removed, {_size(left)} left")
    return 0


# ---------------------------------------------------------------------------------------------- helpers


def _config(ctx: click.Context) -> configuration.Config:
    return configuration.load(ctx.obj["config"])


def _reports(ctx: click.Context, paths: Iterable[str] = ()) -> list[Any]:
    from agent.store.recording import Recording, report

    folder = _config(ctx).recording_dir
    chosen = list(paths)
    if chosen:
        if empty := next((path for path in chosen if not Recording(path).files()), None):
            raise nothing(empty)
        return [r for path in chosen for r in Recording(path).verify()]
    kept = os.path.join(folder, IMPORTS)
    imported = sorted(os.listdir(kept)) if os.path.isdir(kept) else []
    return [*Recording(folder).verify(), *(report(os.path.join(kept, name)) for name in imported)]


def located(config: configuration.Config, named: str | None) -> str:
    """The folder or file that ``--recording`` means: none for the configured one, a path, or the name of an import."""
    if named is None:
        return config.recording_dir
    kept = os.path.join(config.recording_dir, IMPORTS, named + ".rec")
    if os.path.basename(named) == named and os.path.exists(kept):
        return kept
    if os.path.exists(named):
        return named
    raise UsageError(f"no recording '{named}'", help="a path, or a name that 'anfl-agent record list' shows under imports")


def nothing(path: str, otherwise: str = "nothing was recorded in that time") -> AgentError:
    """Why a recording told nothing: there is none, it is something else, or ``otherwise``. Exit 3: it could not be found out."""
    from agent.store.recording import Recording, report

    if not Recording(path).files():
        return Unavailable(f"no recording lies in {path}", help="see what there is: anfl-agent record list")
    if os.path.isfile(path) and not report(path).records:
        return Unavailable(f"{path} is not a recording, or damaged throughout", help=f"anfl-agent record verify {path}")
    return Unavailable(otherwise, help="see what there is: anfl-agent record list")


def _plain(r: Any) -> dict[str, Any]:
    return {
        "path": r.path,
        "bytes": r.bytes,
        "first": None if r.last < r.first else r.first,
        "last": None if r.last < r.first else r.last,
        "records": r.records,
        "samples": r.samples,
        "series": r.series,
        "ended": r.ended or None,
        "host": r.about.get("host"),
        "damage": [{"at": d.at, "end": d.end, "torn_tail": d.tail} for d in r.damage],
    }


def _state(r: Any) -> str:
    return "damaged" if any(not d.tail for d in r.damage) else f"{r.ended or 'open or cut':<11}"


def _when(moment: float, *, short: bool = False) -> str:
    if moment in (float("inf"), float("-inf")):
        return "-"
    return time.strftime("%H:%M:%S" if short else "%Y-%m-%d %H:%M:%S", time.localtime(moment))


def _size(size: float) -> str:
    return f"{size / 2**20:.1f} MiB" if size >= 2**20 else f"{size / 1024:.1f} KiB"
