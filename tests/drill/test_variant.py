"""Variants of a case."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agent import data
from agent.drill.case import Case
from agent.drill.read import read_cases
from agent.drill.variant import make_variant

GIVEAWAYS = ("leak", "hog", "convoy", "neighbour", "deadlock", "culprit")


@pytest.fixture
def case(case_folder: Path) -> Case:
    """The small case."""
    return read_cases(case_folder)[0]


def test_number_zero_is_the_case_as_written(case: Case, tmp_path: Path) -> None:
    """Only the author's marks are gone; lines stay where they were."""
    variant = make_variant(case, 0, tmp_path / "v")
    text = (tmp_path / "v" / "workload.py").read_text()
    assert "<-" not in text
    assert text.splitlines()[6].strip() == "NOTES.append(note * 3)"
    assert variant.case.expect == case.expect
    assert not (tmp_path / "v" / "case.yaml").exists()


def test_the_same_number_gives_the_same_variant(case: Case, tmp_path: Path) -> None:
    """A failing variant can be repeated."""
    one, two = (make_variant(case, 5, tmp_path / name) for name in "ab")
    assert one.case.start == two.case.start
    assert (tmp_path / "a" / one.case.start[1]).read_text() == (tmp_path / "b" / two.case.start[1]).read_text()


def test_every_name_is_new_and_the_expected_place_follows(case: Case, tmp_path: Path) -> None:
    """File, function and line of the culprit are those of the generated program."""
    variant = make_variant(case, 2, tmp_path / "v", ["py3.13"])
    (wanted,) = variant.case.expect.culprits if variant.case.expect else ()
    source = (tmp_path / "v" / (wanted.file or "")).read_text()
    assert wanted.file != "workload.py"
    assert wanted.file == variant.case.start[1]
    assert not {"keep", "NOTES", "Desk", "desk", "main"} & {
        node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)
    }
    assert ".append(" in source.splitlines()[(wanted.line or 0) - 1]
    function = next(n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef) and n.name == wanted.function)
    assert function.lineno <= (wanted.line or 0) <= (function.end_lineno or 0)


def test_only_what_is_at_hand_is_drawn(case: Case, tmp_path: Path) -> None:
    """An interpreter that is not there is never asked for; settings come from the lists."""
    variant = make_variant(case, 1, tmp_path / "v", ["py3.13"])
    assert variant.python == "py3.13"
    assert make_variant(case, 1, tmp_path / "w").python == ""
    assert variant.case.env["RATE"] in ("1", "2", "3")


def test_a_variant_does_what_the_original_does(case: Case, tmp_path: Path) -> None:
    """The renamed program with its company compiles and still says READY."""
    text = (case.folder / "workload.py").read_text().replace("time.sleep(60)", "print(NOTES)")
    (case.folder / "workload.py").write_text(text)
    for number in range(1, 4):
        variant = make_variant(case, number, tmp_path / str(number))
        done = subprocess.run([sys.executable, variant.case.start[1]], cwd=variant.case.folder, capture_output=True, text=True)
        assert done.stdout == "READY\n['aaaaaa']\n", done.stderr


def test_a_variable_named_like_a_file_is_no_module(case: Case, tmp_path: Path) -> None:
    """Attributes of a library's object keep their names even if the variable is called like one of the program's files."""
    text = "import threading\nident = 1\nworkload = threading.current_thread()\nprint(workload.ident is not None, ident)\n"
    (case.folder / "workload.py").write_text(text)
    variant = make_variant(replace(case, expect=None), 1, tmp_path / "v")
    done = subprocess.run([sys.executable, variant.case.start[1]], cwd=variant.case.folder, capture_output=True, text=True)
    assert done.stdout == "True 1\n", done.stderr


def test_files_that_import_each_other_follow(case: Case, tmp_path: Path) -> None:
    """What one file takes from another has the same new name in both."""
    (case.folder / "store.py").write_text("def fetch(key):\n    return key + 1\n")
    text = "import store\nfrom store import fetch\nprint(store.fetch(1), fetch(key=2))\n"
    (case.folder / "workload.py").write_text(text)
    variant = make_variant(replace(case, expect=None), 1, tmp_path / "v")
    done = subprocess.run([sys.executable, variant.case.start[1]], cwd=variant.case.folder, capture_output=True, text=True)
    assert done.stdout == "2 3\n", done.stderr


@pytest.mark.parametrize("number", [1, 2, 3])
def test_variants_of_the_shipped_cases_are_plain_old_python(tmp_path: Path, number: int) -> None:
    """They parse as Python 3.9, and no name in them gives the fault away."""
    for case in read_cases(data.folder("drills")):
        variant = make_variant(case, number, tmp_path / case.id, ["py3.9", "py3.13"])
        for path in variant.case.folder.glob("*.py"):
            text = path.read_text()
            tree = ast.parse(text, feature_version=(3, 9))
            names = {getattr(node, "id", getattr(node, "name", "")) or "" for node in ast.walk(tree)}
            assert not [name for name in names if any(word in name.lower() for word in GIVEAWAYS)]
            assert "<-" not in text
        assert all((variant.case.folder / word).is_file() for word in variant.case.start if word.endswith(".py"))
