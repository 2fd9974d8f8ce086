import pytest
import torch

from detector.detector import Detector
from service.bundles import ClassifierChoice, open_detector
from service.errors import InputError
from service.memory_limits import (
    AvailableMemory,
    MemoryEstimate,
    available_memory,
    estimated,
    peaks_of,
    require_batch_memory,
    require_room,
)

CPU = torch.device("cpu")
GIB = 2**30


@pytest.fixture
def machine(tmp_path):
    """Writes files below a root that stands for `/`."""

    def write(**files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    def writer(files):
        return write(**files)

    return writer


MEMINFO = {"proc__meminfo": f"MemTotal: 9000000 kB\nMemAvailable: {4 * 2**20} kB\n"}


def test_a_machine_without_groups_has_what_it_says_is_available(machine):
    found = available_memory(CPU, machine(MEMINFO))
    assert found == AvailableMemory(n_bytes=4 * GIB, where="on this machine")


def test_a_machine_that_does_not_say_bounds_nothing(tmp_path):
    assert available_memory(CPU, tmp_path) is None


def group(path, limit, usage, inactive):
    return {
        f"sys__fs__cgroup__{path}memory.max": limit,
        f"sys__fs__cgroup__{path}memory.current": usage,
        f"sys__fs__cgroup__{path}memory.stat": f"anon 5\ninactive_file {inactive}\n",
    }


def test_the_group_of_the_process_binds_less_what_it_uses_and_cannot_give_back(machine):
    files = {"proc__self__cgroup": "0::/box/inner\n"} | group("box__inner__", str(GIB), str(GIB // 2), GIB // 4)
    found = available_memory(CPU, machine(MEMINFO | files))
    assert found.n_bytes == GIB * 3 // 4
    assert "cgroup" in found.where


def test_a_group_around_that_of_the_process_binds_too(machine):
    files = {"proc__self__cgroup": "0::/box/inner\n"}
    files |= group("box__inner__", "max", "5", 0) | group("box__", str(GIB), "0", 0)
    assert available_memory(CPU, machine(MEMINFO | files)).n_bytes == GIB


def test_the_group_of_a_container_lies_at_the_top(machine):
    files = {"proc__self__cgroup": "0::/path/of/the/host\n"} | group("", str(2 * GIB), "0", 0)
    assert available_memory(CPU, machine(MEMINFO | files)).n_bytes == 2 * GIB


def test_groups_of_the_first_kind_are_read_as_well(machine):
    top = "sys__fs__cgroup__memory__box__"
    files = {
        "proc__self__cgroup": "9:name=systemd:/\n4:cpu,memory:/box\n",
        f"{top}memory.limit_in_bytes": str(GIB),
        f"{top}memory.usage_in_bytes": str(GIB),
        f"{top}memory.stat": f"total_inactive_file {GIB // 8}\n",
        # What such a kernel writes where there is no limit.
        "sys__fs__cgroup__memory__memory.limit_in_bytes": "9223372036854771712",
        "sys__fs__cgroup__memory__memory.usage_in_bytes": "1",
    }
    assert available_memory(CPU, machine(MEMINFO | files)).n_bytes == GIB // 8


def test_a_group_without_limit_leaves_what_the_machine_has(machine):
    files = {"proc__self__cgroup": "0::/box\n"} | group("box__", "max", "5", 0)
    assert available_memory(CPU, machine(MEMINFO | files)).n_bytes == 4 * GIB


def test_two_peaks_make_a_line():
    line = MemoryEstimate.through((10, 600), (20, 1100))
    assert (line.fixed, line.per_image) == (100, 50)
    assert line.n_bytes(100) == 5100
    assert line.most_images(5149) == 100
    assert line.most_images(99) == 0


def test_a_line_never_falls_where_the_peaks_are_noise():
    line = MemoryEstimate.through((10, 1000), (20, 900), least_per_image=4)
    assert line.per_image == 4
    assert line.n_bytes(20) == 900


@pytest.mark.parametrize(
    ("asked", "step", "sizes"),
    [(1000, 10, [10, 20]), (12, 10, [3, 6]), (3, 10, [1, 2]), (9, 1, [2, 5]), (1000, 1, [8, 16])],
)
def test_steps_that_are_tried_are_small(asked, step, sizes):
    tried = []

    def measure(n_images):
        tried.append(n_images)
        return 7 * n_images

    assert estimated(measure, asked, step, 1).n_bytes(asked) == 7 * asked
    assert tried == sizes


LINE = MemoryEstimate(fixed=0, per_image=2**20)


def test_what_fits_is_let_through():
    require_room(900, LINE, AvailableMemory(n_bytes=1000 * 2**20, where="here"), "--batch")


def test_what_does_not_fit_is_refused_with_what_would():
    with pytest.raises(InputError) as refused:
        require_room(901, LINE, AvailableMemory(n_bytes=1000 * 2**20, where="on this machine"), "--batch")
    assert str(refused.value) == (
        "--batch 901 would take about 901 MiB of memory, by two small steps that were measured, and 1,000 MiB are free "
        "on this machine; at most 900 images fit: give --batch 900 or less"
    )


def test_where_nothing_fits_no_smaller_number_is_advised():
    with pytest.raises(InputError, match="not even one image fits"):
        require_room(2, LINE, AvailableMemory(n_bytes=2**19, where="here"), "--batch")


@pytest.fixture(scope="module")
def digits():
    opened = open_detector("digits", false_positive_rate=0.05, choice=ClassifierChoice(device="cpu")).detector
    return Detector(opened.classifier, opened.bundle, pixels_per_pass=2**12)


def test_a_step_of_more_images_than_any_machine_holds_is_refused_before_it_is_tried(digits, monkeypatch):
    taken = []
    straight = digits.straight
    monkeypatch.setattr(digits, "straight", lambda images: taken.append(len(images)) or straight(images))
    with pytest.raises(InputError, match=r"--batch-images 1000000000 would take .* images fit"):
        require_batch_memory(digits, 10**9, "--batch-images")
    assert max(taken) <= 2 * digits.images_per_step


def test_a_step_of_the_detectors_own_size_fits(digits):
    require_batch_memory(digits, digits.images_per_step, "--batch")


def test_a_device_without_memory_for_a_small_step_says_so(digits, monkeypatch):
    def fail(images):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(digits, "straight", fail)
    with pytest.raises(InputError, match="no memory for a step of 4 images"):
        peaks_of(digits)(4)


def test_a_single_image_is_left_to_be_tried(digits, monkeypatch):
    monkeypatch.setattr(digits, "straight", lambda _: pytest.fail("it was tried"))
    require_batch_memory(digits, 1, "--batch")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_gpu_says_what_is_free():
    found = available_memory(torch.device("cuda"))
    assert 0 < found.n_bytes <= torch.cuda.get_device_properties(0).total_memory
    assert found.where == "on cuda"
