"""Where something was measured: the machine, the versions, and how busy others kept it meanwhile."""

import dataclasses
import importlib.metadata
import os
import platform
import time
from pathlib import Path

import torch

from service.system_files import ROOT, first_value, read_lines, whole_numbers

PACKAGES = ("isthmus", "torch", "torchvision", "numpy", "onnxruntime", "onnxruntime-gpu")
PROC = ROOT / "proc"
BUSY_CORES, BUSY_SHARE = 0.25, 0.1
"""Others that keep more than so many cores busy, and more than this share of all, disturb what is measured."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Machine:
    """What figures depend on.

    Attributes:
        cores: those that this process may use.
        memory_bytes: all of the machine's; None where it does not say.
        load_average: over the last minute, before anything was measured.
    """

    cpu: str
    cores: int
    memory_bytes: int | None
    load_average: float
    gpus: tuple[str, ...]
    system: str


def this_machine(proc: Path = PROC) -> Machine:
    """Look at it now."""
    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    kibibytes = whole_numbers(proc / "meminfo").get("MemTotal")
    return Machine(
        cpu=first_value(proc / "cpuinfo", "model name") or platform.processor() or platform.machine(),
        cores=usable_cores(),
        memory_bytes=None if kibibytes is None else 1024 * kibibytes,
        load_average=os.getloadavg()[0],
        gpus=tuple(torch.cuda.get_device_name(index) for index in range(n_gpus)),
        system=f"{platform.system()} {platform.release()}",
    )


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions() -> dict[str, str]:
    """Of Python and of what is installed of the packages that decide speed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name.removesuffix("-gpu")] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


class OthersMeter:
    """Measures how many cores were kept busy by others than this process and those that it waited for."""

    def __init__(self, proc: Path = PROC) -> None:
        self._proc = proc
        self._started = self._reading()

    def cores(self) -> float | None:
        """On average since the meter was made; None where the system does not say."""
        begun, now = self._started, self._reading()
        wall = now[0] - begun[0]
        if begun[1] is None or now[1] is None or wall <= 0:
            return None
        return max(0.0, (now[1] - begun[1]) - (now[2] - begun[2])) / wall

    def _reading(self) -> tuple[float, float | None, float]:
        """Seconds on the clock, of all cores at work, and of this process at work."""
        own = os.times()
        mine = own.user + own.system + own.children_user + own.children_system
        return time.monotonic(), busy_seconds(self._proc), mine


def busy_seconds(proc: Path = PROC) -> float | None:
    """Seconds that all cores together have worked since the machine started: proc(5), `stat`."""
    first = next((line.split() for line in read_lines(proc / "stat")), [])
    if first[:1] != ["cpu"] or len(first) < 9:
        return None
    user, nice, system, _, _, interrupts, soft_interrupts, stolen = map(int, first[1:9])
    return (user + nice + system + interrupts + soft_interrupts + stolen) / os.sysconf("SC_CLK_TCK")


def is_busy(others: float | None, cores: int) -> bool:
    """Whether others kept enough of the machine busy to disturb what was measured."""
    return others is not None and others > max(BUSY_CORES, BUSY_SHARE * cores)
