"""Run as a process of its own: begins an audit in a process that it kills, and kills the one that goes on, too.

Says on a line of JSON how many images were judged when each was killed.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from conftest import Server


def audit_until_killed(state: Path, source: Path, progress: int) -> None:
    """In the process that will be killed."""
    server = Server(state, source.parent, seconds=0.005)
    # However late it is killed, it is so in the middle.
    server.engine.most = 64
    server.start()
    if not server.jobs.of_key(None, offset=0, limit=1):
        if source.is_dir():
            server.folder(source)
        else:
            server.archive(source.read_bytes())
    while True:
        [audit] = server.jobs.of_key(None, offset=0, limit=1)
        os.write(progress, b"%d\n" % audit.n_judged)
        time.sleep(0.002)


def kill_after(n_judged: int, state: Path, source: Path) -> int:
    """Kill the process once it has judged so many images; says how many it had."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        audit_until_killed(state, source, writing)
    os.close(writing)
    with os.fdopen(reading) as lines:
        n_done = next(int(line) for line in lines if int(line) >= n_judged)
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
    return n_done


if __name__ == "__main__":
    done = {}
    for source in map(Path, sys.argv[1:]):
        state = source.with_name(f"{source.name}.state")
        first = kill_after(20, state, source)
        done[source.name] = [first, kill_after(first + 20, state, source)]
    sys.stdout.write(json.dumps(done))
