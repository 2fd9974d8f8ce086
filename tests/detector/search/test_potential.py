from typing import Any

import pytest
import torch

from detector.potentials import LabelGaussians, cross_entropy, log_cross_entropy, margin
from detector.search import PotentialKind, label_potential
from detector.types import DetectorError

POINTS = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(0))
PATHS = torch.tensor([0, 0, 1, 1, 2, 2])
LABELS = torch.tensor([3, 0, 1])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (PotentialKind.CROSS_ENTROPY, cross_entropy),
        (PotentialKind.LOG_CROSS_ENTROPY, log_cross_entropy),
        (PotentialKind.MARGIN, lambda logits, labels: -margin(logits, labels)),
    ],
)
def test_each_point_is_measured_for_the_label_of_its_path(kind: PotentialKind, expected: Any, corners: Any) -> None:
    values = label_potential(kind, corners, LABELS)(POINTS, PATHS)
    torch.testing.assert_close(values, expected(corners(POINTS).logits, LABELS[PATHS]))


def test_the_representation_potential_is_the_mean_log_distance_to_the_labels_own_gaussian(linear: Any) -> None:
    blocks = {
        name: LabelGaussians(means=torch.zeros(2, size), whitening=scale * torch.eye(size)[None])
        for name, size, scale in (("pixels", 4, 1.0), ("logits", 2, 2.0))
    }
    points = torch.tensor([[[[0.5, 0.5], [0.5, 0.5]]]])
    found = label_potential(PotentialKind.REPRESENTATION, linear, torch.tensor([0]), blocks)(points, torch.tensor([0]))
    # Per dimension: pixels ½² = 0.25; logits are (0, 0), at the mean, where only the floor of 1e-6 is left.
    assert found.item() == pytest.approx((torch.tensor([0.25 + 1e-6, 1e-6]).log().mean()).item(), rel=1e-4)


def test_the_representation_potential_needs_gaussians(corners: Any) -> None:
    with pytest.raises(DetectorError, match="Gaussians of a bundle"):
        label_potential(PotentialKind.REPRESENTATION, corners, LABELS)


def test_every_kind_names_its_unit() -> None:
    assert {kind: kind.unit for kind in PotentialKind} == {
        PotentialKind.CROSS_ENTROPY: "nats",
        PotentialKind.LOG_CROSS_ENTROPY: "log nats",
        PotentialKind.MARGIN: "logits",
        PotentialKind.REPRESENTATION: "log distance",
    }
