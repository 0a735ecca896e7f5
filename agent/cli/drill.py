"""``anfl-agent drill``: start harmless faults and check that they are named."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click

from agent import data
from agent.cli._output import Progress, print_json
from agent.errors import UsageError

DAY_S = 86400
T = TypeVar("T")


@click.command("drill")
@click.option("--cases", type=click.Path(exists=True, file_okay=False), help="Folder of cases (default: the shipped ones).")
@click.option("--case", "ids", multiple=True, metavar="ID", help="Only this case; may be repeated.")
@click.option("--mode", type=click.Choice(["oneshot", "daemon"]), default="oneshot", show_default=True, help="Who diagnoses.")
@click.option("--runs", type=click.IntRange(1, 1000), default=1, show_default=True, help="Variants of each case to hold.")
@click.option("--sample", type=click.IntRange(1), metavar="N", help="Only N cases, others every day.")
@click.option("--seed", type=int, envvar="ANFL_DRILL_SEED", help="First variant (0: the case as written; with --sample: today's).")
@click.option("--retries", type=click.IntRange(0, 5), default=0, show_default=True, help="Hold a failed case this often again.")
@click.option("--keep", type=click.Path(file_okay=False), metavar="DIR", help="Keep what was answered and recorded there.")
@click.option("--list", "list_", is_flag=True, help="List the cases and end.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout (anfl.drill/1).")
@click.pass_context
def command(
    ctx: click.Context,
    cases: str | None,
    ids: tuple[str, ...],
    mode: str,
    runs: int,
    sample: int | None,
    seed: int | None,
    retries: int,
    keep: str | None,
    list_: bool,
    as_json: bool,
) -> int:
    """Start harmless faults one after the other, diagnose each, check that the right cause and culprit are named, clean up.

    Each case has generated variants: other names, files, rates, thread counts, Python versions and background load. What a case
    needs and this host lacks makes it skipped, with the reason.

    Exit codes: 0 all passed, 1 any failed, 3 all skipped.
    """
    from agent.drill import oneshot, runner, watchman
    from agent.drill.read import read_cases
    from agent.sim.script import GpuSimulator

    folder = Path(cases) if cases else data.folder("drills")
    chosen = read_cases(folder, ids)
    if not chosen:
        raise UsageError(f"no cases in {folder}", help="a case is a folder with a case.yaml")
    first = seed if seed is not None else int(time.time() // DAY_S) if sample else 0
    if sample is not None:
        chosen = runner.pick_sample(chosen, sample, first)
    if list_:
        if as_json:
            print_json({"schema": "anfl.drill-list/1", "cases": [{"id": c.id, "tree": c.tree, "title": c.title} for c in chosen]})
        else:
            click.echo("\n".join(f"{c.id:<24} {c.tree:<11} {c.title}" for c in chosen))
        return 0
    progress = Progress()
    progress(f"{len(chosen)} cases, {runs} run{'s' if runs > 1 else ''} each, first variant {first} (repeat with --seed {first})")
    diagnose = oneshot.diagnose
    report = _until_terminated(
        runner.run_drills(
            chosen,
            diagnose=diagnose,
            progress=progress,
            mode=mode,
            runs=runs,
            seed=first,
            retries=retries,
            watchman=watchman.running if mode == "daemon" else None,
            simulator=GpuSimulator(),
            keep=Path(keep) if keep else None,
        )
    )
    progress.done()
    if as_json:
        print_json(report.as_json())
        return report.exit_code
    for result in report.results:
        named = ", ".join(result.named) or "nothing"
        seconds = f"{result.seconds:5.1f} s" if result.seconds is not None else "       "
        again = f"  on try {result.tries}" if result.tries > 1 else ""
        why = f"  ({result.why})" if result.why else ""
        click.echo(f"{result.status:<7} {result.id:<24} {seconds}  named {named}{again}{why}")
    summary = report.summary()
    click.echo(
        f"\ntop-1 {summary['top1']} of {summary['faults']} faults, culprit right {summary['culprit_right']}, "
        f"false alarms {summary['false_alarms']} of {summary['controls']} controls, skipped {summary['skipped']}"
    )
    click.echo(f"{summary['passed']} passed, {summary['failed'] + summary['broken']} failed")
    return report.exit_code


def _until_terminated(held: Coroutine[Any, Any, T]) -> T:
    """What was held; SIGTERM ends it in order, as Ctrl-C does: no fault, and no agent, outlives its drill."""

    async def run() -> T:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await held

    try:
        return asyncio.run(run())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
