from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from detector.detector import Detector
from detector.onnx_export.exporting import ExportError
from detector.onnx_export.graphs import VERDICT_OUTPUTS, VerdictGraph, in_range
from detector.onnx_export.runtime import VerdictTensors, verdict_tensors
from detector.types import CalibrationError, LabelledImages, to_pixels
from detector.verdict import Decision, Verdict

# The export that they share takes most of the time.
pytestmark = pytest.mark.slow

RATE = 0.05


@pytest.fixture
def session(
    made: dict[str, Any], watched: Detector, exported: Callable[..., Any], session_of: Callable[[Any], Any]
) -> Any:
    if "session" not in made:
        made["session"] = session_of(exported(VerdictGraph(watched, RATE), VERDICT_OUTPUTS))
    return made["session"]


@pytest.fixture
def images(corner_images: Callable[..., LabelledImages]) -> Tensor:
    """Easy ones, and ones of noise."""
    noise = torch.rand(40, 1, 4, 4, generator=torch.Generator().manual_seed(3))
    return torch.cat([to_pixels(corner_images(80, seed=9).images), noise])


def assert_equal(found: VerdictTensors, verdicts: list[Verdict]) -> None:
    assert found.label.tolist() == [verdict.label for verdict in verdicts]
    assert found.is_adversarial.tolist() == [verdict.decision is not Decision.CLEAN for verdict in verdicts]
    suspects = [-1 if verdict.suspected_label is None else verdict.suspected_label for verdict in verdicts]
    assert found.suspected_label.tolist() == suspects
    for values, name in ((found.instance_score, "score"), (found.p_value, "p_value")):
        numbers = [getattr(verdict, name) for verdict in verdicts]
        expected = torch.tensor([torch.nan if number is None else number for number in numbers])
        torch.testing.assert_close(values, expected, rtol=0, atol=1e-4, equal_nan=True)


def test_the_graph_says_what_the_detector_says_auxiliary_smoothings_and_missing_prototypes_included(
    watched: Detector, session: Any, images: Tensor
) -> None:
    verdicts = watched.inspect(images)
    # Otherwise the test would say little.
    assert {verdict.decision for verdict in verdicts} == set(Decision)
    assert_equal(verdict_tensors(session, images), verdicts)


@pytest.mark.parametrize("size", [1, 2, 7])
def test_any_number_of_images_makes_a_batch(watched: Detector, session: Any, images: Tensor, size: int) -> None:
    chosen = images[-size:]
    assert_equal(verdict_tensors(session, chosen), watched.inspect(chosen))


def test_tensors_have_the_names_and_types_of_the_protocol(session: Any) -> None:
    assert [value.name for value in session.get_inputs()] == ["pixels"]
    assert session.get_inputs()[0].type == "tensor(float)"
    assert session.get_inputs()[0].shape == ["batch", 1, 4, 4]
    assert [(value.name, value.type, value.shape) for value in session.get_outputs()] == [
        ("is_adversarial", "tensor(bool)", ["batch"]),
        ("instance_score", "tensor(float)", ["batch"]),
        ("p_value", "tensor(float)", ["batch"]),
        ("label", "tensor(int64)", ["batch"]),
        ("suspected_label", "tensor(int64)", ["batch"]),
    ]


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf, 1.001, -0.001, 255.0])
def test_a_pixel_that_is_none_makes_its_image_undecided_and_no_other(
    watched: Detector, session: Any, images: Tensor, value: float
) -> None:
    before = verdict_tensors(session, images[:3])
    assert before.instance_score.isfinite().all()
    broken = images[:3].clone()
    broken[1, 0, 2, 3] = value
    found = verdict_tensors(session, broken)
    assert found.is_adversarial[1]
    assert found.instance_score[1].isnan()
    assert found.p_value[1].isnan()
    assert found.suspected_label[1] == -1
    assert 0 <= found.label[1] < 4
    for name in VERDICT_OUTPUTS:
        rest = getattr(found, name)[[0, 2]], getattr(before, name)[[0, 2]]
        torch.testing.assert_close(*rest, rtol=0, atol=1e-5)


def test_the_darkest_and_the_brightest_pixel_are_in_range() -> None:
    images = torch.tensor([[0.0, 1.0], [-1e-7, 1.0], [0.0, 1.0 + 2e-7], [torch.nan, 0.5]])[:, None, None]
    assert in_range(images).tolist() == [True, False, False, False]


def test_a_detector_that_searches_is_no_graph(hesitant: Any, rippled: Any) -> None:
    with pytest.raises(ExportError, match="--escalate"):
        VerdictGraph(Detector(rippled, hesitant), RATE)


def test_a_rate_that_the_bundle_does_not_support_is_refused(watched: Detector) -> None:
    with pytest.raises(CalibrationError, match="cannot support"):
        VerdictGraph(watched, 1e-6)
