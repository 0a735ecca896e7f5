"""What a probe is handed: where to keep files and how gentle to be."""

from __future__ import annotations

from agent.dataclass import dataclass


@dataclass
class ProbeTools:
    """Implements :class:`agent.model.Tools`. Folders are created by whoever builds this, with mode 0700."""

    artifacts_dir: str
    state_dir: str
    gentle: bool = False
    deep: bool = False
