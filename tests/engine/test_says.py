"""Figures and conditions in words."""

from __future__ import annotations

import pytest

from agent.engine.entities import Entities
from agent.engine.expr import Instance, Round, Scope, Term, compile_expr
from agent.engine.says import culprit, figure, holding, said, unit_in
from agent.model import Culprit, Kind, Metric, labels
from tests.fakes.rules import CATALOG, of, process
from tests.fakes.view import FakeView

LABELLED = {"host_load1": Metric("host_load1", Kind.GAUGE, "", "Load.", ("kind",))}


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (3250585.6, "bytes/second", "3.1 MiB/s"),
        (0.934, "ratio", "93.4 %"),
        (0.005, "ratio", "0.5 %"),
        (9.7e-7, "ratio", "under 0.01 %"),
        (90.0, "seconds", "90 s"),
        (0.08, "seconds", "80 ms"),
        (900.0, "seconds", "15 min"),
        (float("inf"), "seconds", "never"),
        (12 * 3600.0, "seconds", "12 h"),
        (30 * 86400.0, "seconds", "30 d"),
        (1_980_000_000.0, "hertz", "1.98 GHz"),
        (345e6, "hertz", "345 MHz"),
        (999.7e6, "hertz", "1 GHz"),
        (-15e6, "hertz", "-15 MHz"),
        (0.0, "hertz", "0 Hz"),
        (698.5, "watts", "698 W"),
        (64.0, "celsius", "64 °C"),
        (0.05, "celsius/second", "0.05 °C/s"),
        (3.6e9, "joules", "3.6 GJ"),
        (350.0, "joules/second", "350 J/s"),
        (0.25, "1/second", "0.25/s"),
        (12.40, "", "12.4"),
        (1.5, "cores", "1.5 cores"),
        (0.0, "bytes", "0 B"),
        (100.0, "", "100"),
        (1234567.0, "", "1234567"),
        (None, "bytes", "unknown"),
        (True, "", "yes"),
        ("leak", "str", "'leak'"),
    ],
)
def test_figures_read_like_figures(value: float | str | bool | None, unit: str, text: str) -> None:
    """Base units become the units people think in."""
    assert figure(value, unit) == text


def test_a_condition_shows_what_it_saw() -> None:
    """Each term gets its value behind it, the threshold stays as written."""
    view = FakeView.of({of("process_threads", 1): "12*10", "host_load1": "3*10"})
    condition = compile_expr("process_threads > 10 and host_load1 > 2", Scope(CATALOG.metrics, ("pid",)))
    result = condition.evaluate(Round(view), Instance({"pid": "1"}))
    assert said(condition, result) == "process_threads = 12 > 10 and host_load1 = 3 > 2"


def test_a_share_of_time_is_told_as_the_share_it_is_compared_with() -> None:
    """Seconds a second are a plain number to the units; beside ``35%`` a reader expects 91 %. Cores stay cores."""
    view = FakeView.of({of("process_cpu_seconds_total", 1): "0+0.91x60"})
    condition = compile_expr(
        "rate(process_cpu_seconds_total, 12s) > 35% and rate(process_cpu_seconds_total, 30s) < 2", Scope(CATALOG.metrics, ("pid",))
    )
    text = said(condition, condition.evaluate(Round(view), Instance({"pid": "1"})))
    assert text == "rate(process_cpu_seconds_total, 12s) = 91 % > 35% and rate(process_cpu_seconds_total, 30s) = 0.91 < 2"
    condition = compile_expr(
        "process_threads > 50% * host_load1 or host_load1 - process_threads > 50%", Scope(CATALOG.metrics, ("pid",))
    )
    view = FakeView.of({of("process_threads", 1): "3*10", "host_load1": "2*10"})
    text = said(condition, condition.evaluate(Round(view), Instance({"pid": "1"})))
    assert text.startswith("process_threads = 3 > 50% * host_load1 = 2")
    full = compile_expr("max_of(host_load1) > 97%", Scope(LABELLED))
    assert [unit_in(full, Term(name, 0.98)) for name in ("max_of(host_load1)", "host_load1", "other")] == ["ratio", "", ""]


def test_a_name_inside_another_name_is_left_alone() -> None:
    """``a`` is not shown inside ``a_b``, and a term mentioned twice is shown once each."""
    view = FakeView.of({"host_load1": "3*400"})
    condition = compile_expr("avg(host_load1, 1m) > 2 and host_load1 > 1", Scope(CATALOG.metrics))
    text = said(condition, condition.evaluate(Round(view), Instance()))
    assert text == "avg(host_load1, 1m) = 3 > 2 and host_load1 = 3 > 1"


def test_label_sets_become_culprits() -> None:
    """A pid is a process with its name, a mount a mount; the figure that singled it out goes along."""
    view = FakeView.of({process(7, comm="hog"): "1*5"})
    entities = Entities.of(Round(view))
    assert culprit(labels(pid=7), entities, Term("x", 0.5, "ratio")) == Culprit("process", "hog", pid=7, share=0.5, detail="50 %")
    assert culprit(labels(mountpoint="/data", device="sda"), entities) == Culprit("mount", "/data")
    assert culprit(labels(interface="eth0"), entities, Term("x", 5.0, "/second")) == Culprit("link", "eth0", rate=5.0, detail="5/s")
    full = culprit(labels(mountpoint="/data"), entities, Term("x", 0.985), "ratio")
    assert full == Culprit("mount", "/data", detail="98.5 %")
    assert culprit(labels(odd="x"), entities) is None


def test_a_symptom_says_what_holds_of_it_and_nothing_else() -> None:
    """The first of its alternatives; what stands in brackets belongs together."""
    parts = ["process_threads > 99", "(host_load1 > 9 or process_threads > 10) and process_threads < 50", "host_load1 > 1"]
    condition = compile_expr(" or ".join(parts), Scope(CATALOG.metrics, ("pid",)))
    round = Round(FakeView.of({of("process_threads", 1): "12*10", "host_load1": "3*10"}))
    assert [part.text for part in condition.alternatives] == parts
    assert (
        holding(condition, round, Instance({"pid": "1"}))
        == "(host_load1 = 3 > 9 or process_threads = 12 > 10) and process_threads < 50"
    )
    false = compile_expr("host_load1 > 8 or host_load1 > 9", Scope(CATALOG.metrics))
    assert holding(false, round, Instance()) == "host_load1 = 3 > 8 or host_load1 > 9"


def test_a_long_list_of_names_is_cut() -> None:
    """The rules have it whole."""
    condition = compile_expr("absent(host_load1{kind='a|b|c|d|e'}, 1m) or absent(host_load1{kind='a|b|c'}, 1m)", Scope(LABELLED))
    text = said(condition, condition.evaluate(Round(FakeView.of({"host_load1": "3*10"})), Instance()))
    assert "'a|b|… 3 more'" in text
    assert "'a|b|c'" in text
