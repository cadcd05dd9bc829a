"""Signals are noted between steps, a second one stops at once, and the handlers of before come back."""

import os
import signal
import threading

import pytest

from embodied_gen.training.interrupt import interruptions


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_noted_and_the_next_one_stops_at_once(number):
    with interruptions() as interruption:
        assert not interruption.requested
        os.kill(os.getpid(), number)
        assert interruption.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)


def test_handlers_come_back_even_after_an_error():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(KeyError), interruptions():
        assert signal.getsignal(signal.SIGINT) is not before[0]
        raise KeyError
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_outside_the_main_thread_nothing_is_caught_and_nothing_fails():
    seen = []

    def work():
        with interruptions() as interruption:
            seen.append(interruption.requested)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]
