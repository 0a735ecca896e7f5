"""The report of a run of drills."""

from __future__ import annotations

import pytest

from agent.drill.report import CaseResult, Report


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        (["passed"], 0),
        (["passed", "skipped"], 0),
        (["skipped", "skipped"], 3),
        (["passed", "failed"], 1),
        (["broken", "passed"], 1),
        ([], 3),
    ],
)
def test_the_exit_code_tells_the_worst(statuses: list[str], code: int) -> None:
    """0 all that was held passed, 1 any failed, 3 nothing could be held."""
    results = tuple(CaseResult("a", status) for status in statuses)  # type: ignore[arg-type]
    assert Report(results, 0, "oneshot").exit_code == code


def test_the_json_has_the_keys_of_the_contract() -> None:
    """One object per drill, counts in the summary, controls apart from faults."""
    results = (
        CaseResult("a", "passed", rank=1, culprit="right", seconds=14.21, named=("x.y",)),
        CaseResult("b", "failed", rank=2, culprit="wrong", seconds=20.0, why="late"),
        CaseResult("c", "failed", control=True, seconds=10.0),
        CaseResult("d", "skipped", why="needs gdb"),
    )
    said = Report(results, 7, "oneshot", ("host.io-errors",)).as_json()
    assert said["schema"] == "anfl.drill/1"
    assert {k: said["cases"][0][k] for k in ("id", "status", "rank", "culprit", "seconds", "named", "why")} == {
        "id": "a",
        "status": "passed",
        "rank": 1,
        "culprit": "right",
        "seconds": 14.2,
        "named": ["x.y"],
        "why": "",
    }
    summary = said["summary"]
    assert (summary["faults"], summary["top1"], summary["culprit_right"]) == (2, 1, 1)
    assert (summary["controls"], summary["false_alarms"], summary["skipped"], summary["median_seconds"]) == (1, 1, 1, 14.2)
    assert (summary["seed"], summary["ambient"]) == (7, ["host.io-errors"])
