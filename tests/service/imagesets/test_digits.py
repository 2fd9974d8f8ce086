import pytest

from models.preprocessing import Preprocessing
from service.errors import InputError
from service.imagesets import load_image_set

DIGITS = Preprocessing(height=8, width=8, channels=1)


@pytest.mark.parametrize(("source", "n_images"), [("digits:train", 900), ("digits:held-out", 897)])
def test_the_installed_scans_are_an_image_set(source: str, n_images: int) -> None:
    data = load_image_set(source, DIGITS, labels=tuple("0123456789"))
    assert data.images.shape == (n_images, 1, 8, 8)
    assert set(data.labels.tolist()) == set(range(10))


def test_a_limit_spreads_over_the_scans() -> None:
    assert len(load_image_set("digits:train", DIGITS, labels=tuple("0123456789"), limit=30)) == 30


def test_a_classifier_of_other_images_is_told_so() -> None:
    colour = Preprocessing(height=32, width=32, channels=3)
    with pytest.raises(InputError, match="1 channel and 8×8"):
        load_image_set("digits:train", colour, labels=tuple("0123456789"))
