import dataclasses
from typing import Any

import torch

from detector.acceleration import AccelerationSettings, accelerated
from detector.bundle import Bundle
from detector.cuda_graphs import GraphedClassifier
from detector.detector import Detector
from detector.escalation import searching
from detector.half_precision import HalfPrecisionClassifier, Precision
from detector.potentials import LabelGaussians
from detector.profiles import Auxiliary, PathProfiler


def _profiler(classifier: Any) -> PathProfiler:
    gaussians = LabelGaussians(means=torch.zeros(2, 2), whitening=torch.eye(2)[None])
    alone = PathProfiler(classifier=classifier, gaussians={"logits": gaussians})
    return dataclasses.replace(alone, auxiliary=Auxiliary(profiler=alone, n_prototypes=0))


def test_nothing_is_traded_for_speed_unless_somebody_asks(linear: Any) -> None:
    profiler = accelerated(_profiler(linear), AccelerationSettings())
    assert profiler.classifier is linear
    assert profiler.auxiliary is not None
    assert profiler.auxiliary.profiler.classifier is linear


def test_both_networks_are_rendered_as_the_settings_say(linear: Any) -> None:
    linear.device = torch.device("cuda")
    settings = AccelerationSettings(precision=Precision.FLOAT16, cuda_graphs=True)
    profiler = accelerated(_profiler(linear), settings)
    assert profiler.auxiliary is not None
    for classifier in (profiler.classifier, profiler.auxiliary.profiler.classifier):
        assert isinstance(classifier, GraphedClassifier)
        assert isinstance(classifier.classifier, HalfPrecisionClassifier)
        assert classifier.classifier.classifier is linear


def test_a_detector_measures_straight_paths_as_the_settings_say_and_searches_with_the_classifier_as_it_is(
    bundle: Bundle, corners: Any
) -> None:
    detector = Detector(corners, bundle, acceleration=AccelerationSettings(precision=Precision.BFLOAT16))
    profiler = detector.straight_paths.profiler
    assert isinstance(profiler.classifier, HalfPrecisionClassifier)
    assert searching(profiler, bundle, corners, None).classifier is corners
    images = torch.rand(9, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    labels = [verdict.label for verdict in detector.inspect(images)]
    assert labels == [verdict.label for verdict in Detector(corners, bundle).inspect(images)]


def test_attackers_who_know_the_detector_are_given_gradients_that_are_not_rounded(bundle: Bundle, corners: Any) -> None:
    half = Detector(corners, bundle, acceleration=AccelerationSettings(precision=Precision.BFLOAT16))
    found = []
    for detector in (half, Detector(corners, bundle)):
        images = torch.rand(5, 1, 4, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
        outputs = detector.joint(images, torch.zeros(5, dtype=torch.long))
        found.append((outputs.scores, *torch.autograd.grad(outputs.scores.sum(), images)))
    (half_scores, half_gradient), (scores, gradient) = found
    assert torch.equal(half_scores, scores)
    assert torch.equal(half_gradient, gradient)
    assert not torch.equal(half.measure(images.detach()).scores, scores)


def test_graphs_are_for_cuda_alone(linear: Any) -> None:
    assert accelerated(_profiler(linear), AccelerationSettings(cuda_graphs=True)).classifier is linear
