"""A rules folder of a chosen size: the shipped trees, and made ones beside them until there are enough conditions; or one tree."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from agent import data
from agent.engine.kernel import tables
from agent.engine.load import load_rules
from agent.engine.trees import RuleSet
from agent.plugins import installed

HOST = (
    "rate(host_cpu_system_seconds_total, {w}) > 90% * host_cpus and host_procs_running > 50 * host_cpus",
    "avg(host_memory_available_bytes, {w}) < 1% * host_memory_total_bytes",
    "rate(host_forks_total, {w}) > 5000 or rate(host_context_switches_total, {w}) > 50000000",
    "max_of(rate(disk_io_time_seconds_total, {w})) > 99%",
)
PROCESS = (
    "rate(process_cpu_seconds_total, {w}) > 900 * host_cpus",
    "avg(process_resident_bytes, {w}) > 99% * host_memory_total_bytes",
)
EACH_PROCESS = 5  # every fifth made tree is judged for every process
WINDOWS = ("1m", "5m", "10m", "30m")
TREE = """tree: made{n}
sop: [bench]
{each}symptom:
  when: "{when}"
  clear: "not ({when})"
  for: 1m
  severity: warning
checks:
  - {{id: again, sop: bench, expr: "{when}"}}
  - {{id: soon, sop: bench, expr: "{soon}"}}
causes:
  made{n}.cause:
    title: Made for a benchmark
    support: {{again: 0.6, soon: 0.3}}
    severity: warning
    sop: bench
    advice: None.
"""


def made() -> Iterator[tuple[str, str]]:
    """File names and texts of trees with four conditions each, which never hold."""
    for n in count():
        process = n % EACH_PROCESS == 0
        conditions = PROCESS if process else HOST
        when = conditions[n % len(conditions)].format(w=WINDOWS[n % len(WINDOWS)])
        soon = conditions[(n + 1) % len(conditions)].format(w="1m")
        yield f"made{n}.yaml", TREE.format(n=n, when=when, soon=soon, each="each: [pid]\n" if process else "")


def conditions(rules: RuleSet) -> int:
    """How many expressions the trees hold: symptoms, their ends, checks and what opens them."""
    symptoms = [tree.symptom for tree in rules.trees.values()]
    checks = [check for tree in rules.trees.values() for check in tree.checks.values()]
    return len(symptoms) + sum(s.clear is not None for s in symptoms) + len(checks) + sum(c.gate is not None for c in checks)


def write_one(folder: Path) -> None:
    """Fill the folder with the least an agent starts with: one tree, for the host."""
    folder.mkdir(parents=True, exist_ok=True)
    name, text = next((name, text) for name, text in made() if "each:" not in text)
    (folder / name).write_text(text, encoding="utf-8")


def write(folder: Path, wanted: int, shipped: Path | None = None) -> dict[str, int]:
    """Fill the folder; how many trees and conditions there are, and how many trees are judged for every process."""
    folder.mkdir(parents=True, exist_ok=True)
    catalog = installed().catalog()
    paths = [p for p in sorted((shipped or data.folder("rules")).glob("*.yaml")) if p.name not in tables.FILES]
    texts = {path.name: path.read_text(encoding="utf-8") for path in paths}
    more = made()
    while True:
        rules, problems = load_rules(texts, catalog)
        if problems:
            raise SystemExit("\n".join(map(str, problems)))
        missing = wanted - conditions(rules)
        if missing <= 0:
            break
        texts |= dict(next(more) for _ in range((missing + 3) // 4))
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return {
        "trees": len(rules.trees),
        "conditions": conditions(rules),
        "trees_for_each_process": sum(tree.each == ("pid",) for tree in rules.trees.values()),
    }
