"""Reading case.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent import data
from agent.drill.case import Wanted
from agent.drill.read import read_cases
from agent.errors import Problems, UsageError

BASE = 'id: a\ntree: memory\ntitle: t\nstart: ["{python}", "w.py"]\n'


def write(folder: Path, text: str) -> Path:
    """One case in ``folder``."""
    (folder / "case.yaml").write_text(text)
    return folder


def test_a_case_reads_as_written(case_folder: Path) -> None:
    """Keys arrive, numbers for the environment become text."""
    (case,) = read_cases(case_folder.parent)
    assert case.expect is not None
    assert case.expect.culprits == (Wanted(file="workload.py", function="keep", line=7, within=1),)
    assert case.vary.env == {"RATE": ("1", "2", "3")}
    assert (case.for_, case.target, case.control) == ("2s", "child", False)


def test_every_mistake_of_every_file_is_told_at_once(tmp_path: Path) -> None:
    """Unknown keys get a suggestion; places are given."""
    for name, text in (("a", "tite: t\nexpect: {cause: x.y}\ntarget: nobody\n"), ("b", "for: soon\n")):
        (tmp_path / name).mkdir()
        write(tmp_path / name, f'id: {name}\nstart: ["x"]\n{text}')
    with pytest.raises(Problems) as caught:
        read_cases(tmp_path)
    said = str(caught.value)
    assert "a/case.yaml:3:1: unknown key 'tite'; did you mean 'title'?" in said
    assert "b/case.yaml" in said
    assert "no cause is expected" in said
    assert "duration" in said


@pytest.mark.parametrize(
    ("said", "target"), [("TARGET <pid>", "printed"), ("printed", "printed"), ("host", "host"), ("child", "child")]
)
def test_the_target_may_be_worded_in_several_ways(tmp_path: Path, said: str, target: str) -> None:
    """The printed pid has more than one spelling."""
    (case,) = read_cases(write(tmp_path, f"{BASE}target: {said}\ncontrol: true\n"))
    assert case.target == target


def test_any_of_may_stand_in_the_culprit_or_beside_it(tmp_path: Path) -> None:
    """Both places give alternatives; a cause among them is accepted."""
    text = BASE + "expect: {cause: a.b, culprit: {any_of: [{kind: library}, {function: f}]}, any_of: [{cause: c.d}, {line: 3}]}\n"
    (case,) = read_cases(write(tmp_path, text))
    assert case.expect is not None
    assert case.expect.accept == ("c.d",)
    assert case.expect.culprits == (Wanted(kind="library"), Wanted(function="f"), Wanted(line=3))


def test_an_unknown_case_gets_a_suggestion(case_folder: Path) -> None:
    """A mistyped id is a usage error."""
    with pytest.raises(UsageError, match="did you mean 'notes'"):
        read_cases(case_folder.parent, ["note"])


def test_the_shipped_cases_are_sound() -> None:
    """Every shipped case reads, its folder is named after it, and its marked line is the one it expects."""
    cases = read_cases(data.folder("drills"))
    assert len(cases) >= 20
    for case in cases:
        assert case.folder.name == case.id
        assert case.control == (case.expect is None)
        assert all((case.folder / word).is_file() for word in case.start if word.endswith(".py"))
        for wanted in case.expect.culprits if case.expect else ():
            if wanted.line is not None and wanted.file is not None:
                line = (case.folder / wanted.file).read_text().splitlines()[wanted.line - 1]
                assert line.endswith("# <- culprit"), case.id
