from collections.abc import Callable
from typing import Any

import pytest
import torch

from detector.bundle import Bundle
from detector.detector import Detector
from detector.onnx_export.graphs import EVIDENCE_OUTPUTS, VERDICT_OUTPUTS, EvidenceGraph, VerdictGraph
from detector.onnx_export.runtime import OnnxStraightPaths, verdict_tensors
from detector.types import LabelledImages, to_pixels
from detector.verdict import Decision, Outcome


def test_a_detector_without_paths_runs_on_onnx_runtime(
    pathless: Bundle,
    traceable: Any,
    exported: Callable[..., Any],
    session_of: Callable[[Any], Any],
    corner_images: Callable[..., LabelledImages],
) -> None:
    with_torch = Detector(traceable, pathless)
    graph = EvidenceGraph(with_torch.straight_paths)
    measure = OnnxStraightPaths(session_of(exported(graph, EVIDENCE_OUTPUTS)))
    images = to_pixels(corner_images(60, seed=4).images)
    expected, found = with_torch.straight(images), measure(images)
    for one, other in (
        (expected.scores, found.scores),
        (expected.profiles, found.profiles),
        *((getattr(expected.paths, name), getattr(found.paths, name)) for name in expected.paths.__dataclass_fields__),
    ):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-4)
    for one, other in zip(
        with_torch.inspect(images),
        Detector(traceable, pathless, measure_straight=measure).inspect(images),
        strict=True,
    ):
        assert (one.decision, one.label, one.suspected_label) == (other.decision, other.label, other.suspected_label)
        assert (one.barrier, one.prototype, one.profile) == (other.barrier, other.prototype, other.profile)


@pytest.mark.slow
def test_a_graph_decides_as_the_detector_does_where_images_leave_early(
    leaving: Bundle,
    traceable: Any,
    exported: Callable[..., Any],
    session_of: Callable[[Any], Any],
    corner_images: Callable[..., LabelledImages],
) -> None:
    with_torch = Detector(traceable, leaving, 0.2)
    measure = OnnxStraightPaths(session_of(exported(EvidenceGraph(with_torch.straight_paths), EVIDENCE_OUTPUTS)))
    session = session_of(exported(VerdictGraph(with_torch, 0.2), VERDICT_OUTPUTS))
    noise = torch.rand(20, 1, 4, 4, generator=torch.Generator().manual_seed(3))
    images = torch.cat([to_pixels(corner_images(60, seed=4).images), noise])
    expected = with_torch.inspect(images)
    assert {verdict.outcome for verdict in expected} == {Outcome.DECIDED, Outcome.LEFT_EARLY}
    found = Detector(traceable, leaving, 0.2, measure_straight=measure).inspect(images)
    for one, other in zip(expected, found, strict=True):
        assert (one.decision, one.outcome, one.label) == (other.decision, other.outcome, other.label)
        assert (one.suspected_label, one.prototype) == (other.suspected_label, other.prototype)
        assert one.score == pytest.approx(other.score, abs=1e-4)
    tensors = verdict_tensors(session, images)
    assert tensors.is_adversarial.tolist() == [verdict.decision is Decision.ADVERSARIAL for verdict in expected]
    scores = torch.tensor([verdict.score for verdict in expected])
    torch.testing.assert_close(tensors.instance_score, scores, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("said", "kind"), [("Failed to allocate memory for 8 bytes", torch.OutOfMemoryError), ("bad node", RuntimeError)]
)
def test_what_the_runtime_says_is_told_and_a_lack_of_memory_is_known_as_one(said: str, kind: type) -> None:
    class Failing:
        def run(self, *_: Any) -> Any:
            raise ArithmeticError(said)

    with pytest.raises(kind, match=said):
        OnnxStraightPaths(Failing())(torch.zeros(2, 1, 4, 4))
