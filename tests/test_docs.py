"""The documents say what the code does: nothing stale, nothing left out, nothing that does not exist."""

from __future__ import annotations

import dataclasses
import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest

from agent import data, plugins
from agent.cli import SHORT, cli
from agent.config import Config
from agent.diagnosis import Confidence, Diagnosis, EvidenceLine, Finding, NotChecked, Possible, ProbeCost, RuledOut
from agent.drill import needs, read
from agent.drill.report import CaseResult, Report
from agent.engine import ruletestfile, treefile
from agent.engine.functions import AGGREGATES, FUNCTIONS
from agent.engine.kernel.reader import KINDS
from agent.engine.load import load_rules
from agent.engine.report import to_json
from agent.engine.ruletest import run
from agent.engine.ruletestcases import load_cases
from agent.engine.units import BYTES_IN, SECONDS_IN
from agent.model import Artifact, Culprit, Severity, Target
from agent.reports.doctor import Item
from agent.watch import SourceState
from agent.yamlfile import shape
from tools import docs

DOCS = docs.ROOT / "docs"
PAGES = [docs.ROOT / "README.md", docs.ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
CALL = re.compile(r"^(?:\$ )?(?:sudo )?(?:\S*/)?anfl-agent( .*)?$")
LINK = re.compile(r"\]\((?!http)([^)#\s]*)(#[^)\s]*)?\)")
CAUSE = re.compile(r"\b(?:latency|memory|throughput|stability|host)\.[a-z]+(?:-[a-z]+)+\b(?!\.)")


def page(name: str) -> str:
    """One document's text."""
    return (DOCS / name).read_text("utf-8")


def spoken(text: str) -> set[str]:
    """Everything between backticks."""
    return {word for quoted in re.findall(r"`([^`\n]+)`", text) for word in [quoted, *re.split(r"[\s,]+", quoted)]}


def test_pages_made_from_the_code_are_fresh() -> None:
    """A changed metric, command, setting, cause or answer has been written to its page."""
    assert docs.stale() == [], "run .venv/bin/python tools/docs.py"


def test_every_probe_has_its_part_of_the_page_on_closer_looks() -> None:
    """A new probe is described by hand and has its table of answers."""
    text = page("drilldown.md")
    missing = [
        name for name in plugins.installed().probes if f"## {name}\n" not in text or f"<!-- made: probe {name} -->" not in text
    ]
    assert not missing


def test_every_command_has_a_line_in_the_list_of_commands() -> None:
    """``--help`` says of every command what it is for."""
    assert set(SHORT) == set(cli.list_commands(click.Context(cli)))


def test_every_key_of_a_diagnosis_is_described() -> None:
    """Whatever ``diagnose --json`` may print stands in json.md."""
    finding = Finding(
        id="a.b",
        title="",
        severity=Severity.WARNING,
        confidence=Confidence(0.5, 0.6),
        target=Target(),
        culprits=(Culprit("code", "f"),),
        evidence=(EvidenceLine("c", "true", ""),),
        artifacts=(Artifact("flamegraph", "p"),),
    )
    whole = Diagnosis(
        *("1", "h", 0.0, 1.0, "burst", "ok"),
        causes=(finding,),
        elsewhere=(finding,),
        possible=(Possible("a.c", Confidence(0, 1)),),
        ruled_out=(RuledOut("a.d", ""),),
        not_checked=(NotChecked("a.e", ""),),
        cost=(ProbeCost("p", 1.0),),
    )
    assert keys(to_json(whole)) - spoken(page("json.md")) == set()


def test_every_key_of_the_other_shapes_is_described() -> None:
    """Doctor, drills and the state of collectors print nothing that json.md does not name."""
    printed = keys(CaseResult("a", "passed").as_json()) | keys(Report((), 0, "oneshot").summary())
    printed |= {f.name for shape_ in (Item, SourceState) for f in dataclasses.fields(shape_)}
    assert printed - spoken(page("json.md")) == set()


def test_every_schema_is_described() -> None:
    """Each name of a schema in the source has its line in json.md."""
    source = "".join(path.read_text("utf-8") for path in (docs.ROOT / "agent").rglob("*.py"))
    assert set(re.findall(r"anfl\.[a-z-]+/\d", source)) - spoken(page("json.md")) == set()


def keys(value: Any) -> set[str]:
    """All keys of a JSON value, however deep."""
    if isinstance(value, dict):
        return set(value).union(*map(keys, value.values()))
    return set().union(*map(keys, value)) if isinstance(value, list) else set()


def test_the_rule_language_is_described_whole() -> None:
    """Functions, aggregators, units and every key of trees and rule tests stand in rules.md."""
    shapes = (treefile.SymptomFile, treefile.CheckFile, treefile.CauseFile, treefile.TreeFile)
    tests = (ruletestfile.CaseFile, ruletestfile.ExpectFile, ruletestfile.ProcessFile, ruletestfile.RuleTestFile)
    words = {key for each in (*shapes, *tests) for key in shape(each)} | {*FUNCTIONS, *AGGREGATES}
    text = page("rules.md")
    known = spoken(text) | {word.partition("(")[0] for word in spoken(text)} | set(re.findall(r"\b\w+(?=:)", text))
    units = {unit for unit in (*SECONDS_IN, *BYTES_IN) if not re.search(rf"`\d+{unit}`", text)}
    assert (words - known, units) == (set(), set())


def test_the_keys_of_a_drill_are_described() -> None:
    """Every key and need of a case stands in drills.md."""
    words = {key for each in (read._File, read._Expect, read._Vary, read._Culprit) for key in shape(each)}
    assert (words | set(needs._CHECKS) | needs.INSTALLABLE) - spoken(page("drills.md")) == set()


def test_every_kind_of_kernel_event_and_class_of_xid_is_described() -> None:
    """What may stand in a condition, in JSON or on the page stands in kernel-log.md."""
    tables = plugins.kernel_tables(Config())
    assert ({*KINDS} | {*tables.classes}) - spoken(page("kernel-log.md")) == set()


def test_the_worked_example_of_a_rule_passes_its_own_test() -> None:
    """What rules.md tells people to write loads without a mistake, and its rule test passes."""
    parts = dict(re.findall(r"<!-- example: (\S+) -->\n```yaml\n(.*?)```", page("rules.md"), re.DOTALL))
    installed = plugins.installed()
    shipped = plugins.read_folder(data.folder("rules"))
    rules, problems = load_rules(shipped, installed.catalog(), overlay={"host.yaml": parts["rules.d/host.yaml"]})
    cases, wrong = load_cases({"swapping.yaml": parts["swapping.yaml"]}, rules, installed.catalog())
    assert (problems, wrong) == ([], [])
    assert [failure for result in run(rules, cases) for failure in result.failures] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_commands_in_the_documents_exist(path: Path) -> None:
    """No document names a command, an option or a make target that is not there."""
    text = path.read_text("utf-8")
    lines = [line for kind, body in BLOCK.findall(text) if kind in ("sh", "console") for line in body.splitlines()]
    lines = [part for line in lines for part in re.split(r" && | > |; ", line.partition(" #")[0])]
    lines += re.findall(r"(?<!`)`((?:anfl-agent|make) [^`\n]+)`(?!`)", text)
    targets = set(re.findall(r"^(\w+):", (docs.ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    wrong = [line for line in lines if (call := CALL.match(line.strip())) and not understood(call[1] or "")]
    wrong += [line for line in lines if line.startswith("make ") and not set(line.split()[1:]) <= targets]
    assert not wrong


def understood(rest: str) -> bool:
    """Whether click knows the command and all its options."""
    words = shlex.split(rest.replace("…", ""))
    command: click.Command = cli
    while True:
        context = click.Context(command, help_option_names=["-h", "--help"])
        try:
            _, left, _ = command.make_parser(context).parse_args(list(words))
        except click.UsageError:
            return False
        if not isinstance(command, click.Group) or not left:
            return True
        inner = command.get_command(context, left[0])
        if inner is None:
            return False
        command, words = inner, words[words.index(left[0]) + 1 :]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    """Every relative link names a file that is there, and a heading in it."""
    dead = []
    for file, anchor in LINK.findall(path.read_text("utf-8")):
        target = (path.parent / file) if file else path
        if not target.is_file() or (anchor and anchor[1:] not in anchors(target)):
            dead.append(f"{file}{anchor}")
    assert not dead


def anchors(path: Path) -> set[str]:
    """Names of the headings as they are linked to."""
    headings = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_causes_in_the_documents_exist(path: Path) -> None:
    """A cause id in a document is one that the shipped trees can name."""
    known = {str(cause) for tree in docs.trees() for cause in tree.causes}
    assert set(CAUSE.findall(path.read_text("utf-8"))) - known == set()


@pytest.mark.parametrize("name", ["operations.md", "drilldown.md"])
def test_messages_in_the_documents_are_those_of_the_code(name: str) -> None:
    """A message that troubleshooting explains is one the agent can print."""
    source = " ".join(path.read_text("utf-8") for path in (docs.ROOT / "agent").rglob("*.py"))
    source = re.sub(r"\{[^{}\n]*\}", "{}", source)
    tables = re.findall(r"\| (?:message|it says|log line) .*?\n\n", page(name) + "\n\n", re.DOTALL)
    rows = [row for table in tables for row in re.findall(r"^\| `([^|]+)` \|", table, re.MULTILINE)]
    assert rows
    assert [row for row in rows if not any(run in source for run in runs(row))] == []


def runs(message: str) -> list[str]:
    """Every three words in a row of a message; the words that are filled in part it."""
    parts = [part.split() for part in re.split(r"'?\b[XNM]\b'?|…|:|'\w+'|\d[\d.]*", message)]
    return [" ".join(words[i : i + 3]) for words in parts if words for i in range(max(1, len(words) - 2))]


def test_the_configuration_template_shows_the_defaults() -> None:
    """``config init`` writes keys that exist."""
    from agent.configtext import TEMPLATE

    shown = set(re.findall(r"^# (\w+):", TEMPLATE, re.MULTILINE))
    assert shown <= {field.name for field in dataclasses.fields(Config)}
