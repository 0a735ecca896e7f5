"""What a run of drills found, as ``anfl.drill/1`` and as an exit code."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any, Literal

from agent.dataclass import dataclass
from agent.drill.score import Culpability

SCHEMA = "anfl.drill/1"
Status = Literal["passed", "failed", "skipped", "broken"]


@dataclass(frozen=True)
class CaseResult:
    """One drill. ``seconds`` run from the question to the verdict, ``alert_seconds`` from the fault to the delivered message;
    ``variant`` 0 is the case as written. ``kept`` is the folder with what the agent recorded, if it was to be kept.

    Broken means that the drill itself could not be held (the workload did not come up), which says nothing about the agent.
    """

    id: str
    status: Status
    control: bool = False
    variant: int = 0
    rank: int | None = None
    culprit: Culpability = "none"
    seconds: float | None = None
    named: tuple[str, ...] = ()
    why: str = ""
    drawn: str = ""
    alert: bool | None = None
    tries: int = 1
    alert_seconds: float | None = None
    kept: str = ""

    def as_json(self) -> dict[str, Any]:
        """The result with the keys of the contract first."""
        return {
            "id": self.id,
            "status": self.status,
            "rank": self.rank,
            "culprit": self.culprit,
            "seconds": None if self.seconds is None else round(self.seconds, 1),
            "named": list(self.named),
            "why": self.why,
            "control": self.control,
            "variant": self.variant,
            "drawn": self.drawn,
            "alert": self.alert,
            "alert_seconds": None if self.alert_seconds is None else round(self.alert_seconds, 1),
            "tries": self.tries,
            "kept": self.kept or None,
        }


@dataclass(frozen=True)
class Report:
    """All results, and what was already wrong on the host before the first fault."""

    results: tuple[CaseResult, ...]
    seed: int
    mode: str
    ambient: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 all that could be held passed, 1 any failed or broke, 3 nothing could be held."""
        kinds = {result.status for result in self.results}
        if kinds & {"failed", "broken"}:
            return 1
        return 0 if "passed" in kinds else 3

    def as_json(self) -> dict[str, Any]:
        """The ``anfl.drill/1`` object."""
        return {"schema": SCHEMA, "cases": [result.as_json() for result in self.results], "summary": self.summary()}

    def summary(self) -> dict[str, Any]:
        """Counts, shares and the median time, over the drills that were held."""
        held = [result for result in self.results if result.status in ("passed", "failed")]
        faults = [result for result in held if not result.control]
        seconds = [result.seconds for result in held if result.seconds is not None]
        return {
            **{status: _count(self.results, status) for status in ("passed", "failed", "skipped", "broken")},
            "faults": len(faults),
            "top1": sum(result.rank == 1 for result in faults),
            "culprit_right": sum(result.culprit == "right" for result in faults),
            "controls": len(held) - len(faults),
            "false_alarms": sum(result.control and result.status == "failed" for result in held),
            "median_seconds": round(statistics.median(seconds), 1) if seconds else None,
            "ambient": list(self.ambient),
            "again": sum(result.tries > 1 for result in self.results),
            "seed": self.seed,
            "mode": self.mode,
        }


def _count(results: Sequence[CaseResult], status: str) -> int:
    return sum(result.status == status for result in results)
