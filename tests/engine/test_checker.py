import pytest

from agent.engine.expr import ExprError, Scope, compile_expr
from tests.fakes.scope import HOST, SCOPE


def _problems(text: str, scope: Scope = SCOPE) -> list[tuple[str, str]]:
    with pytest.raises(ExprError) as refused:
        compile_expr(text, scope)
    return [(p.message, p.help) for p in refused.value.problems]


@pytest.mark.parametrize(
    "text",
    [
        "rss > 2GiB",
        "slope(rss, 5m) > 2MiB / 1m",
        "rate(cpu_total, 1m) > 90%",
        "max_of(rate(received_total, 1m) / line_rate) > 90%",
        "eta(memory_free, 10m) < 15m",
        "verdict == 'leak' and frozen and leak_share > 50%",
        "grows or not swaps",
        "0.7 * rss + 1GiB < memory_free",
        "absent(busy_total, 5m)",
        "load > 3",
    ],
)
def test_sound_conditions_are_true_or_false(text: str) -> None:
    """What rules are made of compiles to a truth."""
    assert compile_expr(text, SCOPE).type == "bool"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rss > 5m", "compares bytes with seconds"),
        ("rss > 90%", "compares bytes with ratio"),
        ("rss + 5m > 0", "'+' on bytes and seconds"),
        ("rate(rss, 1m) > 1", "rate does not take a gauge: rss"),
        ("slope(cpu_total, 1m) > 1", "slope does not take a counter: cpu_total"),
        ("grow(cpu_total, 1m) > 1", "grow does not take a counter: cpu_total"),
        ("avg(rss, 5) > 1", "the window of avg must be a time, not '5'"),
        ("avg(rss) > 1", "avg takes a series and a window"),
        ("avg(rss + 1, 5m) > 1", "avg needs a series, not 'rss + 1'"),
        ("verdict > 'leak'", "'>' needs numbers, not a text"),
        ("verdict == 1", "compares a text with a number"),
        ("grows and rss", "'and' joins conditions, but 'rss' is a number"),
        ("about > 1", "about has labels, not a value"),
        ("avg(leak_share, 5m) > 1", "leak_share is no series: it has one value and no history"),
        ("any_of(full)", "any_of needs a condition, such as any_of(x > 0)"),
        ("max_of(full > 1) > 1", "max_of needs a number"),
        ("max_of(max_of(full)) > 1", "aggregators do not nest"),
        ("max_of(load) > 1", "max_of has nothing to choose from: one series at most"),
        ("max_of(leak_share) > 1", "leak_share is not a series, and an aggregator is about series"),
        ("sum_of_others(full) > 1", "sum_of_others is about processes, and full has no pid"),
        ("max_of(full * busy_total) > 1", "busy_total and full cannot be joined: neither's labels contain the other's"),
    ],
)
def test_each_mistake_is_named(text: str, message: str) -> None:
    """One slip gives one message in plain words."""
    assert [m for m, _ in _problems(text)] == [message]


def test_all_mistakes_come_at_once() -> None:
    """Four slips in one line, each with its mend."""
    found = _problems("avg(rs, 5mins) > 1 and slop(rss, 5m) > 1 && leak_shar > 1 or rss > 5m")
    assert [h for _, h in found] == [
        "did you mean 'rss'?",
        "did you mean 'm'?",
        "did you mean 'slope'?",
        "write 'and'",
        "did you mean 'leak_share'?",
        "",
    ]


def test_the_prefix_of_exported_metrics_is_explained() -> None:
    """Who copies a name from a dashboard learns that rules drop the prefix."""
    assert _problems("anfl_rss > 1")[0][1] == "did you mean 'rss'?"


def test_a_threshold_without_its_time_is_explained() -> None:
    """The commonest slip: a rate against a size."""
    assert "divide the threshold by a time" in _problems("slope(rss, 5m) > 2MiB")[0][1]


def test_several_series_need_an_aggregator() -> None:
    """A label that nothing binds is a load error, with the mend."""
    message, help = _problems("rate(busy_total, 1m) > 1")[0]
    assert "does not say which device" in message
    assert "max_of()" in help
    assert compile_expr("max_of(rate(busy_total, 1m)) > 1", SCOPE)


def test_the_chain_binds_downwards_only() -> None:
    """A process knows its cgroup; the host does not know one process."""
    assert compile_expr("memory_free < 1GiB", SCOPE)
    assert _problems("memory_free < 1GiB", HOST)
    assert _problems("rss < 1GiB", Scope(SCOPE.metrics, ("cgroup",)))
