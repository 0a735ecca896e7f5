"""As much of JSON Schema as our exported schema uses."""

from __future__ import annotations

import re
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_KNOWN = {"$schema", "title", "description", "then", "if", "additionalProperties", "properties", "patternProperties"}


def errors(value: Any, schema: Any, at: str = "$") -> list[str]:
    """What the schema says against a value; an unknown keyword is an error of the test."""
    if schema is True or schema == {}:
        return []
    if schema is False:
        return [f"{at}: not allowed"]
    found: list[str] = []
    for word, rule in schema.items():
        if word not in _KNOWN and not globals()[f"_{word}"](value, rule, at):
            found.append(f"{at}: {word} {rule}")
    if "if" in schema and not errors(value, schema["if"]):
        found += errors(value, schema["then"], at)
    return found + _children(value, schema, at)


def _children(value: Any, schema: Any, at: str) -> list[str]:
    found: list[str] = []
    for key, child in value.items() if isinstance(value, dict) else []:
        named = [schema["properties"][key]] if key in schema.get("properties", {}) else []
        named += [s for p, s in schema.get("patternProperties", {}).items() if re.search(p, key)]
        for one in named or [schema.get("additionalProperties", True)]:
            found += errors(child, one, f"{at}.{key}")
    return found


def _type(value: Any, rule: str, at: str) -> bool:
    return isinstance(value, _TYPES[rule]) and (rule == "boolean" or not isinstance(value, bool))


def _required(value: Any, rule: list[str], at: str) -> bool:
    return not isinstance(value, dict) or all(key in value for key in rule)


def _items(value: Any, rule: Any, at: str) -> bool:
    return not isinstance(value, list) or not any(errors(item, rule, at) for item in value)


def _anyOf(value: Any, rule: list[Any], at: str) -> bool:
    return any(not errors(value, one, at) for one in rule)


def _allOf(value: Any, rule: list[Any], at: str) -> bool:
    return all(not errors(value, one, at) for one in rule)


def _enum(value: Any, rule: list[Any], at: str) -> bool:
    return value in rule


def _const(value: Any, rule: Any, at: str) -> bool:
    return bool(value == rule)


def _pattern(value: Any, rule: str, at: str) -> bool:
    return not isinstance(value, str) or re.search(rule, value) is not None


def _minimum(value: Any, rule: float, at: str) -> bool:
    return not isinstance(value, int | float) or value >= rule


def _maximum(value: Any, rule: float, at: str) -> bool:
    return not isinstance(value, int | float) or value <= rule


def _exclusiveMinimum(value: Any, rule: float, at: str) -> bool:
    return not isinstance(value, int | float) or value > rule


def _propertyNames(value: Any, rule: Any, at: str) -> bool:
    return not isinstance(value, dict) or not any(errors(key, rule, at) for key in value)
