import torch
from torch import Generator

from models.augmentation import random_crops, random_flips


def images(n: int = 200) -> torch.Tensor:
    return torch.randint(0, 256, (n, 3, 6, 8), dtype=torch.uint8, generator=Generator().manual_seed(7))


def test_crops_without_padding_are_the_images() -> None:
    assert torch.equal(random_crops(images(), 0, Generator()), images())


def test_every_crop_is_a_window_of_the_reflected_image() -> None:
    originals = images()
    padded = torch.nn.functional.pad(originals.float(), (2, 2, 2, 2), mode="reflect").to(torch.uint8)
    windows = padded.unfold(2, 6, 1).unfold(3, 8, 1).permute(0, 2, 3, 1, 4, 5)
    cropped = random_crops(originals, 2, Generator().manual_seed(0))
    matches = (windows == cropped[:, None, None]).flatten(3).all(3)
    assert matches.flatten(1).any(1).all()
    # With 200 draws, all 25 shifts turn up.
    assert matches.any(0).all()


def test_a_flip_is_the_mirror_image_or_the_image() -> None:
    originals = images()
    flipped = random_flips(originals, Generator().manual_seed(0))
    is_same = (flipped == originals).flatten(1).all(1)
    is_mirrored = (flipped == originals.flip(3)).flatten(1).all(1)
    assert (is_same ^ is_mirrored).all()
    assert 70 < int(is_mirrored.sum()) < 130


def test_one_seed_gives_one_result_and_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    first, second = (
        random_flips(random_crops(images(), 2, generator), generator)
        for generator in (Generator().manual_seed(3), Generator().manual_seed(3))
    )
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)
