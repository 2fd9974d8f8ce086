import pytest
import torch

from detector.prototypes import PrototypeKind, PrototypeSet
from detector.types import DetectorError


def _set() -> PrototypeSet:
    images = torch.arange(2 * 3, dtype=torch.uint8).view(2, 3, 1, 1, 1) * 51
    return PrototypeSet(images=images, available=torch.tensor([True, False]), kinds=(PrototypeKind.GREY,) * 3)


def test_pixels_are_the_stored_bytes_between_0_and_1() -> None:
    expected = torch.tensor([[0.0, 0.2, 0.4], [0.6, 0.8, 1.0]])
    torch.testing.assert_close(_set().pixels()[..., 0, 0, 0], expected)
    assert _set().n_prototypes == 3


@pytest.mark.parametrize(("n_available", "n_kinds"), [(1, 3), (2, 2)])
def test_parts_that_do_not_fit_together_are_refused(n_available: int, n_kinds: int) -> None:
    images = torch.zeros(2, 3, 1, 1, 1, dtype=torch.uint8)
    with pytest.raises(DetectorError, match="one availability a label and one kind a prototype"):
        PrototypeSet(
            images=images,
            available=torch.ones(n_available, dtype=torch.bool),
            kinds=(PrototypeKind.GREY,) * n_kinds,
        )


def test_only_prototypes_that_hold_nobodys_pixels_may_be_given_away() -> None:
    real = {
        PrototypeKind.REAL,
        PrototypeKind.MEDOID,
        PrototypeKind.OTHER_LABEL,
        PrototypeKind.LEARNED_FROM_IMAGES,
    }
    assert {kind for kind in PrototypeKind if not kind.is_synthetic} == real
