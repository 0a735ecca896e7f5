"""What the shipped rules must hold together: every report that matters has a tree, every drill's lines mean something."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent import data
from agent.drill.case import Case
from agent.drill.placeholders import filled
from agent.drill.read import read_cases
from agent.engine.kernel.lines import records
from agent.engine.kernel.reader import Reader
from agent.engine.kernel.tables import FILES, Tables, load_tables
from agent.sim import script

RULES = data.folder("rules")
TREES = "\n".join(path.read_text("utf-8") for path in RULES.glob("*.yaml") if path.name not in FILES)
ELSEWHERE = {"xid", "nvlink_rx_detect_failure", "netdev_refcount", "nfs_lock_reclaim_failed"}
"""Xids are asked for by class; the others are kept in the history, for nothing certain follows from one."""
CASES = read_cases(data.folder("drills"))


@pytest.fixture(scope="module")
def tables() -> Tables:
    """As shipped."""
    return load_tables({str(path): path.read_text("utf-8") for path in (RULES / name for name in FILES)})


def asked(field: str) -> set[str]:
    """Values that conditions of the trees give for a field of the kernel's events."""
    return {word for found in re.findall(rf"kernel\{{[^}}]*{field}='([^']*)'", TREES) for word in found.split("|")}


def test_every_kind_of_report_that_matters_is_asked_for(tables: Tables) -> None:
    """And none is asked for that does not exist: a slip in a name would never be true."""
    serious = {name for name, kind in tables.kinds.items() if kind.level != "info" or kind.by}
    assert serious - asked("kind") - ELSEWHERE == set()
    assert asked("kind") - set(tables.kinds) == set()


def test_every_class_of_xid_but_notes_is_asked_for(tables: Tables) -> None:
    """A number that nobody knows is of a class, too."""
    assert asked("class") == set(tables.classes) - {"info"}


@pytest.mark.parametrize("case", [c for c in CASES if c.kernel_log], ids=lambda c: c.id)
def test_the_lines_of_a_drill_mean_something_and_those_of_a_control_nothing(case: Case) -> None:
    """Read as the collector reads them, with the settings put in."""
    reader = Reader()
    for record in records(filled(case).kernel_log):
        reader.feed(record)
    found = [happening.kind for happening in reader.take(everything=True)]
    assert not found if case.control else found


@pytest.mark.parametrize("case", [c for c in CASES if c.sim], ids=lambda c: c.id)
def test_the_script_of_a_drill_can_be_read(case: Case) -> None:
    """Its GPUs and steps, before anybody waits for them."""
    assert script.read(filled(case).sim)
    assert "gpu-sim" in case.needs
    assert Path(case.folder, "train.py").is_file()
