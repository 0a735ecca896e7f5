"""What ``anfl-agent doctor`` checks: rights, kernel, tools, folders, and one reading of every source."""

from __future__ import annotations

import os
from typing import Any

from agent.app import build
from agent.config import Config
from agent.investigate import Progress
from agent.reports import doctor as checks


async def doctor(config: Config, *, fix: bool, wheelhouse: str | None, progress: Progress) -> list[Any]:
    """All checks of ``anfl-agent doctor``; with ``fix`` mend what can be mended here."""
    agent = build(config, burst=True)
    try:
        progress("reading every source once")
        items = [*checks.rights(), *checks.kernel(), *await checks.tools()]
        items += [*await checks.bundles(config.state_dir, fix, wheelhouse, progress)]
        items += [*checks.folders(config.state_dir, config.artifacts_dir, fix), *checks.state(config.state_path)]
        items += [*await checks.sources(agent.watch)]
        items += [*checks.nvml(agent.nvml())]
        items += [*checks.receivers(config.receivers, os.environ)]
        items += [checks.Item("Rules", "trees", "ok", f"{len(agent.rules.trees)} trees, {len(agent.rules.causes)} causes")]
        items += [checks.Item("Plug-ins", b.name, "missing", b.why, "reinstall the agent") for b in agent.plugins.broken]
        return items
    finally:
        agent.close()
