import pytest

from detector.passes import CUDA_PIXELS_PER_PASS, PIXELS_PER_PASS
from service.bundles import ClassifierChoice, open_bundle, open_detector
from service.offline.judging.chunks import chunk_images, most_images, whole_steps
from service.options import RuntimeName


@pytest.mark.parametrize(
    ("side", "device", "expected"),
    [
        (8, "cpu", 256),
        (32, "cpu", 256),
        # 2²³ pixels are 167 images.
        (224, "cpu", 167),
        (4096, "cpu", 1),
        (8, "cuda", 2048),
        (32, "cuda", 2048),
        (224, "cuda", 167),
    ],
)
def test_a_chunk_is_bounded_by_images_and_by_pixels(side, device, expected) -> None:
    assert most_images((3, side, side), device) == expected


@pytest.mark.parametrize(
    ("n_step", "n_most", "expected"), [(42, 256, 252), (1, 167, 167), (256, 256, 256), (341, 256, 256), (682, 1, 1)]
)
def test_where_images_are_searched_there_are_as_many_whole_steps_as_fit(n_step, n_most, expected) -> None:
    assert whole_steps(n_step, n_most) == expected


@pytest.mark.parametrize("name", ["cifar10-resnet20", "cifar10-resnet20-early"])
def test_a_chunk_is_a_step_of_the_detector(name) -> None:
    opened = open_detector(name, false_positive_rate=0.05, choice=ClassifierChoice(device="cpu"))
    assert chunk_images(open_bundle(name), "cpu", RuntimeName.TORCH) == opened.detector.images_per_step


def test_a_gpu_is_given_more_at_a_time_and_a_graph_no_more_than_it_measures_in_full() -> None:
    full, early = open_bundle("cifar10-resnet20"), open_bundle("cifar10-resnet20-early")
    # Six waypoints an image, of 32 × 32 pixels.
    n_cpu, n_cuda = PIXELS_PER_PASS // 1024 // 6, CUDA_PIXELS_PER_PASS // 1024 // 6
    assert chunk_images(full, "cpu", RuntimeName.TORCH) == n_cpu
    assert chunk_images(full, "cuda", RuntimeName.TORCH_FLOAT16) == n_cuda
    # Most clean images leave.
    assert 2 * n_cpu < chunk_images(early, "cpu", RuntimeName.TORCH) <= 256
    assert 2 * n_cuda < chunk_images(early, "cuda", RuntimeName.TORCH) <= 2048
    assert chunk_images(early, "cpu", RuntimeName.ONNXRUNTIME) == n_cpu
