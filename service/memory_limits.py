"""Whether a batch fits into memory, told before it is tried.

A CPU that lacks memory raises nothing: the system has promised more than there is, and kills the process when it is
used. So what a step takes is measured on two small ones, continued as a straight line, and compared with what is free.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Generator

from detector.detector import Detector
from detector.inspection import Inspection
from service.engine.step_failures import FailureKind, failure_of, release_device_memory
from service.errors import InputError
from service.system_files import ROOT, bytes_of_this_process, read_lines, whole_number, whole_numbers

SHARE = 0.9
"""Of what is free that a step may take; the rest is left to what else happens meanwhile."""

TRIED_IMAGES = 16
"""Of the larger trial at least, if so many are asked for: fewer large images hide in memory that was held before."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AvailableMemory:
    """How much may still be taken, and what bounds it, as a sentence goes on after "are free"."""

    n_bytes: int
    where: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class MemoryEstimate:
    """Memory of a step as a line: `fixed` bytes, and `per_image` more for each image."""

    fixed: float
    per_image: float

    @classmethod
    def through(cls, one: tuple[int, int], other: tuple[int, int], least_per_image: int = 1) -> "MemoryEstimate":
        """The line through two measurements, (images, bytes) each, that never falls.

        Args:
            least_per_image: bytes that an image takes however small its share of the measured peaks.
        """
        slope = max((other[1] - one[1]) / (other[0] - one[0]), least_per_image)
        # Through the larger peak, which noise moves least.
        return cls(fixed=other[1] - slope * other[0], per_image=slope)

    def n_bytes(self, n_images: int) -> int:
        """What a step of so many images takes."""
        return max(0, math.ceil(self.fixed + self.per_image * n_images))

    def most_images(self, n_bytes: float) -> int:
        """How many images fit into so much memory."""
        return max(0, math.floor((n_bytes - self.fixed) / self.per_image))


def available_memory(device: torch.device, root: Path = ROOT) -> AvailableMemory | None:
    """What is free on a device; None where the system does not say.

    Args:
        root: where `proc` and `sys` are.
    """
    if device.type == "cuda":
        # What torch keeps to use again counts as taken to the device, and is free to torch.
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return AvailableMemory(n_bytes=torch.cuda.mem_get_info(device)[0] + kept, where=f"on {device}")
    found = [*_of_machine(root), *_of_groups(root)]
    return min(found, key=lambda available: available.n_bytes, default=None)


def _of_machine(root: Path) -> Iterator[AvailableMemory]:
    kilobytes = whole_numbers(root / "proc/meminfo").get("MemAvailable")
    if kilobytes is not None:
        yield AvailableMemory(n_bytes=1024 * kilobytes, where="on this machine")


def _of_groups(root: Path) -> Iterator[AvailableMemory]:
    """Of every control group that this process is in: a limit of any of those around a group binds it, too."""
    where = "within the memory limit of this process (cgroup)"
    for base, path, (limit_file, usage_file, cache_field) in _groups(root):
        # In a container the path may be the host's, and the group's files lie at the top.
        for folder in (base / path, *(base / path).parents):
            limit, usage = whole_number(folder / limit_file), whole_number(folder / usage_file)
            if limit is not None and usage is not None:
                # What was only kept to be read again is given up when memory is needed.
                reclaimable = whole_numbers(folder / "memory.stat").get(cache_field, 0)
                yield AvailableMemory(n_bytes=max(0, limit - max(0, usage - reclaimable)), where=where)
            if folder == base:
                break


def _groups(root: Path) -> Iterator[tuple[Path, str, tuple[str, str, str]]]:
    top = root / "sys/fs/cgroup"
    for line in read_lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            yield top, path.strip("/"), ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            yield top / "memory", path.strip("/"), names


def require_batch_memory(detector: Detector, n_images: int, option: str) -> None:
    """Refuse steps of so many images where they would not fit into memory, before one is tried.

    Args:
        option: what the number was given by, for the message.

    Raises:
        InputError: they would not fit; the message says how many would.
    """
    device = detector.classifier.device
    available = available_memory(device)
    # Of a single image there is nothing smaller to try.
    if available is None or n_images < 2:
        return
    measure = peaks_of(detector)
    estimate = estimated(measure, n_images, detector.images_per_step, 4 * math.prod(detector.classifier.input_shape))
    require_room(n_images, estimate, available, option)


def require_room(n_images: int, estimate: MemoryEstimate, available: AvailableMemory, option: str) -> None:
    """Refuse what the estimate says does not fit.

    Raises:
        InputError: it takes more than `SHARE` of what is available.
    """
    needed, granted = estimate.n_bytes(n_images), SHARE * available.n_bytes
    if needed <= granted:
        return
    most = estimate.most_images(granted)
    advice = f"at most {most} images fit: give {option} {most} or less" if most else "not even one image fits"
    raise InputError(
        f"{option} {n_images} would take about {_mebibytes(needed)} of memory, by two small steps that were measured, "
        f"and {_mebibytes(available.n_bytes)} are free {available.where}; {advice}"
    )


def _mebibytes(n_bytes: float) -> str:
    return f"{n_bytes / 2**20:,.0f} MiB"


def estimated(
    measure: Callable[[int], int], n_images: int, images_per_step: int, least_per_image: int
) -> MemoryEstimate:
    """The line through the peaks of two steps, neither larger than what is asked for.

    Args:
        measure: the peak of a step of so many images, in bytes.
        images_per_step: of the detector's own steps, which count as small.
    """
    larger = max(2, min(max(2 * images_per_step, TRIED_IMAGES), math.ceil(n_images / 2)))
    smaller = larger // 2
    return MemoryEstimate.through((smaller, measure(smaller)), (larger, measure(larger)), least_per_image)


def peaks_of(detector: Detector) -> Callable[[int], int]:
    """Measures the peak of a step of so many images of noise, above what the process held before the first of them.

    Raises (when called):
        InputError: the device has not even memory for that.
    """
    device = detector.classifier.device
    held = torch.cuda.memory_allocated(device) if device.type == "cuda" else _resident("VmRSS")

    def measure(n_images: int) -> int:
        _forget_peak(device)
        try:
            _judge_noise(detector, n_images)
        except Exception as error:
            if failure_of(error).kind is not FailureKind.OUT_OF_MEMORY:
                raise
            release_device_memory()
            raise InputError(f"{device} has no memory for a step of {n_images} images; free some") from error
        peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else _resident("VmHWM")
        return max(0, peak - held)

    return measure


def _judge_noise(detector: Detector, n_images: int) -> None:
    noise = torch.rand(n_images, *detector.classifier.input_shape, generator=Generator().manual_seed(0))
    inspection = Inspection(detector, n_images)
    inspection.admit(range(n_images), noise, [detector.false_positive_rate] * n_images)
    while not inspection.is_idle:
        inspection.step()


def _resident(field: str) -> int:
    return bytes_of_this_process(field) or 0


def _forget_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        # Makes the peak what is resident now (proc(5)); where that is forbidden, earlier peaks count as well.
        (ROOT / "proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return
