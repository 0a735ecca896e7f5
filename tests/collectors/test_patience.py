import threading

import pytest

from agent.collectors._patience import PatientThread


def test_calls_in_time_share_one_thread() -> None:
    """Ordinary calls cost no new thread each."""
    patient = PatientThread("t")
    names = {patient.call(threading.get_ident, 5.0).result() for _ in range(3)}
    assert len(names) == 1


def test_a_call_that_hangs_keeps_its_thread_and_the_next_one_gets_another() -> None:
    """The second call is answered while the first is still out, and the first can be asked for later."""
    patient = PatientThread("t")
    gate = threading.Event()
    stuck = patient.call(lambda: gate.wait(10), 0.01)
    assert not stuck.done
    with pytest.raises(TimeoutError):
        stuck.result()
    assert patient.call(lambda: 7, 5.0).result() == 7
    gate.set()
    assert stuck.wait(5.0)
    assert stuck.result() is True


def test_an_error_is_raised_where_the_result_is_asked_for() -> None:
    """The thread survives what the call raised."""
    patient = PatientThread("t")
    failed = patient.call(lambda: 1 // 0, 5.0)
    with pytest.raises(ZeroDivisionError):
        failed.result()
    assert patient.call(lambda: 7, 5.0).result() == 7
