"""How sure: an interval from what is known to hold and what may still hold."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from agent.diagnosis import Confidence
from agent.engine.trees import Cause
from agent.model import Truth

EPSILON = 1e-9
"""Confidences closer than this are equal."""

ACTIVE_FROM = 0.5
"""From here on a cause is named (design section 5)."""


def confidence(cause: Cause, truths: Mapping[str, Truth]) -> Confidence:
    """``lo``: 0 unless every ``require`` is true; else 1 - prod(1 - w) over true supports, times (1 - w) for refutes true or
    unknown. ``hi``: unknown supports and requires count as true, unknown refutes are dropped."""
    required = [truths.get(name) for name in cause.require]
    lo = _strength(cause.support, truths, {True}) * _weakness(cause.refute, truths, {True, None})
    hi = _strength(cause.support, truths, {True, None}) * _weakness(cause.refute, truths, {True})
    return Confidence(lo if all(required) else 0.0, 0.0 if False in required else hi)


def active(c: Confidence) -> bool:
    """Known well enough to be named."""
    return c.lo >= ACTIVE_FROM - EPSILON


def possible(c: Confidence) -> bool:
    """Not known, not ruled out."""
    return not active(c) and c.hi >= ACTIVE_FROM - EPSILON


def _strength(weights: Mapping[str, float], truths: Mapping[str, Truth], counted: set[Truth]) -> float:
    return 1.0 - prod(1.0 - w for name, w in weights.items() if truths.get(name) in counted)


def _weakness(weights: Mapping[str, float], truths: Mapping[str, Truth], counted: set[Truth]) -> float:
    return prod(1.0 - w for name, w in weights.items() if truths.get(name) in counted)
