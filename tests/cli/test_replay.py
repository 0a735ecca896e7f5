"""``anfl-agent replay``."""

from __future__ import annotations

from tests.cli.conftest import Call


def test_rules_and_compare_exclude_each_other(call: Call, tmp_path: object) -> None:
    """One asks for one set, the other for two."""
    done = call("replay", "--rules", str(tmp_path), "--compare", str(tmp_path), str(tmp_path))
    assert (done.code, "exclude each other" in done.err) == (2, True)
