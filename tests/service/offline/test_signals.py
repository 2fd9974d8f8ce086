import os
import signal
import threading

import pytest

from service.offline.signals import termination_interrupts


def test_a_process_that_is_asked_to_end_is_interrupted() -> None:
    with pytest.raises(KeyboardInterrupt), termination_interrupts():
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(5)


def test_what_a_signal_meant_before_it_means_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with termination_interrupts():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_in_another_thread_nothing_changes() -> None:
    before, during = signal.getsignal(signal.SIGTERM), []

    def work() -> None:
        with termination_interrupts():
            during.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert during == [before]
