"""What a step that raised means."""

import dataclasses
import enum

import torch


class FailureKind(enum.Enum):
    """OUT_OF_MEMORY passes with smaller steps; a STEP may go well next time; after FATAL the device answers no more."""

    OUT_OF_MEMORY = "out_of_memory"
    STEP = "step"
    FATAL = "fatal"


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepFailure:
    """What is kept of an exception: not itself, since its frames hold tensors."""

    kind: FailureKind
    text: str


def failure_of(error: Exception) -> StepFailure:
    return StepFailure(kind=_kind(error), text=f"{type(error).__name__}: {error}")


def _kind(error: Exception) -> FailureKind:
    message = str(error)
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return FailureKind.OUT_OF_MEMORY
    if isinstance(error, RuntimeError):
        # Allocators of other devices, and of the CPU, raise plain errors that say so; so does CUDA itself when it is
        # not torch's allocator that asks.
        lowered = message.lower()
        if "out of memory" in lowered or "can't allocate memory" in lowered:
            return FailureKind.OUT_OF_MEMORY
        if "CUDA error" in message or isinstance(error, torch.AcceleratorError):
            return FailureKind.FATAL
    return FailureKind.STEP


def release_device_memory() -> None:
    """Give back what torch keeps of the device's memory without using it."""
    # Does nothing where CUDA was never used.
    torch.cuda.empty_cache()
