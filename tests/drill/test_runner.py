"""Holding drills: with a diagnosis at the seam, and once with a real process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.drill import runner
from agent.drill.case import Case
from agent.drill.postbox import Told
from agent.drill.read import read_cases
from agent.drill.report import Report
from agent.drill.runner import _told_also, merged, pick_sample, run_drills
from agent.errors import AgentError

Make = Callable[..., dict[str, Any]]
SITE = {"kind": "code", "file": "workload.py", "line": 7, "function": "keep"}


@pytest.fixture
def case(case_folder: Path) -> Case:
    """The small case."""
    return read_cases(case_folder)[0]


def gone(pid: int) -> bool:
    """No such process."""
    return not os.path.exists(f"/proc/{pid}")


def left_in(folder: Path) -> list[Path]:
    """Drill folders that were not removed."""
    return list(folder.glob("anfl-drill-*"))


async def held(cases: list[Case], answer: Any, **more: Any) -> tuple[Report, list[list[str]]]:
    """Run drills against a diagnosis that always gives ``answer`` (or raises it); the report and what was asked."""
    asked: list[list[str]] = []

    async def diagnose(args: list[str], env: Mapping[str, str]) -> dict[str, Any]:
        asked.append(args)
        if isinstance(answer, Exception) and "--pid" in args:
            raise answer
        return answer if "--pid" in args else {"schema": "anfl.diagnosis/1", "causes": []}

    return await run_drills(cases, diagnose=diagnose, progress=lambda _: None, **more), asked


@pytest.mark.real
async def test_a_named_fault_passes_and_nothing_stays_behind(case: Case, diagnosis: Make, tmp_path: Path, monkeypatch: Any) -> None:
    """The started process is the target, and process and folder are gone afterwards."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    report, asked = await held([case], diagnosis(("memory.python-leak", "warning", SITE)))
    assert [result.status for result in report.results] == ["passed"]
    assert report.exit_code == 0
    pid = int(asked[1][asked[1].index("--pid") + 1])
    assert gone(pid)
    assert left_in(tmp_path) == []
    assert asked[0][2:] == ["--for", "5s", "--json"]


@pytest.mark.real
async def test_an_answer_is_kept_whatever_it_was(case: Case, diagnosis: Make, tmp_path: Path) -> None:
    """Why a cause was not proven can be read afterwards, in the folder that the result names."""
    answer = diagnosis()
    report, _ = await held([case], answer, keep=tmp_path / "kept")
    kept = Path(report.results[0].kept or "")
    assert (report.results[0].status, kept.parent) == ("failed", tmp_path / "kept")
    assert json.loads((kept / "diagnosis.json").read_text()) == answer


@pytest.mark.real
async def test_a_diagnosis_that_fails_is_a_failed_drill(case: Case) -> None:
    """An error of the agent is the agent's fault, not the drill's."""
    report, _ = await held([case], AgentError("no such thing"))
    assert report.results[0].status == "failed"
    assert "no such thing" in report.results[0].why
    assert report.exit_code == 1


@pytest.mark.real
async def test_a_failed_drill_is_held_again_as_often_as_asked_and_says_so(case: Case) -> None:
    """Two tries more, then it has failed; without retries the first failure stands."""
    report, asked = await held([case], AgentError("busy"), retries=2)
    assert [(r.status, r.tries) for r in report.results] == [("failed", 3)]
    assert sum("--pid" in args for args in asked) == 3
    assert report.summary()["again"] == 1


@pytest.mark.real
async def test_a_workload_that_dies_at_once_is_broken(case: Case, diagnosis: Make) -> None:
    """A drill that could not be held says so with the workload's last words."""
    (case.folder / "workload.py").write_text("raise SystemExit('no disk')\n")
    report, _ = await held([case], diagnosis())
    assert report.results[0].status == "broken"
    assert "no disk" in report.results[0].why


@pytest.mark.real
async def test_a_target_that_dies_while_it_is_looked_at_fails_the_drill_though_its_parent_says_nothing(
    case: Case, diagnosis: Make
) -> None:
    """The right answer does not make up for it."""
    start = "child = subprocess.Popen(['sleep', '60'])"
    text = f"import subprocess, time\n{start}\nprint('TARGET', child.pid)\nprint('READY')\ntime.sleep(60)\n"
    (case.folder / "workload.py").write_text(text)

    async def kills(args: list[str], env: Mapping[str, str]) -> dict[str, Any]:
        if "--pid" in args:
            os.kill(int(args[args.index("--pid") + 1]), signal.SIGKILL)
        return diagnosis(("memory.python-leak", "warning", SITE))

    report = await run_drills([replace(case, target="printed")], diagnose=kills, progress=lambda _: None)
    assert report.results[0].status == "failed"
    assert "the workload died meanwhile" in report.results[0].why


@pytest.mark.real
async def test_cancelling_ends_the_workload(case: Case) -> None:
    """Ctrl-C in the middle of a diagnosis leaves no process."""
    pids: list[int] = []
    begun = asyncio.Event()

    async def diagnose(args: list[str], env: Mapping[str, str]) -> dict[str, Any]:
        if "--pid" in args:
            pids.append(int(args[args.index("--pid") + 1]))
            begun.set()
            await asyncio.Event().wait()
        return {"schema": "anfl.diagnosis/1", "causes": []}

    async with asyncio.TaskGroup() as group:
        task = group.create_task(run_drills([case], diagnose=diagnose, progress=lambda _: None))
        await begun.wait()
        task.cancel()
    assert gone(pids[0])


async def test_a_missing_need_is_skipped_with_its_reason(case: Case, diagnosis: Make) -> None:
    """Skipped is never passed; if nothing could be held the exit code says so."""
    report, asked = await held([replace(case, needs=("no-such-tool",)), replace(case, sim={"gpus": 1})], diagnosis())
    assert [result.status for result in report.results] == ["skipped", "skipped"]
    assert "no-such-tool" in report.results[0].why
    assert "simulator" in report.results[1].why
    assert (report.exit_code, asked) == (3, [])


def test_a_case_gets_a_private_configuration(case: Case, tmp_path: Path) -> None:
    """Kernel log lines go through a private file, and the case's settings are laid on top."""
    told = replace(case, kernel_log=("6,1,1,-;NVRM: x",), config={"budget": {"drill": "9s"}})
    config = json.loads(Path(runner._private_config(told, tmp_path)).read_text())
    assert Path(config["collectors"]["kernel_log"]["path"]).read_text() == "6,1,1,-;NVRM: x\n"
    assert config["budget"] == {"drill": "9s"}
    assert config["state_dir"].startswith(str(tmp_path))


def test_overlays_merge_by_key() -> None:
    """Neighbours of an overlaid key stay."""
    assert merged({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"c": 4}}) == {"a": {"b": 1, "c": 4}, "d": 3}


def test_samples_rotate_with_the_seed(case: Case) -> None:
    """The same seed gives the same sample; more than there are gives all."""
    cases = [replace(case, id=str(number)) for number in range(20)]
    samples = [[c.id for c in pick_sample(cases, 4, seed)] for seed in range(8)]
    assert samples[0] == [c.id for c in pick_sample(cases, 4, 0)]
    assert len({tuple(sample) for sample in samples}) > 4
    assert len(pick_sample(cases, 99, 0)) == 20


def _telling(cause: str, at: float, *named: str) -> Told:
    """A message about one cause, with the diagnosis behind it."""
    return Told(at, "1", cause, "x", "y", "firing", None, {"causes": [{"id": name} for name in named]}, 105.0)


async def test_of_two_faults_at_once_each_may_be_told_by_itself() -> None:
    """What the first diagnosis does not name yet is waited for; what it names is not."""
    asked: list[tuple[str, ...]] = []

    async def alarm(causes: tuple[str, ...], pid: int | None) -> Told | float:
        asked.append(causes)
        return _telling("gpu.power-brake", 90.0, "gpu.power-brake", "gpu.remap-failed")

    first = _telling("gpu.remap-failed", 20.0, "gpu.remap-failed", "gpu.lost")
    told = await _told_also(alarm, first, ("gpu.lost", "gpu.power-brake"), None)
    assert isinstance(told, Told)
    assert told.diagnosis is not None
    assert asked == [("gpu.power-brake",)]
    assert [cause["id"] for cause in told.diagnosis["causes"]] == ["gpu.remap-failed", "gpu.lost", "gpu.power-brake"]
    assert (told.cause, told.at) == ("gpu.remap-failed", 90.0)


async def test_of_two_faults_at_once_one_that_is_never_told_fails_the_drill() -> None:
    """As long as was waited for it is the answer, as with a single fault."""

    async def alarm(causes: tuple[str, ...], pid: int | None) -> Told | float:
        return 165.0

    assert await _told_also(alarm, _telling("gpu.remap-failed", 20.0, "gpu.remap-failed"), ("gpu.power-brake",), None) == 165.0
