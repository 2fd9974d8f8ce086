"""Peak memory of one contender, in a process that does nothing else."""

import dataclasses
import json
import os
import subprocess
import sys

import torch

from service.bench.contenders import Contender, device_of
from service.errors import InputError

MOST_SECONDS = 600.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Peak:
    """Of a whole process, Python and its libraries included; of torch's allocations on a GPU.

    Attributes:
        peak_bytes: the most that was held at once; None where the system does not say.
        opened_bytes: the same when the bundle was open and nothing judged.
        gpu_bytes: the most that torch held on the GPU; None on a CPU.
    """

    peak_bytes: int | None
    opened_bytes: int | None
    gpu_bytes: int | None


def peak_of(contender: Contender, *, threads: int, source: str | None, batch: int | None) -> Peak:
    """Open the contender in another process, judge what is timed here, and see what that process held.

    Raises:
        InputError: that process ended without an answer, most likely for lack of memory, or gave none in time.
    """
    asked = json.dumps({"contender": contender.to_record(), "threads": threads, "images": source, "batch": batch})
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", "service.bench.peak_process"]
    try:
        done = subprocess.run(
            command, input=asked, capture_output=True, text=True, env=environment, timeout=MOST_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(
            f"the process that measures the memory of {contender.name} took more than {MOST_SECONDS:g} seconds; "
            "give a smaller --batch, or leave memory out with --no-memory"
        ) from error
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise InputError(
            f"the process that measures the memory of {contender.name} ended with {done.returncode} ({said[0][:300]}); "
            "free some memory, give a smaller --batch, or leave memory out with --no-memory"
        )
    return Peak(**json.loads(done.stdout.splitlines()[-1]))


def gpu_peak(contender: Contender) -> int | None:
    """The most that torch's allocator held on the contender's GPU; what another runtime takes is not in it."""
    device = device_of(contender)
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
