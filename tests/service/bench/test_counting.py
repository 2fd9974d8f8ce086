import dataclasses

import torch
from torch import Generator

from detector.acceleration import AccelerationSettings
from detector.detector import Detector
from detector.half_precision import Precision
from service.bench.contenders import RATE
from service.bench.counting import counted_forward_equivalents
from service.bundles import ClassifierChoice, open_detector


def opened(name):
    return open_detector(name, false_positive_rate=RATE, choice=ClassifierChoice(device="cpu")).detector


def noise(n_images, shape):
    return torch.rand(n_images, *shape, generator=Generator().manual_seed(0))


def test_every_pass_of_a_bundle_that_measures_in_full_is_counted():
    detector = opened("digits")
    assert counted_forward_equivalents(detector, noise(5, (1, 8, 8))) == detector.bundle.forward_equivalents


def test_the_auxiliary_is_counted_too():
    detector = opened("cifar10-resnet20")
    assert detector.bundle.record.auxiliary is not None
    assert counted_forward_equivalents(detector, noise(2, (3, 32, 32))) == detector.bundle.forward_equivalents


def test_images_that_leave_early_are_counted_for_what_they_took():
    full = opened("cifar10-resnet20-early")
    auxiliary = full.straight_paths.profiler.auxiliary.profiler.classifier
    everyone = dataclasses.replace(full.bundle.early_exit, leave_below=1e6, ordinary_below=1e6)
    leaving = Detector(full.classifier, full.bundle.replaced(early_exit=everyone), auxiliary=auxiliary)
    assert counted_forward_equivalents(leaving, noise(2, (3, 32, 32))) == 2


def test_passes_in_half_precision_cannot_be_seen():
    plain = opened("digits")
    halved = Detector(plain.classifier, plain.bundle, acceleration=AccelerationSettings(precision=Precision.BFLOAT16))
    assert counted_forward_equivalents(halved, noise(1, (1, 8, 8))) is None


def test_counting_leaves_no_hook_behind():
    detector = opened("digits")
    counted_forward_equivalents(detector, noise(1, (1, 8, 8)))
    assert not detector.classifier._forward_pre_hooks
