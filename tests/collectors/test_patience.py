import threading
import time
from collections.abc import Callable
from typing import TypeVar

import pytest

from agent.collectors._patience import Call, PatientThread

T = TypeVar("T")


def call(patient: PatientThread, function: Callable[[], T], seconds: float) -> Call[T]:
    """One call."""
    (made,) = patient.calls([function], seconds, time.monotonic() + 60)
    return made


def test_calls_in_time_share_one_thread() -> None:
    """Ordinary calls cost no new thread each."""
    patient = PatientThread("t")
    names = {call(patient, threading.get_ident, 5.0).result() for _ in range(3)}
    assert len(names) == 1


def test_a_call_that_hangs_keeps_its_thread_and_the_next_one_gets_another() -> None:
    """The second call is answered while the first is still out, and the first can be asked for later."""
    patient = PatientThread("t")
    gate = threading.Event()
    stuck = call(patient, lambda: gate.wait(10), 0.01)
    assert not stuck.done
    with pytest.raises(TimeoutError):
        stuck.result()
    assert call(patient, lambda: 7, 5.0).result() == 7
    gate.set()
    assert stuck.wait(5.0)
    assert stuck.result() is True


def test_an_error_is_raised_where_the_result_is_asked_for() -> None:
    """The thread survives what the call raised."""
    patient = PatientThread("t")
    failed = call(patient, lambda: 1 // 0, 5.0)
    with pytest.raises(ZeroDivisionError):
        failed.result()
    assert call(patient, lambda: 7, 5.0).result() == 7


def test_calls_behind_one_that_hangs_are_made_all_the_same_and_once() -> None:
    """Two hang, the others are answered; what hangs is not asked again."""
    patient, gate, asked = PatientThread("t"), threading.Event(), list[int]()

    def answer(number: int) -> int:
        asked.append(number)
        if number in (1, 3):
            gate.wait(10)
        return number

    calls = patient.calls([lambda n=n: answer(n) for n in range(5)], 0.05, time.monotonic() + 60)  # type: ignore[misc]
    assert [made.done for made in calls] == [True, False, True, False, True]
    gate.set()
    assert all(made.wait(5.0) for made in calls)
    assert [made.result() for made in calls] == asked == [0, 1, 2, 3, 4]


def test_slow_calls_are_waited_for_as_long_as_each_of_them_moves() -> None:
    """Together they take longer than one may."""
    patient = PatientThread("t")
    calls = patient.calls([lambda: time.sleep(0.08)] * 5, 0.2, time.monotonic() + 60)
    assert all(made.done for made in calls)
