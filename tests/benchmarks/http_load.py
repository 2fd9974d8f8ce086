"""The load generator of `deploy/load`, for benchmarks."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "deploy" / "load"))

from isthmus_load.arrivals import evenly
from isthmus_load.figures import quantile
from isthmus_load.loops import Reply, closed_loop, open_loop, watched
from isthmus_load.wire import BROKEN, NOBODY, Connection, Target, request_bytes

__all__ = [
    "BROKEN",
    "NOBODY",
    "Connection",
    "Reply",
    "Target",
    "closed_loop",
    "evenly",
    "open_loop",
    "quantile",
    "request_bytes",
    "watched",
]
