"""Waiting for what another thread will have done."""

import time

SECONDS = 30.0
"""Far more than a busy machine needs."""


def wait_until(holds):
    until = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.005)


def wait_for(said, number: int):
    until = time.monotonic() + SECONDS
    while len(said) < number:
        assert time.monotonic() < until, said
        time.sleep(0.01)
    return said
