"""JSON Schema of a tree file, from the same classes the loader reads: for editors (yaml-language-server)."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from agent.engine.ruletestfile import RuleTestFile
from agent.engine.treefile import TreeFile
from agent.engine.trees import Catalog
from agent.model import JsonObject
from agent.yamlfile import Node, Text, parse_bytes, parse_duration, shape

_DIALECT = "http://json-schema.org/draft-07/schema#"
_DURATION = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d|w))+$"
_PLAIN: dict[Any, JsonObject] = {
    str: {"type": "string"},
    Text: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    types.NoneType: {"type": "null"},
    Any: {},
    Node: {},
}
_CAUSE_ID = r"^[a-z][a-z0-9_]*\.[a-z0-9]+(-[a-z0-9]+)*$"


def tree_schema(catalog: Catalog | None = None) -> JsonObject:
    """The schema of ``rules/*.yaml``; with a catalog, probes, their settings and labels are offered too."""
    schema = _object(TreeFile)
    causes = schema["properties"]["causes"]
    cause = causes.pop("additionalProperties")
    causes |= {"patternProperties": {_CAUSE_ID: cause}, "additionalProperties": False}
    for weights in ("support", "refute"):
        cause["properties"][weights]["additionalProperties"] = {"type": "number", "exclusiveMinimum": 0, "maximum": 1}
    if catalog is not None:
        _offer(schema, catalog)
    return {"$schema": _DIALECT, "title": "A diagnosis tree of anfl-agent", **schema}


def cases_schema() -> JsonObject:
    """The schema of ``rules/tests/*.yaml``."""
    return {"$schema": _DIALECT, "title": "Rule tests of anfl-agent", **_object(RuleTestFile)}


def _offer(schema: JsonObject, catalog: Catalog) -> None:
    """Names only a catalog knows."""
    check = schema["properties"]["checks"]["items"]
    check["properties"]["probe"] = {"enum": sorted(catalog.probes)}
    check["allOf"] = [
        {
            "if": {"properties": {"probe": {"const": name}}, "required": ["probe"]},
            "then": {"properties": {"with": {"propertyNames": {"enum": sorted(spec.settings)}}}},
        }
        for name, spec in sorted(catalog.probes.items())
    ]
    labels = sorted({label for m in catalog.metrics.values() for label in m.labels})
    schema["properties"]["each"]["items"] = {"enum": labels}


def _object(cls: Any) -> JsonObject:
    fields = {f.name.rstrip("_"): f for f in dataclasses.fields(cls)}
    missing = dataclasses.MISSING
    made: JsonObject = {
        "type": "object",
        "description": " ".join((cls.__doc__ or "").split()),
        "properties": {key: _schema(kind) for key, kind in shape(cls).items()},
        "required": [key for key, f in fields.items() if f.default is missing and f.default_factory is missing],
        "additionalProperties": False,
    }
    return made


def _schema(kind: Any) -> JsonObject:
    if kind in _PLAIN:
        return dict(_PLAIN[kind])
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return {"anyOf": [_schema(a) for a in args]}
    if origin is Annotated:
        return _quantity(args[1])
    if origin is Literal:
        return {"enum": list(args)}
    if origin is tuple:
        return {"type": "array", "items": _schema(args[0])}
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _schema(args[1])}
    return _object(kind)


def _quantity(parse: Any) -> JsonObject:
    """A number in base units, or text with a unit."""
    text: JsonObject = {"type": "string"}
    if parse is parse_duration:
        text["pattern"] = _DURATION
    elif parse is parse_bytes:
        text["pattern"] = r"^[0-9]+(\.[0-9]+)?\s*[A-Za-z]*$"
    return {"anyOf": [{"type": "number", "minimum": 0}, text]}
