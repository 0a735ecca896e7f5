import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.engine.expr import Compiled, ExprError, ExprProblem, compile_expr
from agent.model import labels
from tests.fakes.scope import METRICS, SCOPE, evaluate
from tests.fakes.view import FakeView

WORDS = [
    *METRICS,
    *("leak_share", "verdict", "frozen", "grows", "nobody"),
    *(
        "avg",
        "rate",
        "floor_slope",
        "max_of",
        "any_of",
        "sum_of_others",
        "(",
        ")",
        ",",
        "(",
        ")",
        "5m",
        "90%",
        "2GiB",
        "3",
        "'leak'",
    ),
    *("and", "or", "not", "<", "<=", "==", "!=", ">", "+", "-", "*", "/", "&&", "§", "5mins", "true"),
]
VIEW = FakeView.of({("rss", labels(pid=1)): "1GiB+1MiBx300", ("cpu_total", labels(pid=1)): "0+0.5x300"})


def _compile(text: str) -> tuple[Compiled | None, tuple[ExprProblem, ...]]:
    try:
        return compile_expr(text, SCOPE), ()
    except ExprError as error:
        return None, error.problems


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60) | st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join))
def test_any_text_compiles_or_is_refused_with_places(text: str) -> None:
    """No text crashes the compiler, and what it accepts can be judged without any data."""
    compiled, problems = _compile(text)
    assert all(0 <= p.offset <= len(text) and p.length >= 1 for p in problems)
    assert (compiled is None) is bool(problems)
    if compiled is not None:
        assert compiled.type != "bool" or evaluate(text, FakeView()).value in (None, True, False)
        assert all(m.text != text for _, m in compiled.mutants())


def test_what_an_expression_needs_is_listed() -> None:
    """The loader checks gates, probes and memory by these."""
    compiled = compile_expr("avg(rss, 1h) > 1GiB and leak_share > 50% and not swaps", SCOPE)
    assert (compiled.series, compiled.answers, compiled.checks) == ({"rss"}, {"leak_share"}, {"swaps"})
    assert (compiled.longest_window, compiled.type) == (3600.0, "bool")


def test_terms_show_what_was_looked_at() -> None:
    """Evidence text needs the values behind the answer."""
    result = evaluate("slope(rss,  5m) > 1MiB / 1m and rate(cpu_total, 1m) > 40%", VIEW)
    assert result.value is True
    assert [(t.text, t.value, t.unit) for t in result.terms] == [
        ("slope(rss, 5m)", pytest.approx(2**20), "bytes/second"),
        ("rate(cpu_total, 1m)", pytest.approx(0.5), ""),
    ]


def test_what_is_missing_is_named_once() -> None:
    """The report says which series would have told."""
    result = evaluate("memory_free > 1 or avg(memory_free, 1m) > 1 or load > 1", VIEW)
    assert (result.value, result.missing) == (None, ("memory_free", "load"))


def test_what_is_decided_needs_no_missing_data() -> None:
    """One true side of an `or` is enough."""
    assert evaluate("load > 1 or rss > 1GiB", VIEW).value is True
    assert evaluate("load > 1 and rss < 1GiB", VIEW).value is False


def test_a_mutant_turns_or_scales_one_thing() -> None:
    """Every comparison, joint and threshold once; windows stay."""
    compiled = compile_expr("avg(rss, 5m) > 2MiB and latency <= 0 or frozen", SCOPE)
    assert [m.text for _, m in compiled.mutants()] == [
        "avg(rss, 5m) < 2MiB and latency <= 0 or frozen",
        "avg(rss, 5m) > 20MiB and latency <= 0 or frozen",
        "avg(rss, 5m) > 2MiB or latency <= 0 or frozen",
        "avg(rss, 5m) > 2MiB and latency > 0 or frozen",
        "avg(rss, 5m) > 2MiB and latency <= 1 or frozen",
        "avg(rss, 5m) > 2MiB and latency <= 0 and frozen",
    ]
    assert compiled.mutants()[1][0] == "'2MiB' became '20MiB' at column 16"


def test_a_burst_opens_the_fast_path_only() -> None:
    """Twenty seconds of samples answer `grow` and leave the hour unknown."""
    view = FakeView.of({("rss", labels(pid=1)): "1GiB+1MiBx19"})
    assert evaluate("grow(rss, 20s) > 2MiB / 1m", view).value is True
    assert evaluate("grow(rss, 30s) > 2MiB / 1m", view).value is True
    assert evaluate("floor_slope(rss, 1h) > 1MiB / 1m", view).value is None
    assert evaluate("rate(cpu_total, 5m) > 1", view).value is None
