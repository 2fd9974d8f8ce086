"""When requests are due, in seconds from the beginning. Nothing here knows of answers: strangers do not wait."""

import random


def poisson(*, per_second: float, seconds: float, generator: random.Random) -> list[float]:
    """Moments of a Poisson process: gaps are independent and exponential, as those of many strangers are."""
    moments: list[float] = []
    moment = generator.expovariate(per_second)
    while moment < seconds:
        moments.append(moment)
        moment += generator.expovariate(per_second)
    return moments


def evenly(*, per_second: float, seconds: float) -> list[float]:
    """Moments at equal distances."""
    return [index / per_second for index in range(int(per_second * seconds))]
