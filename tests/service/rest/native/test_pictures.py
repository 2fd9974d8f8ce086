import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from detector.potentials import cross_entropy
from service.rest.native.pictures import POSITIONS, measure_lowest, strip


def test_a_path_goes_from_the_image_to_the_prototype_and_is_measured_there(digits, pixels):
    path = measure_lowest(digits.detector, image=pixels[0], label=3, prototype=1)
    assert path.positions[0] == 0
    assert path.positions[-1] == 1
    assert len(path.waypoints) == len(path.cross_entropies) == POSITIONS
    assert torch.equal(path.waypoints[0], pixels[0])
    assert torch.equal(path.waypoints[-1], digits.detector.bundle.prototypes.images[3, 1])
    logits = digits.detector.classifier(pixels[:1].float() / 255).logits
    assert path.cross_entropies[0] == pytest.approx(float(cross_entropy(logits, torch.tensor([3]))), rel=1e-4)


def test_bytes_and_pixels_have_the_same_path(digits, pixels):
    stored = measure_lowest(digits.detector, image=pixels[0], label=3, prototype=1)
    given = measure_lowest(digits.detector, image=pixels[0].float() / 255, label=3, prototype=1)
    assert torch.equal(stored.waypoints, given.waypoints)
    assert stored.cross_entropies == given.cross_entropies


def test_the_ends_of_the_profile_are_those_of_the_verdict(digits, pixels):
    [verdict] = digits.detector.inspect(pixels[:1].float() / 255)
    path = measure_lowest(digits.detector, image=pixels[0], label=verdict.label, prototype=verdict.prototype)
    assert path.cross_entropies[0] == pytest.approx(verdict.profile[0], abs=1e-4)
    assert path.cross_entropies[-1] == pytest.approx(verdict.profile[-1], abs=1e-4)


def test_a_strip_shows_the_pixels_themselves(digits, pixels):
    points = strip(measure_lowest(digits.detector, image=pixels[0], label=3, prototype=1))["strip"]
    head, _, data = points[0]["uri"].partition(",")
    assert head == "data:image/png;base64"
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    assert np.array_equal(shown, pixels[0, 0].numpy())
