import pytest
import torch

from service.engine.step_failures import FailureKind, failure_of, release_device_memory


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"), FailureKind.OUT_OF_MEMORY),
        (MemoryError(), FailureKind.OUT_OF_MEMORY),
        (RuntimeError("CUDA error: out of memory"), FailureKind.OUT_OF_MEMORY),
        (RuntimeError("MPS backend out of memory"), FailureKind.OUT_OF_MEMORY),
        (RuntimeError("CUDA error: device-side assert triggered"), FailureKind.FATAL),
        (torch.AcceleratorError("illegal memory access"), FailureKind.FATAL),
        (RuntimeError("shapes do not match"), FailureKind.STEP),
        (ValueError("out of memory, says a value"), FailureKind.STEP),
    ],
)
def test_an_exception_says_what_to_do(error, kind):
    assert failure_of(error).kind is kind


def test_the_allocator_of_the_cpu_is_understood():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**15)
    assert failure_of(caught.value).kind is FailureKind.OUT_OF_MEMORY


def test_no_frame_is_kept():
    failure = failure_of(ValueError("why"))
    assert failure.text == "ValueError: why"
    assert not any(isinstance(value, BaseException) for value in vars(failure).values())


def test_memory_can_be_given_back_without_a_device():
    release_device_memory()
