"""A small world of metrics, answers and checks to write conditions about."""

from __future__ import annotations

from agent.engine.expr import Instance, Result, Round, Scope, compile_expr
from agent.model import Kind, Metric, View

METRICS = {
    m.name: m
    for m in (
        Metric("rss", Kind.GAUGE, "bytes", "", ("pid",)),
        Metric("cpu_total", Kind.COUNTER, "seconds", "", ("pid",)),
        Metric("about", Kind.INFO, "", "", ("pid", "comm")),
        Metric("memory_free", Kind.GAUGE, "bytes", "", ("cgroup",)),
        Metric("busy_total", Kind.COUNTER, "seconds", "", ("device",)),
        Metric("full", Kind.GAUGE, "ratio", "", ("mountpoint",)),
        Metric("load", Kind.GAUGE, "", ""),
        Metric("latency", Kind.GAUGE, "seconds", ""),
        Metric("oom_total", Kind.COUNTER, "", ""),
        Metric("received_total", Kind.COUNTER, "bytes", "", ("interface",)),
        Metric("line_rate", Kind.GAUGE, "bytes/second", "", ("interface",)),
    )
}
ANSWERS = {
    m.name: m
    for m in (
        Metric("leak_share", Kind.GAUGE, "ratio", ""),
        Metric("verdict", Kind.INFO, "", ""),
        Metric("frozen", Kind.GAUGE, "bool", ""),
    )
}
SCOPE = Scope(METRICS, ("pid",), ANSWERS, frozenset({"grows", "swaps"}))
HOST = Scope(METRICS)
ME = Instance({"pid": "1", "cgroup": "/job"}, frozenset({"1", "11"}))


def evaluate(text: str, view: View, scope: Scope = SCOPE, instance: Instance = ME, **answers: float | bool | str | None) -> Result:
    """Compile and judge once."""
    return compile_expr(text, scope).evaluate(Round(view, answers), instance)
