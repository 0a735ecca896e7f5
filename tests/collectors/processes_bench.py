"""A process collector over a made-up /proc, ticked second by second."""

from pathlib import Path
from typing import Any

import pytest

from agent.collectors.processes import Collector
from agent.model import Event, Item, Sample
from tests.collectors.figures import events, figures, flat
from tests.fakes.proctree import Second, Tree

MIB = 1024  # in KiB, as the made-up processes are sized


class Bench:
    """``tree`` holds the processes, ``tick`` collects; pid 1 and a kernel thread are there from the start."""

    def __init__(self, root: Path, **settings: Any) -> None:
        self.tree = Tree(root)
        self.tree.put(1, name="systemd", ppid=0, rss=4 * MIB)
        self.tree.put(2, name="kthreadd", ppid=0, flags=0x200000, rss=0)
        self.collector = Collector(proc=str(root), **settings)
        self.collector.clock = Second()
        self.brought: list[Item] = []
        self.last: list[Sample | Event] = []

    def tick(self, seconds: int = 1) -> dict[str, float]:
        """So many collections, a second apart; the figures of the last one."""
        for _ in range(seconds):
            self.brought = list(self.collector.collect())
        self.last = flat(self.brought)
        return figures(self.last)

    @property
    def events(self) -> list[tuple[str, dict[str, str]]]:
        """Kind and labels of the last tick's events."""
        return events(self.last)

    @property
    def info(self) -> dict[str, dict[str, str]]:
        """Labels of every process_info of the last tick, by pid."""
        found = [dict(s.series.labels) for s in self.last if isinstance(s, Sample) and s.series.name == "process_info"]
        return {told["pid"]: told for told in found}

    @property
    def roots(self) -> set[str]:
        """Pids of the subjects of the last tick."""
        named = [s for s in self.last if isinstance(s, Sample) and s.series.name == "process_tree_processes"]
        return {dict(s.series.labels)["pid"] for s in named}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Default settings."""
    return Bench(tmp_path)
