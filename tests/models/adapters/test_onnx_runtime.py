import copy
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from models.adapters.adapted import Adapted, NetworkKind
from models.adapters.onnx_runtime import open_with_onnx_runtime
from models.classifier import Classifier
from models.digits import SmallConvNet
from models.errors import ModelError

Build = Callable[..., Any]
Save = Callable[[Any], Path]
CPU = torch.device("cpu")
DIGITS_SHAPE = (1, 8, 8)


def opened(path: Path, shape: tuple[int, int, int] = DIGITS_SHAPE, **wanted: Any) -> Adapted:
    return open_with_onnx_runtime(
        path, **{"logits": None, "representations": None, "input_shape": shape, "device": CPU} | wanted
    )


def as_classifier(adapted: Adapted, shape: tuple[int, int, int], n_labels: int) -> Classifier:
    return Classifier(
        adapted.network,
        mean=[0.5],
        std=[0.5],
        representations=adapted.representations,
        labels="abcdefghij"[:n_labels],
        input_shape=shape,
        file_digest=adapted.file_digest,
    )


@pytest.mark.parametrize("fixture", ["digits_opset17", "digits_opset20"])
def test_a_graph_gives_the_logits_and_representations_of_the_network_it_was_exported_from(
    fixture: str, request: pytest.FixtureRequest, digits_in_torch: SmallConvNet
) -> None:
    adapted = opened(request.getfixturevalue(fixture))
    assert adapted.kind is NetworkKind.ONNX_RUNTIME
    pixels = torch.rand(5, *DIGITS_SHAPE)
    given = as_classifier(adapted, DIGITS_SHAPE, 10)(pixels)
    original = Classifier(
        digits_in_torch,
        mean=[0.5],
        std=[0.5],
        representations=["stages.0", "stages.1", "stages.2", "flatten"],
        labels="abcdefghij",
        input_shape=DIGITS_SHAPE,
    )(pixels)
    torch.testing.assert_close(given.logits, original.logits, rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(given.representations.values(), original.representations.values(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_tensors_may_be_named(onnx_classifier: Build, saved_onnx: Save) -> None:
    path = saved_onnx(onnx_classifier(last="Softmax"))
    with pytest.raises(ModelError, match='logits = "logits"'):
        opened(path, (1, 2, 2))
    adapted = opened(path, (1, 2, 2), logits="logits", representations=["features"])
    assert adapted.network(torch.ones(1, 1, 2, 2)).tolist() == [[2, 4, 6]]
    with pytest.raises(ModelError, match="'features' is named twice"):
        opened(path, (1, 2, 2), logits="features", representations=["features"])
    with pytest.raises(ModelError, match=r"no tensor 'features\.1'; near it are 'features'"):
        opened(path, (1, 2, 2), logits="logits", representations=["features.1"])


def test_the_digest_is_the_files_unless_logits_are_taken_from_within(onnx_classifier: Build, saved_onnx: Save) -> None:
    path = saved_onnx(onnx_classifier(last="LogSoftmax"))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert opened(path, (1, 2, 2)).file_digest == digest
    assert opened(path, (1, 2, 2), logits="given").file_digest == digest
    assert opened(path, (1, 2, 2), logits="logits").file_digest != digest


def test_half_precision_is_cast_on_the_way_in_and_out(onnx_classifier: Build, saved_onnx: Save) -> None:
    adapted = opened(saved_onnx(onnx_classifier(dtype=np.float16)), (1, 2, 2))
    logits = adapted.network(torch.full((2, 1, 2, 2), 0.5))
    assert logits.dtype == torch.float32
    assert logits.tolist() == [[1, 2, 3]] * 2
    # 65504 is the largest number of half precision.
    assert adapted.network(torch.full((1, 1, 2, 2), 4e4)).isinf().all()


def test_weights_beside_the_graph_are_used(onnx_classifier: Build, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(onnx_classifier(), path, save_as_external_data=True, location="model.data", size_threshold=0)
    assert (tmp_path / "model.data").stat().st_size >= 48
    assert opened(path, (1, 2, 2)).network(torch.ones(1, 1, 2, 2)).tolist() == [[2, 4, 6]]


def test_a_gradient_is_refused_in_words_of_ours(digits_opset17: Path) -> None:
    adapted = opened(digits_opset17)
    assert not adapted.is_differentiable
    assert "ONNX Runtime gives no gradients" in adapted.limits[0]
    images = torch.rand(2, *DIGITS_SHAPE, requires_grad=True)
    with pytest.raises(ModelError, match="no gradient"):
        adapted.network(images).sum().backward()


def test_copies_share_the_session_and_threads_may_call_at_once(digits_opset17: Path) -> None:
    adapted = opened(digits_opset17)
    assert copy.deepcopy(adapted.network) is adapted.network
    classifier = as_classifier(adapted, DIGITS_SHAPE, 10).folded()
    batches = torch.rand(8, 3, *DIGITS_SHAPE)
    expected = [classifier(batch).representations[adapted.representations[-1]] for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        given = list(pool.map(lambda batch: classifier(batch).representations[adapted.representations[-1]], batches))
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(given, expected, strict=True))


def test_a_device_that_is_not_served_is_told(digits_opset17: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("it may be served")
    with pytest.raises(ModelError, match="does not serve CUDAExecutionProvider"):
        opened(digits_opset17, device=torch.device("cuda"))
