from collections.abc import Iterable

import pytest

from agent.engine.expr import ExprError, Instance, Scope, compile_expr
from agent.model import Kind, Labels, Metric, labels
from tests.fakes.scope import HOST, ME, SCOPE, evaluate
from tests.fakes.view import FakeView

TYPED = Scope(
    {
        **SCOPE.metrics,
        "errors_total": Metric("errors_total", Kind.COUNTER, "", "", ("pid", "type")),
        "spots": Metric("spots", Kind.GAUGE, "", "", ("pid", "type")),
    },
    ("pid",),
    checks=frozenset({"grows"}),
)
VIEW = FakeView.of(
    {
        ("rss", labels(pid=1)): "10*60",
        ("rss", labels(pid=11)): "30*60",
        ("rss", labels(pid=2)): "20*60",
        ("cpu_total", labels(pid=1)): "0+0.1x59",
        ("cpu_total", labels(pid=2)): "0+0.9x59",
        ("cpu_total", labels(pid=3)): "0+0.5x59",
        ("memory_free", labels(cgroup="/job")): "5*60",
        ("memory_free", labels(cgroup="/other")): "1*60",
        ("busy_total", labels(device="sda")): "0+0.2x59",
        ("busy_total", labels(device="sdb")): "0+0.8x59",
        ("full", labels(mountpoint="/")): "0.5*60",
        ("full", labels(mountpoint="/data")): "0.97*60",
        ("received_total", labels(interface="eth0")): "0+50x59",
        ("received_total", labels(interface="eth1")): "0+10x59",
        ("line_rate", labels(interface="eth0")): "100*60",
        ("line_rate", labels(interface="eth1")): "100*60",
    }
)


def test_the_chain_finds_the_cgroup_of_the_process() -> None:
    """A cgroup's series is bound through the process."""
    assert evaluate("memory_free", VIEW).value == 5.0


def test_a_missing_link_is_unknown() -> None:
    """A process whose cgroup is not known has no such series."""
    result = evaluate("memory_free < 9", VIEW, instance=Instance({"pid": "1"}))
    assert (result.value, result.missing) == (None, ("memory_free",))


def test_the_greatest_is_the_culprit() -> None:
    """The arg-max comes first."""
    result = evaluate("max_of(rate(busy_total, 1m)) > 50%", VIEW)
    assert result.value is True
    assert result.culprits[0] == labels(device="sdb")
    assert result.terms[0].text == "max_of(rate(busy_total, 1m))"


def test_any_of_names_those_that_hold() -> None:
    """Only the full one is to blame."""
    result = evaluate("any_of(full > 90%)", VIEW)
    assert (result.value, result.culprits) == (True, (labels(mountpoint="/data"),))
    assert evaluate("any_of(full > 99%)", VIEW).value is False


def test_any_of_is_unknown_while_one_could_still_hold() -> None:
    """A mount that gives no figure is not healthy."""
    view = FakeView.of({("full", labels(mountpoint="/")): "0.5*60 _*300", ("full", labels(mountpoint="/data")): "0.5*360"})
    assert evaluate("any_of(full > 90%)", view).value is None
    assert evaluate("any_of(full > 40%)", view).value is True


def test_two_series_of_one_interface_are_joined() -> None:
    """Traffic by line rate, per interface."""
    result = evaluate("max_of(rate(received_total, 1m) / line_rate)", VIEW)
    assert result.value == pytest.approx(0.5)
    assert result.culprits[0] == labels(interface="eth0")


def test_others_leave_out_the_own_tree() -> None:
    """A neighbour's CPU is not ours, and ours is not a neighbour's."""
    assert evaluate("sum_of_others(rate(cpu_total, 1m))", VIEW).value == pytest.approx(1.4)
    assert evaluate("max_of_others(rate(cpu_total, 1m))", VIEW).culprits[0] == labels(pid=2)
    assert evaluate("sum_of(rate(cpu_total, 1m))", VIEW).value == pytest.approx(0.1)


def test_nobody_else_is_nothing() -> None:
    """Alone on the host, the others take 0; their greatest is unknown."""
    alone = Instance({"pid": "1"}, frozenset({"1", "2", "3", "11"}))
    assert evaluate("sum_of_others(rate(cpu_total, 1m))", VIEW, instance=alone).value == 0.0
    assert evaluate("max_of_others(rate(cpu_total, 1m))", VIEW, instance=alone).value is None


def test_a_pid_ranges_over_the_own_tree() -> None:
    """The biggest of our processes, not of the host's."""
    assert evaluate("max_of(rss)", VIEW).value == 30.0
    assert evaluate("sum_of(rss)", VIEW).value == 40.0


def test_on_the_host_an_aggregator_sees_everyone() -> None:
    """Without an instance nothing is held fast."""
    assert evaluate("sum_of(rss)", VIEW, HOST, Instance()).value == 60.0


def test_without_series_an_aggregator_is_unknown() -> None:
    """No devices is no health."""
    assert evaluate("max_of(rate(busy_total, 1m)) > 1", FakeView()).value is None
    assert evaluate("any_of(full > 1)", FakeView()).value is None
    assert evaluate("sum_of(rate(busy_total, 1m))", FakeView()).value is None


def test_absence_is_a_fact() -> None:
    """For one series, for all of a name, and for a label nobody knows."""
    assert evaluate("absent(rss, 1m)", VIEW).value is False
    assert evaluate("absent(busy_total, 1m)", VIEW).value is False
    assert evaluate("absent(about, 1m)", VIEW).value is True
    assert evaluate("absent(memory_free, 1m)", VIEW, instance=Instance({"pid": "1"})).value is True


@pytest.mark.parametrize(
    ("text", "answer", "expected"),
    [
        ("leak_share > 50%", {"leak_share": 0.9}, True),
        ("leak_share > 50%", {}, None),
        ("leak_share > 50%", {"leak_share": True}, None),
        ("verdict == 'leak'", {"verdict": "leak"}, True),
        ("verdict != 'leak'", {"verdict": None}, None),
        ("not frozen", {"frozen": False}, True),
        ("frozen", {"frozen": "yes"}, None),
    ],
)
def test_answers_of_the_wrong_type_are_unknown(
    text: str, answer: dict[str, float | bool | str | None], expected: bool | None
) -> None:
    """A probe that answers nonsense has not answered."""
    assert evaluate(text, VIEW, **answer).value is expected


def test_instances_of_one_round_do_not_mix() -> None:
    """The shared walk keeps cgroups apart."""
    scope = Scope(SCOPE.metrics, ("cgroup",))
    values = [evaluate("memory_free", VIEW, scope, Instance({"cgroup": c})).value for c in ("/job", "/other")]
    assert values == [5.0, 1.0]
    assert ME.labels["pid"] == "1"


def test_labels_in_braces_choose_the_series() -> None:
    """A label fixed by its value needs no aggregator, and the others are bound as ever."""
    view = FakeView.of({("errors_total", labels(pid=1, type=t)): f"0+{n}x59" for t, n in (("crc", 2), ("replay", 5))})
    assert evaluate("delta(errors_total{type='crc'}, 1m)", view, TYPED).value == 118.0
    assert evaluate("errors_total{type='replay'}", view, TYPED).value == 295.0
    assert evaluate("sum_of(delta(errors_total, 1m))", view, TYPED).value == 413.0
    assert evaluate("absent(errors_total{type='crc'}, 1m)", view, TYPED).value is False
    assert evaluate("absent(errors_total{type='ecc'}, 1m)", view, TYPED).value is True


def test_labels_in_braces_choose_inside_an_aggregator() -> None:
    """Only series with that value are folded, and they can be joined with others."""
    view = FakeView.of({("spots", labels(pid=p, type=t)): f"{p}*60" for p in (1, 11) for t in ("a", "b")})
    assert evaluate("sum_of(spots{type='a'})", view, TYPED).value == 12.0
    assert evaluate("max_of(spots{type='a'} / spots{type='b'})", view, TYPED).value == 1.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("errors_total{kind='crc'} > 0", "errors_total has no label 'kind'"),
        ("errors_total{type='crc' > 0", "expected '}', found '>'"),
        ("errors_total{type} > 0", "expected '=', found '}'"),
        ("errors_total{'crc'} > 0", "expected a label"),
        ("errors_total > 0", "does not say which type"),
        ("grows{type='x'}", "grows is no series"),
    ],
)
def test_wrong_braces_are_explained(text: str, message: str) -> None:
    """Each slip by itself."""
    with pytest.raises(ExprError) as caught:
        compile_expr(text, TYPED)
    assert message in str(caught.value)


def test_others_are_those_on_the_same_gpu() -> None:
    """A process of another GPU is nobody's neighbour here."""
    busy = {("share", labels(uuid=u, pid=p)): f"{v}*60" for u, p, v in (("a", 1, 0.2), ("a", 2, 0.3), ("b", 3, 0.9))}
    scope = Scope({"share": Metric("share", Kind.GAUGE, "ratio", "", ("uuid", "pid"))}, ("pid", "uuid"))
    me = Instance({"pid": "1", "uuid": "a"}, frozenset({"1"}))
    assert evaluate("max_of_others(share)", FakeView.of(busy), scope, me).value == 0.3


def test_an_owner_is_what_either_account_of_a_process_knows() -> None:
    """The account of a GPU's users reads the job from the environment; the host's own one may know only the user."""
    scope = Scope({"share": Metric("share", Kind.GAUGE, "ratio", "", ("uuid", "pid"))}, ("pid", "uuid"))
    columns: dict[str | tuple[str, Labels], str | Iterable[float]] = {
        ("gpu_process_info", labels(uuid="g", pid=p, job=job, user="")): "1*60" for p, job in ((1, "a"), (3, "b"))
    }
    columns |= {("process_info", labels(pid=p, job="", user="root")): "1*60" for p in (1, 3)}
    columns |= {("share", labels(uuid="g", pid=p)): f"0.{p}*60" for p in (1, 3)}
    me = Instance({"uuid": "g", "pid": "1"}, frozenset({"1"}))
    assert evaluate("max_of_strangers(share)", FakeView.of(columns), scope, me).value == pytest.approx(0.3)
    launched = Instance({"uuid": "g", "pid": "1"}, frozenset({"1", "3"}))
    assert evaluate("max_of_strangers(share)", FakeView.of(columns), scope, launched).value == pytest.approx(0.3)


def test_strangers_belong_to_another_owner() -> None:
    """Workers of one job that were started apart are no strangers to each other; nor is one whose owner nobody knows."""
    scope = Scope({"share": Metric("share", Kind.GAUGE, "ratio", "", ("uuid", "pid"))}, ("pid", "uuid"))
    owners = {1: "a", 2: "a", 3: "b", 4: ""}
    columns: dict[str | tuple[str, Labels], str | Iterable[float]] = {
        ("gpu_process_info", labels(uuid="g", pid=p, job=job, user="")): "1*60" for p, job in owners.items()
    }
    columns |= {("share", labels(uuid="g", pid=p)): f"0.{p}*60" for p in owners}
    me = Instance({"pid": "1", "uuid": "g"}, frozenset({"1"}))
    result = evaluate("max_of_strangers(share)", FakeView.of(columns), scope, me)
    assert (result.value, result.culprits[0]) == (0.3, labels(uuid="g", pid=3))
    del columns["share", labels(uuid="g", pid=3)]
    assert evaluate("max_of_strangers(share)", FakeView.of(columns), scope, me).value == 0.0


def test_how_long_ago_a_moment_was() -> None:
    """A boot time says how young the host is."""
    scope = Scope({**SCOPE.metrics, "boot_time": Metric("boot_time", Kind.GAUGE, "seconds", "")}, ("pid",))
    view = FakeView.of({"boot_time": "-240*61"})
    assert evaluate("age(boot_time)", view, scope).value == 300.0
    assert evaluate("age(boot_time) > 5m", FakeView.of({"load": "1*61"}), scope).value is None
    for wrong in ("age(load) > 1", "age(boot_time, 5m) > 1"):
        with pytest.raises(ExprError, match="tells a moment"):
            compile_expr(wrong, scope)
