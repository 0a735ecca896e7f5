"""The exported schema and the loader read the same classes, so they agree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.engine.schema import cases_schema, tree_schema
from agent.yamlfile import parse
from tests.engine.test_load import TREE
from tests.fakes.rules import CATALOG
from tests.fakes.schema import errors

RULES = Path(__file__).parents[2] / "rules"


def tree(**changes: Any) -> dict[str, Any]:
    """A good tree file as plain data, with top-level changes."""
    return {**parse(TREE, "t.yaml").plainly(), **changes}


def test_the_shipped_schema_is_up_to_date() -> None:
    """``rules/schema.json`` is what ``anfl-agent rules schema`` prints."""
    assert json.loads((RULES / "schema.json").read_text()) == tree_schema()


@pytest.mark.parametrize("path", sorted(RULES.glob("*.yaml")), ids=lambda p: p.name)
def test_every_shipped_tree_fits_the_schema(path: Path) -> None:
    """What loads also passes in an editor."""
    node = parse(path.read_text(), path.name)
    if node.get("tree") is not None:
        assert errors(node.plainly(), tree_schema()) == []


@pytest.mark.parametrize("path", sorted((RULES / "tests").glob("*.yaml")), ids=lambda p: p.name)
def test_every_shipped_rule_test_fits_its_schema(path: Path) -> None:
    """So do the rule tests."""
    assert errors(parse(path.read_text(), path.name).plainly(), cases_schema()) == []


def test_the_schema_refuses_what_the_loader_refuses() -> None:
    """Unknown keys, wrong words, wrong types, weights out of bounds and odd ids are red in the editor too."""
    good = tree_schema()
    assert errors(tree(), good) == []
    for change in (
        {"symptom": {"when": "a > 1", "fr": "2m"}},
        {"symptom": {"when": "a > 1", "for": "2 minutes"}},
        {"symptom": {"when": "a > 1", "severity": "bad"}},
        {"checks": [{"id": "a"}]},
        {"causes": {"Memory.Leak": {"title": "t"}}},
        {"causes": {"memory.leak": {"title": "t", "support": {"a": 2}}}},
        {"sop": "text"},
    ):
        assert errors(tree(**change), good), change


def test_with_a_catalog_probes_and_settings_are_known() -> None:
    """An editor can offer probes, their settings and labels."""
    known = tree_schema(CATALOG)
    check = {"id": "a", "expr": "b", "probe": "memray", "with": {"seconds": 8}}
    assert errors(tree(checks=[check]), known) == []
    assert errors(tree(checks=[{**check, "probe": "memry"}]), known)
    assert errors(tree(checks=[{**check, "with": {"second": 8}}]), known)
    assert errors(tree(each=["pod"]), known)
