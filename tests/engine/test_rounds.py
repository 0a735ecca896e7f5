from agent.engine.rounds import Round, RoundCache
from tests.fakes.view import FakeView


def test_a_window_is_computed_once_a_round() -> None:
    """However many conditions ask."""
    view = FakeView.of({"load": "1*600"})
    round_ = Round(view)
    assert [round_.window("avg", "load", (), 300.0) for _ in range(3)] == [1.0] * 3
    assert view.fetched == 1


def test_shorter_windows_are_cut_from_longer_ones() -> None:
    """The view is asked once for the longest window."""
    view = FakeView.of({"load": "0*300 1*300"})
    round_ = Round(view)
    assert round_.window("avg", "load", (), 600.0) == 0.5
    assert round_.window("avg", "load", (), 100.0) == 1.0
    assert view.fetched == 1


def test_other_answers_share_what_was_computed() -> None:
    """A probe's answer changes no series."""
    view = FakeView.of({"load": "1*60"})
    round_ = Round(view)
    round_.window("avg", "load", (), 60.0)
    other = round_.with_answers({"leak_share": 0.5}).with_checks({"grows": True})
    assert other.window("avg", "load", (), 60.0) == 1.0
    assert (other.answers, other.checks, round_.answers) == ({"leak_share": 0.5}, {"grows": True}, {})
    assert view.fetched == 1


def test_a_bare_name_is_the_last_value_unless_stale() -> None:
    """A minute is the limit for a series sampled each second."""
    view = FakeView.of({"load": "1*60 5"})
    assert Round(view.at(100.0)).last("load", ()) == 5.0
    assert Round(view.at(130.0)).last("load", ()) is None
    assert Round(view).last("nothing", ()) is None


def test_a_slowly_read_series_stays_fresh_for_three_readings() -> None:
    """Five minutes between readings are no outage."""
    view = FakeView.of({"load": "1*10"}, interval=300.0)
    assert Round(view.at(view.now + 200.0)).last("load", ()) == 1.0


def test_long_windows_are_answered_from_the_round_before() -> None:
    """At most a minute, then they are computed again."""
    view = FakeView.of({"load": "1*3600 9*3600"})
    cache = RoundCache()
    views = [view.at(3500.0 + 5 * i) for i in range(36)]
    seen = [Round(v, cache=cache).window("max", "load", (), 3600.0) for v in views]
    assert sum(v.fetched for v in views) <= 4
    assert seen[0] == 1.0
    assert seen[-1] == 9.0


def test_the_first_sample_of_a_series_is_seen_at_once() -> None:
    """That a series is not there is no answer that holds: what came a second ago is there."""
    view, cache = FakeView.of({"load": "_*600 1*60"}), RoundCache()
    asked = [Round(view.at(595.0 + i), cache=cache) for i in (0, 5, 6)]
    assert [round_.window("absent", "load", (), 3600.0) for round_ in asked] == [True, False, False]
    assert [round_.window("count", "load", (), 3600.0) for round_ in asked] == [0.0, 1.0, 1.0]


def test_short_windows_are_always_fresh() -> None:
    """A minute's window never comes from the cache."""
    view = FakeView.of({"load": "1*60 9*60"})
    cache = RoundCache()
    assert Round(view.at(59.0), cache=cache).window("max", "load", (), 60.0) == 1.0
    assert Round(view.at(60.0), cache=cache).window("max", "load", (), 60.0) == 9.0


def test_time_may_run_backwards() -> None:
    """A replay started again computes again."""
    view = FakeView.of({"load": "1*3600 9*3600"})
    cache = RoundCache()
    assert Round(view.at(7000.0), cache=cache).window("max", "load", (), 1800.0) == 9.0
    assert Round(view.at(3000.0), cache=cache).window("max", "load", (), 1800.0) == 1.0


def test_what_nobody_asks_for_is_forgotten() -> None:
    """Ended processes leave no trace in the cache."""
    view = FakeView.of({"load": "1*3600"})
    cache = RoundCache()
    Round(view, cache=cache).window("max", "load", (), 600.0)
    Round(view.at(9000.0), cache=cache)
    assert len(cache) == 0
