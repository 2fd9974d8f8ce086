"""Ends asks at their deadlines, also while the device does not answer, and notices when it does not."""

import math
import threading

from service.engine.register import Register

LONGEST_WAIT = min(3600.0, threading.TIMEOUT_MAX)


class Watchdog:
    """Sleeps until the next deadline; what brings one nearer wakes it."""

    def __init__(self, register: Register, step_seconds: float) -> None:
        self._register, self._step_seconds = register, step_seconds

    def run(self) -> None:
        """Look until the register is closed."""
        register = self._register
        while not register.is_closed:
            self.look()
            with register.lock:
                seconds = register.alarm - register.clock()
                if seconds > 0 and not register.is_closed:
                    register.alarm_moved.wait(min(seconds, LONGEST_WAIT))

    def look(self) -> None:
        """End what is late, mark a step that hangs, and set the alarm for what comes next."""
        register = self._register
        with register.lock:
            now = register.clock()
            has_just_hung = not register.is_hung and self._hangs_at() <= now
            register.is_hung = register.is_hung or has_just_hung
            late = [job for job in register.jobs if job.deadline <= now]
            coming = (job.deadline for job in register.jobs if job.deadline > now)
            register.alarm = min(coming, default=math.inf)
            if not register.is_hung:
                register.alarm = min(register.alarm, self._hangs_at())
        if has_just_hung:
            register.observer.failed("hung")
        register.expire(late)

    def _hangs_at(self) -> float:
        began = self._register.step_began
        return math.inf if began is None else began + self._step_seconds
