from agent.model import labels
from tests.fakes.view import FakeView


def test_windows_end_at_now_and_leave_their_start_out() -> None:
    """The fake keeps the contract of `(now - window, now]`."""
    view = FakeView.of({"x": "0+1x9"})
    column = view.column("x", (), 3.0)
    assert column is not None
    assert list(column.values) == [7.0, 8.0, 9.0]
    assert view.at(5.0).series("x", 2.0)[()].values[-1] == 5.0


def test_ended_series_are_not_live() -> None:
    """An ended process keeps its past but is gone from the labels."""
    view = FakeView.of({("x", labels(pid=1)): "1*5", ("x", labels(pid=2)): "1*5"})
    view.ended.add(("x", labels(pid=1)))
    assert list(view.labels("x")) == [labels(pid=2)]
