"""When an audit ran, on what and how fast: `run.json`, which differs from run to run."""

import datetime
import json
import os
import platform
from pathlib import Path
from typing import Any

import torch

from service.offline.audit_request import AuditRequest
from service.offline.folder.contract import Contract
from service.offline.folder.durable import write_durably
from service.offline.folder.names import RUN_FILE

MOST_RUNS = 1000
"""That are remembered; the latest."""


class RunRecord:
    """Writes down one run, behind those that were there before. A run that was killed has no end."""

    def __init__(self, path: Path, runs: list[dict[str, Any]]) -> None:
        self._path = path
        self._runs = runs

    @classmethod
    def begin(cls, request: AuditRequest, contract: Contract, folder: Path) -> "RunRecord":
        """Write down that a run has begun.

        Raises:
            OSError: it cannot be written.
        """
        path = folder / RUN_FILE
        run = {
            "started": _now(),
            "ended": None,
            "seconds_judging": None,
            "images_judged": None,
            "images_per_second": None,
            "engine": request.engine.value,
            "device": contract.device,
            # Those of this process are only set when the detector is opened.
            "threads": torch.get_num_threads() if contract.n_threads is None else contract.n_threads,
            "readers": request.readers,
            "cores": os.cpu_count(),
            "platform": platform.platform(),
            "python": platform.python_version(),
            "torch": contract.torch_version,
            "isthmus": contract.isthmus_version,
        }
        record = cls(path, [*_earlier(path), run][-MOST_RUNS:])
        record._write()
        return record

    def end(self, *, n_images: int, seconds: float) -> None:
        """Write down that it ended well.

        Args:
            n_images: that this run has judged.
            seconds: from when the detector was ready to the last shard.

        Raises:
            OSError: it cannot be written.
        """
        self._runs[-1] |= {
            "ended": _now(),
            "seconds_judging": round(seconds, 3),
            "images_judged": n_images,
            "images_per_second": round(n_images / seconds, 3) if seconds > 0 else None,
        }
        self._write()

    def _write(self) -> None:
        write_durably(self._path, (json.dumps({"runs": self._runs}, indent=2) + "\n").encode())


def _earlier(path: Path) -> list[dict[str, Any]]:
    """Nothing rests on it, so that a damaged file is no reason to stop."""
    try:
        runs = json.loads(path.read_bytes())["runs"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [run for run in runs if isinstance(run, dict)] if isinstance(runs, list) else []


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
