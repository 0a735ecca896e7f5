"""``anfl-agent status``: what the running agent sees."""

from __future__ import annotations

from typing import Any

import click

from agent import config as configuration
from agent.cli._output import colour, print_json
from agent.engine.report import when
from agent.host.text import clean


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout (anfl.status/1).")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> int:
    """Show the running agent: sources, symptoms, the last diagnoses, its own cost.

    Exit codes: 0 nothing fires, 1 a symptom fires, 3 no agent could be asked.
    """
    from agent.host import agentsock

    config = configuration.load(ctx.obj["config"])
    status = agentsock.get(configuration.reachable_socket(config), "/v1/status")
    firing = [s for s in status["symptoms"] if s["phase"] == "firing"]
    if as_json:
        print_json(status)
    else:
        click.echo("\n".join(_lines(status)))
    return 1 if firing else 0


def _lines(s: dict[str, Any]) -> list[str]:
    cost, history = s["cost"], s["history"]
    lines = [
        f"anfl-agent {s['agent_version']} · pid {s['pid']} · up {s['uptime_s'] / 60:.0f} min · {s['metrics']}",
        f"cost      {cost['cpu_seconds'] / max(s['uptime_s'], 1) * 60:.2f} CPU s/min · peak {cost['peak_bytes'] >> 20} MiB"
        f" · {history['series']} series in {history['bytes'] / 2**20:.1f} MiB",
        f"rules     {s['rules']['trees']} trees, {s['rules']['causes']} causes"
        + ("" if s["rules"]["last_reload_ok"] else " (the last reload failed: see the log)"),
    ]
    down = [c for c in s["collectors"] if c["state"] != "up"]
    lines.append(
        f"sources   {len(s['collectors']) - len(down)} up"
        + "".join(f" · {c['name']} {c['state']}: {clean(c['why'], 80)}" for c in down)
    )
    lines += _nvml(s.get("nvml"))
    lines += [f"broken    {b['name']}: {clean(b['why'], 120)}" for b in s["broken_plugins"]]
    lines += _state(s.get("state"))
    lines += _recorder(s.get("recorder"))
    lines += _incidents(s.get("incidents"))
    lines += _alerts(s.get("alerts"))
    lines.append("symptoms  " + (_symptoms(s["symptoms"]) or "none"))
    for diagnosis in s["diagnoses"][-5:]:
        causes = ", ".join(c["id"] for c in diagnosis["causes"]) or "nothing found"
        text = f"{diagnosis['started_at']}  {diagnosis['verdict']:<8} {causes}"
        lines.append(
            "diagnosis " + (f"\x1b[1m{text}\x1b[0m" if colour() and diagnosis["verdict"] not in ("ok", "unknown") else text)
        )
    return lines


def _nvml(report: dict[str, Any] | None) -> list[str]:
    """One line about GPUs, where there are any."""
    if not report or report["status"] == "absent":
        return []
    bad = [f"GPU {g['gpu']} {g['state']}" for g in report["gpus"] if g["state"] != "ok"]
    words = [f"{len(report['gpus'])} GPUs", f"driver {report['driver']}"] if report["driver"] else []
    words += ["another library on disk"] if report["mismatch"] else []
    return [f"nvml      {report['status']}" + "".join(f" · {clean(w, 120)}" for w in (*words, report["why"], *bad) if w)]


def _state(state: dict[str, Any] | None) -> list[str]:
    """Only where something is wrong with it."""
    if not state:
        return []
    lines = (
        [f"state     in memory only, a kill loses it: {clean(state['trouble'] or '', 200)}"] if state["kept_in"] == "memory" else []
    )
    for loss in state["losses"][-3:]:
        kept = f"; what is left: {clean(loss['kept'], 200)}" if loss["kept"] else ""
        lines.append(f"state     lost {when(loss['at'])}: {clean(loss['why'], 200)}{kept}")
    return lines


def _recorder(found: dict[str, Any] | None) -> list[str]:
    """Only where nothing is recorded: what is not on disk cannot be asked for later."""
    if not found or (found["on"] and not found["trouble"]):
        return []
    if not found["on"]:
        return ["recorder  off: the past cannot be asked for, nor reported (recorder.enabled in the configuration)"]
    since = f"since {found['last']}" if found["last"] else "since the start"
    return [
        f"recorder  nothing is recorded {since}: {clean(found['trouble'], 200)};"
        " make room, let the agent's user write there, or name another recorder.dir"
    ]


def _incidents(found: dict[str, Any] | None) -> list[str]:
    if not found or not found["open"]:
        return []
    words = [f"{found[word]} {word}" for word in ("critical", "warning", "notice") if found[word]]
    words += [f"{found['unacknowledged']} nobody has acknowledged"] if found["unacknowledged"] else []
    return [f"incidents {found['open']} open: {', '.join(words)} (anfl-agent incidents list)"]


def _alerts(told: dict[str, Any] | None) -> list[str]:
    """Receivers, and those that do not get what they should."""
    if told is None:
        return []
    bad = [r for r in told["receivers"] if r["state"] != "ok"]
    waiting = f" · {told['waiting']} messages wait" if told["waiting"] else ""
    trouble = "".join(f" · {r['name']} {r['state']}: {clean(r['why'], 80)}" for r in bad)
    return [f"alerts    {len(told['receivers']) - len(bad)} receivers ok{waiting}{trouble}"]


def _symptoms(symptoms: list[dict[str, Any]]) -> str:
    return " · ".join(
        f"{s['tree']} {' '.join(f'{k}={clean(v, 60)}' for k, v in s['labels'].items())} {s['phase']} since {s['since']}"
        for s in symptoms
    )
