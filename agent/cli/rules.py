"""``anfl-agent rules``: check, test, list, explain, schema."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent import config as configuration
from agent import data
from agent.cli._output import Progress, print_json
from agent.errors import Problem, Problems, UsageError

if TYPE_CHECKING:
    from agent.engine import mutate as mutation

MUTATION_BAR = 0.90  # the tests of each tree must catch nine in ten of its mistakes


@click.group("rules")
def command() -> None:
    """Check, test, list and explain the diagnosis trees."""


def _load(ctx: click.Context, folder: str | None) -> tuple[Any, Any, Any, list[Problem]]:
    """(plug-ins, config, rules, problems) for the trees in force, or those of one folder."""
    import dataclasses

    from agent import plugins

    config = configuration.load(ctx.obj["config"])
    if folder is not None:
        config = dataclasses.replace(config, rules_dir=folder)
    found = plugins.installed()
    rules, problems = plugins.read_rules(found, config)
    return found, config, rules, problems


@command.command()
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False))
@click.option("--format", "format_", type=click.Choice(["text", "github", "json"]), default="text", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.pass_context
def check(ctx: click.Context, folder: str | None, format_: str, as_json: bool) -> int:
    """Check the trees in force, or those in FOLDER: every mistake at once, as file:line:col. Exit 1 if there are any."""
    from agent.plugins import no_trees

    _, config, rules, problems = _load(ctx, folder)
    if not problems and not rules.trees:
        raise no_trees(config)
    if as_json or format_ == "json":
        print_json(
            {
                "schema": "anfl.rules-check/1",
                "ok": not problems,
                "trees": sorted(rules.trees),
                "problems": [vars(p) for p in problems],
                "warnings": [vars(w) for w in rules.warnings],
            }
        )
        return 1 if problems else 0
    for level, found in (("error", problems), ("warning", rules.warnings)):
        for p in found:
            if format_ == "github":
                click.echo(f"::{level} file={p.file},line={p.line},col={p.column}::{p.message}; {p.help}")
            else:
                click.echo(str(p) if level == "error" else f"{p} (warning)", err=level == "warning")
    if not problems and format_ == "text":
        checks = sum(len(t.checks) for t in rules.trees.values())
        click.echo(f"{len(rules.trees)} trees, {checks} checks, {len(rules.causes)} causes: ok")
    return 1 if problems else 0


@command.command("test")
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False))
@click.option("--coverage", is_flag=True, help="Also demand every check seen true and false, every cause once a root.")
@click.option("--mutate", is_flag=True, help="Also flip one comparison, word or figure at a time; 90 % a tree must be caught.")
@click.option("--rules", "folder", type=click.Path(exists=True, file_okay=False), help="Trees to test (default: those in force).")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout (anfl.rules-test/1).")
@click.pass_context
def test(ctx: click.Context, files: tuple[str, ...], coverage: bool, mutate: bool, folder: str | None, as_json: bool) -> int:
    """Run rule tests: FILES, or all in the folder tests/ beside the trees. Exit 1 if any fails."""
    from agent.engine import mutate as mutation
    from agent.engine.ruletest import Seen, run
    from agent.engine.ruletestcases import load_cases

    found, config, rules, problems = _load(ctx, folder)
    if problems:
        raise Problems(problems)
    home = Path(config.rules_dir) if config.rules_dir else data.folder("rules")
    paths = [Path(f) for f in files] or sorted((home / "tests").glob("*.yaml"))
    if not paths:
        raise UsageError(f"no rule tests in {home / 'tests'}", help="name files, or write some beside the trees")
    cases, wrong = load_cases({str(p): p.read_text(encoding="utf-8") for p in paths}, rules, found.catalog())
    if wrong:
        raise Problems(wrong)
    seen = Seen()
    results = run(rules, cases, seen)
    failed = [r for r in results if r.failures]
    unseen = seen.unseen(rules) if coverage else []
    scores: list[mutation.Score] = []
    if mutate and not failed:
        progress = Progress(as_json)
        progress("flipping one thing at a time")
        scores = mutation.scores(rules, cases)
        progress.done()
    poor = [s for s in scores if s.share < MUTATION_BAR]
    bad = bool(failed or unseen or poor)
    if as_json:
        document: dict[str, Any] = {"schema": "anfl.rules-test/1", "ok": not bad, "cases": len(results)}
        document["failed"] = [{"file": r.file, "case": r.name, "failures": list(r.failures)} for r in failed]
        document["unseen"] = unseen
        document["mutation"] = _mutation_facts(scores) if scores else None
        print_json(document)
        return int(bad)
    survived = [f"survived: {m}" for s in scores for m in s.survivors]
    below = [f"{s.tree}: only {s.caught} of {s.total} mutants caught, fewer than {MUTATION_BAR:.0%}" for s in poor]
    for line in [*map(str, failed), *unseen, *survived, *below]:
        click.echo(line)
    text = f"{len(results) - len(failed)} of {len(results)} rule tests passed"
    text += f", coverage {'complete' if not unseen else f'{len(unseen)} gaps'}" if coverage else ""
    caught, total = sum(s.caught for s in scores), sum(s.total for s in scores)
    text += f", {caught} of {total} mutants caught" if scores else ""
    click.echo(text)
    return int(bad)


def _mutation_facts(scores: Sequence[mutation.Score]) -> dict[str, Any]:
    """All trees together, and each."""
    caught, total = sum(s.caught for s in scores), sum(s.total for s in scores)
    trees = {s.tree: {"total": s.total, "caught": s.caught} for s in scores}
    return {"share": caught / total if total else 1.0, "survivors": [m for s in scores for m in s.survivors], "trees": trees}


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout (anfl.rules-list/1).")
@click.pass_context
def list_(ctx: click.Context, as_json: bool) -> int:
    """List every cause that can be named: id, severity, title."""
    _, _, rules, problems = _load(ctx, None)
    if problems:
        raise Problems(problems)
    causes = sorted(rules.causes.values(), key=lambda c: c.id)
    if as_json:
        rows = [
            {"id": c.id, "tree": c.tree, "severity": c.severity.word, "title": c.title, "sop": list(c.sop), "playbook": c.playbook}
            for c in causes
        ]
        print_json({"schema": "anfl.rules-list/1", "causes": rows})
    else:
        click.echo("\n".join(f"{c.id:<28} {c.severity.word:<8} {c.title}" for c in causes))
    return 0


@command.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout (anfl.rules-explain/1).")
@click.pass_context
def explain(ctx: click.Context, name: str, as_json: bool) -> int:
    """Explain a cause, a tree or a check (TREE.CHECK): what it asks, what it weighs, what to do."""
    from agent.yamlfile import did_you_mean

    _, _, rules, problems = _load(ctx, None)
    if problems:
        raise Problems(problems)
    tree, _, check_id = name.partition(".")
    if name in rules.causes:
        kind, lines = "cause", _cause(rules, rules.causes[name])
    elif name in rules.trees:
        kind, lines = "tree", _tree(rules.trees[name])
    elif tree in rules.trees and check_id in rules.trees[tree].checks:
        kind, lines = "check", _check(rules.trees[tree].checks[check_id])
    else:
        known = [*rules.causes, *rules.trees, *(f"{t.name}.{c}" for t in rules.trees.values() for c in t.checks)]
        raise UsageError(f"nothing is called '{name}'", help=did_you_mean(name, known) or "see 'anfl-agent rules list'")
    if as_json:
        about = _plain(rules, kind, name)
        print_json({"schema": "anfl.rules-explain/1", "kind": kind, "id": name, **about})
    else:
        click.echo("\n".join(lines))
    return 0


def _plain(rules: Any, kind: str, name: str) -> dict[str, Any]:
    """What ``explain`` tells, as data; checks and conditions in the words of the rule file."""
    tree = rules.trees[name.partition(".")[0] if kind != "tree" else name]
    if kind == "check":
        return _check_facts(tree.checks[name.partition(".")[2]])
    if kind == "cause":
        c = rules.causes[name]
        about = {"tree": c.tree, "title": c.title, "severity": c.severity.word, "sop": list(c.sop)}
        about |= {"require": list(c.require), "felt_by": list(c.felt_by), "support": dict(c.support), "refute": dict(c.refute)}
        return about | {"leads_to": list(c.leads_to), "playbook": c.playbook, "advice": c.advice, "prevent": c.prevent}
    s = tree.symptom
    symptom = {"when": s.when.text, "clear": s.clear.text if s.clear else None, "for_s": s.for_, "keep_for_s": s.keep_for}
    symptom |= {"severity": s.severity.word, "suspicion": list(s.suspicion)}
    checks = {c.id: _check_facts(c) for c in tree.checks.values()}
    return {
        "each": list(tree.each),
        "sop": list(tree.sop),
        "symptom": symptom,
        "checks": checks,
        "causes": [c.id for c in tree.causes],
    }


def _check_facts(check: Any) -> dict[str, Any]:
    gate = check.gate.text if check.gate else None
    cost = str(check.cost) if check.probe else None
    return {"expr": check.expr.text, "if": gate, "probe": check.probe or None, "cost": cost, "sop": check.sop or None}


@command.command()
@click.option("--tests", is_flag=True, help="The schema of rule test files instead.")
@click.pass_context
def schema(ctx: click.Context, tests: bool) -> int:
    """Print the JSON Schema of tree files, for editors."""
    import json

    from agent.engine.schema import cases_schema, tree_schema

    click.echo(json.dumps(cases_schema() if tests else tree_schema(), indent=2))
    return 0


def _cause(rules: Any, cause: Any) -> list[str]:
    checks = rules.trees[cause.tree].checks
    lines = [
        f"{cause.id}: {cause.title}",
        f"  severity {cause.severity.word}" + (f", SOP: {', '.join(cause.sop)}" if cause.sop else ""),
    ]
    for word, names in (("needs", cause.require), ("felt by", cause.felt_by)):
        lines += [f"  {word:<10} {n}: {checks[n].expr.text}" for n in names]
    lines += [f"  supported  {w:.2f} by {n}: {checks[n].expr.text}" for n, w in cause.support.items()]
    lines += [f"  refuted    {w:.2f} by {n}: {checks[n].expr.text}" for n, w in cause.refute.items()]
    lines += [f"  leads to   {', '.join(cause.leads_to)}"] if cause.leads_to else []
    lines += [f"  playbook   {cause.playbook}"] if cause.playbook else []
    lines += [f"  advice     {cause.advice}"] if cause.advice else []
    return [*lines, f"  prevent    {cause.prevent}"] if cause.prevent else lines


def _tree(tree: Any) -> list[str]:
    lines = [f"{tree.name}: judged for each {', '.join(tree.each) or 'host'}; SOP {', '.join(tree.sop)}"]
    symptom = tree.symptom
    word = f"a suspicion, told if a look names {' or '.join(symptom.suspicion)}" if symptom.suspicion else symptom.severity.word
    lines.append(f"  fires      {symptom.when.text} for {symptom.for_:g} s ({word})")
    lines += [f"  clears     {symptom.clear.text} for {symptom.keep_for:g} s"] if symptom.clear else []
    lines += [f"  check      {line}" for c in tree.checks.values() for line in _check(c)[:1]]
    return lines + [f"  cause      {c.id}: {c.title}" for c in tree.causes]


def _check(check: Any) -> list[str]:
    look = f" [{check.probe}, {check.cost}]" if check.probe else ""
    lines = [f"{check.id}: {check.expr.text}{look}"]
    lines += [f"  asked if   {check.gate.text}"] if check.gate else []
    return [*lines, f"  SOP        {check.sop}"] if check.sop else lines
