"""Tell another system, which does what no agent on a host can: retrain, clean data, open a ticket."""

from __future__ import annotations

from agent.actions._hook import Hook


class Action(Hook):
    """``url``, ``what`` (in words), ``body`` (JSON on top), ``secret_file``, ``deadline``."""
