"""Judging a diagnosis."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.drill.case import Case, Expect, Wanted
from agent.drill.score import ambient_causes, foreign_causes, foreign_targets, matches, score

Make = Callable[..., dict[str, Any]]
SITE = {"kind": "code", "file": "/tmp/x/workload.py", "line": 8, "function": "Desk.keep", "name": "keep", "pid": 7}


def case(expect: Expect | None, control: bool = False) -> Case:
    """A case that expects this."""
    return Case("c", "memory", "t", ("x",), Path(), expect=expect, control=control)


LEAK = case(Expect("memory.python-leak", accept=("memory.task-leak",), culprits=(Wanted(file="workload.py", function="keep"),)))


def test_named_first_with_its_line_passes(diagnosis: Make) -> None:
    """The expected cause in the first place, with the right culprit, is a pass."""
    judged = score(LEAK, diagnosis(("memory.python-leak", "warning", SITE)))
    assert (judged.passed, judged.rank, judged.culprit, judged.named) == (True, 1, "right", ("memory.python-leak",))


def test_an_accepted_cause_counts_as_right(diagnosis: Make) -> None:
    """Ids under accept are as good as the expected one."""
    assert score(LEAK, diagnosis(("memory.task-leak", "warning", SITE))).passed


def test_second_place_fails_with_the_reason(diagnosis: Make) -> None:
    """A wrong root cause before the right one fails and is named."""
    judged = score(LEAK, diagnosis(("latency.disk-io", "warning", None), ("memory.python-leak", "warning", SITE)))
    assert not judged.passed
    assert judged.rank == 2
    assert "after latency.disk-io" in judged.why


def test_ambient_causes_do_not_push_the_right_one_back(diagnosis: Make) -> None:
    """What was wrong before the fault is left out of the ranking."""
    found = diagnosis(("latency.cpu-saturated", "warning", None), ("memory.python-leak", "warning", SITE))
    assert score(LEAK, found, ambient={"latency.cpu-saturated"}).rank == 1


def test_an_ambient_cause_that_is_expected_still_counts(diagnosis: Make) -> None:
    """A fault that resembles what was there before must be named all the same."""
    wanted = case(Expect("latency.cpu-saturated"))
    assert score(wanted, diagnosis(("latency.cpu-saturated", "warning", None)), ambient={"latency.cpu-saturated"}).passed


def test_a_wrong_culprit_fails(diagnosis: Make) -> None:
    """The right cause with somebody else's line is not a pass."""
    judged = score(LEAK, diagnosis(("memory.python-leak", "warning", {**SITE, "function": "other"})))
    assert (judged.passed, judged.culprit) == (False, "wrong")
    assert "other" in judged.why


def test_no_culprit_is_told_apart_from_a_wrong_one(diagnosis: Make) -> None:
    """A cause without culprits scores none."""
    assert score(LEAK, diagnosis(("memory.python-leak", "warning", None))).culprit == "none"


def test_only_possible_is_said_so(diagnosis: Make) -> None:
    """A cause that was only held for possible is explained."""
    judged = score(LEAK, diagnosis(possible=[{"id": "memory.python-leak", "missing": ["one_site"]}]))
    assert judged.why == "memory.python-leak was only possible: one_site"


def test_two_roots_must_both_be_named(diagnosis: Make) -> None:
    """Ids under also must be there, in any order."""
    both = case(Expect("memory.python-leak", also=("latency.cpu-saturated",)))
    roots = [("latency.cpu-saturated", "warning", None), ("memory.python-leak", "warning", SITE)]
    assert score(both, diagnosis(*roots)).passed
    assert "not named: latency.cpu-saturated" in score(both, diagnosis(roots[1])).why


@pytest.mark.parametrize(("severity", "passed"), [("notice", True), ("warning", False), ("critical", False)])
def test_a_control_is_alarmed_by_warnings_only(diagnosis: Make, severity: str, passed: bool) -> None:
    """Naming a notice on a healthy process is no false alarm."""
    assert score(case(None, control=True), diagnosis(("latency.cpu-hotspot", severity, None))).passed is passed


def test_a_control_is_not_blamed_for_the_host(diagnosis: Make) -> None:
    """What was wrong before is no false alarm either."""
    assert score(case(None, control=True), diagnosis(("x.y", "critical", None)), ambient={"x.y"}).passed


def test_ambient_takes_both_lists(diagnosis: Make) -> None:
    """Causes elsewhere on the host are ambient too."""
    assert ambient_causes(diagnosis(("a.b", "notice", None), elsewhere=[{"id": "c.d"}])) == {"a.b", "c.d"}


def test_blaming_a_process_outside_the_drill_is_ambient(diagnosis: Make) -> None:
    """A build on the same host is not the drill's fault; its own batch is."""
    found = diagnosis(("latency.cpu-saturated", "warning", {"kind": "process", "pid": 5}), ("memory.python-leak", "warning", SITE))
    assert foreign_causes(found, owns=lambda pid: pid != 5) == {"latency.cpu-saturated"}
    assert foreign_causes(found, owns=lambda pid: True) == frozenset()


def test_what_a_process_outside_the_drill_suffers_from_is_ambient(diagnosis: Make) -> None:
    """Whoever asks about the whole host also hears of his neighbours; a GPU's trouble is the drill's."""
    found = diagnosis(("memory.fd-leak", "warning", None), ("gpu.missing", "critical", None))
    found["causes"][0]["target"] = {"kind": "process", "pid": 99}
    found["causes"][1]["target"] = {"kind": "host", "pid": None}
    assert foreign_targets(found, owns=lambda pid: pid == 7) == {"memory.fd-leak"}
    assert foreign_targets(found, owns=lambda pid: True) == frozenset()


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (Wanted(), True),
        (Wanted(kind="code", function="keep", line=7, within=1), True),
        (Wanted(line=7), False),
        (Wanted(file="load.py"), False),
        (Wanted(file="x/workload.py"), True),
        (Wanted(file="deeper/tmp/x/workload.py"), False),
        (Wanted(name="KEE"), True),
        (Wanted(kind="library"), False),
        (Wanted(printed=True), False),
    ],
)
def test_a_culprit_matches_every_key_that_is_asked_for(wanted: Wanted, fits: bool) -> None:
    """Suffix of the path by whole components, last part of the function, line within reach."""
    assert matches(SITE, wanted) is fits


def test_a_gpu_is_known_by_uuid_and_the_beginning_of_its_address() -> None:
    """The kernel leaves the function of an address out."""
    card = {"kind": "gpu", "name": "GPU 2 (GPU-a, 0000:28:00.0)", "uuid": "GPU-a", "pci": "0000:28:00.0"}
    assert matches(card, Wanted(kind="gpu", name="gpu 2", uuid="GPU-a", pci="0000:28:00"))
    assert not matches(card, Wanted(uuid="GPU-b"))
    assert not matches(card, Wanted(pci="0000:18:00"))
    assert not matches({"kind": "process"}, Wanted(pci="0000:18:00"))


def test_a_printed_pid_is_a_culprit() -> None:
    """The workload may say which process is guilty."""
    assert matches(SITE, Wanted(printed=True), {7, 8})
