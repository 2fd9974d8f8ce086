from typing import Any

import pytest
import torch

from detector.calibration.splits import Splits, SplitShares, image_digests, split_held_out, without_validation
from detector.types import CalibrationError, LabelledImages

SHARES = SplitShares(reserved=0.1, conformal=0.2, learning=0.5)


def _data(first: int, last: int) -> LabelledImages:
    """Images of two pixels that spell their number, which is their label too."""
    numbers = torch.arange(first, last)
    images = torch.stack([numbers // 256, numbers % 256], 1).to(torch.uint8).view(-1, 1, 1, 2)
    return LabelledImages(images=images, labels=numbers)


def _parts(splits: Splits) -> list[set[int]]:
    parts = (splits.statistics, splits.learning, splits.conformal, splits.reserved)
    return [set(part.labels.tolist()) for part in parts]


def test_no_image_serves_two_purposes_and_none_is_lost() -> None:
    parts = _parts(split_held_out(_data(0, 1000), _data(2000, 2010), SHARES, seed=0))
    # A tenth is reserved; a fifth and a half are shares of the 900 others.
    assert [len(part) for part in parts] == [270, 450, 180, 100]
    assert set.union(*parts) == set(range(1000))


def test_images_keep_their_labels() -> None:
    splits = split_held_out(_data(0, 500), _data(2000, 2010), SHARES, seed=0)
    numbers = splits.learning.images.long()
    assert torch.equal(numbers[:, 0, 0, 0] * 256 + numbers[:, 0, 0, 1], splits.learning.labels)


def test_the_order_of_the_images_does_not_matter() -> None:
    held_out, references = _data(0, 300), _data(2000, 2010)
    order = torch.randperm(300, generator=torch.Generator().manual_seed(0))
    found = split_held_out(held_out[order], references, SHARES, seed=0)
    assert _parts(found) == _parts(split_held_out(held_out, references, SHARES, seed=0))


def test_another_seed_deals_otherwise() -> None:
    held_out, references = _data(0, 300), _data(2000, 2010)
    parts = [_parts(split_held_out(held_out, references, SHARES, seed=seed)) for seed in (0, 1)]
    assert parts[0] != parts[1]


def test_images_that_come_twice_are_dealt_once() -> None:
    held_out = _data(0, 200)[torch.cat([torch.arange(200), torch.arange(50)])]
    splits = split_held_out(held_out, _data(2000, 2010), SHARES, seed=0)
    assert splits.n_dropped == 50
    assert sum(map(len, _parts(splits))) == 200


def test_references_are_not_held_out() -> None:
    splits = split_held_out(_data(0, 200), _data(150, 400), SHARES, seed=0)
    assert splits.n_dropped == 50
    assert set.union(*_parts(splits)) == set(range(150))


def test_nothing_is_left_where_everything_is_a_reference() -> None:
    splits = split_held_out(_data(0, 20), _data(0, 20), SHARES, seed=0)
    assert splits.n_dropped == 20
    assert _parts(splits) == [set()] * 4


@pytest.mark.parametrize("shares", [(0.0, 0.5, 0.5), (1.0, 0.2, 0.5), (-0.1, 0.2, 0.5), (0.0, -0.2, 0.5)])
def test_shares_that_leave_nothing_for_the_statistics_are_refused(shares: tuple[float, float, float]) -> None:
    reserved, conformal, learning = shares
    with pytest.raises(CalibrationError, match="some must be left over"):
        SplitShares(reserved=reserved, conformal=conformal, learning=learning)


def test_equal_pixels_have_equal_digests_and_a_salt_changes_them() -> None:
    images = _data(0, 2).images[torch.tensor([0, 1, 0])]
    first, second, again = image_digests(images)
    assert first == again != second
    assert len(first) == 8
    assert image_digests(images, salt=b"1")[0] != first


def test_the_last_share_of_the_images_to_learn_from_only_validates(corner_images: Any) -> None:
    images = corner_images(10, seed=1)
    learning, validation = without_validation(images, 0.2)
    assert torch.equal(learning.images, images.images[:8])
    assert torch.equal(validation.images, images.images[8:])
