"""Remove old files from a folder that was allowed by name."""

from __future__ import annotations

from agent.actions._clearing import Clearing


class Action(Clearing):
    """``path``, ``age``, ``pattern``, ``most`` bytes, ``skip_open``; nothing else below or beside is touched, no link followed."""
