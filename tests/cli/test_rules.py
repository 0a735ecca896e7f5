"""``anfl-agent rules``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Call


def test_a_folder_without_rules_is_no_clean_bill(call: Call, tmp_path: Path) -> None:
    """A pipeline that checks the wrong folder must fail."""
    for words in (("rules", "check", str(tmp_path)), ("replay", "--rules", str(tmp_path))):
        done = call(*words)
        assert (done.code, done.out, f"{tmp_path}: no diagnosis trees found" in done.err) == (2, "", True)


@pytest.mark.parametrize(
    ("name", "kind", "key"),
    [("memory.python-leak", "cause", "support"), ("memory", "tree", "symptom"), ("memory.one_site", "check", "expr")],
)
def test_what_is_explained_is_told_as_data_too(call: Call, name: str, kind: str, key: str) -> None:
    """The same as for people."""
    told = json.loads(call("rules", "explain", name, "--json").out)
    assert (told["schema"], told["kind"], told["id"], bool(told[key])) == ("anfl.rules-explain/1", kind, name, True)
    assert call("rules", "explain", name).out.startswith(f"{name.partition('.')[2] if kind == 'check' else name}:")


def test_a_name_that_is_none_is_an_error_in_json_too(call: Call) -> None:
    """With what may have been meant."""
    done = call("rules", "explain", "memory.python-lek", "--json")
    told = json.loads(done.out)
    assert (done.code, told["exit_code"], "memory.python-leak" in told["help"]) == (2, 2, True)
