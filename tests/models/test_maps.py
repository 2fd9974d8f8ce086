import pytest

from models.maps import has_channels_last, resolution_of


@pytest.mark.parametrize(
    ("shape", "aspect", "resolution", "is_last"),
    [
        ((1, 96, 8, 8), 1.0, (8, 8), False),
        ((1, 8, 8, 96), 1.0, (8, 8), True),
        ((1, 8, 8, 8), 1.0, (8, 8), False),
        # Twice as high as wide; strides may round one side up.
        ((1, 96, 7, 3), 2.0, (7, 3), False),
        ((1, 7, 3, 96), 2.0, (7, 3), True),
        ((1, 1, 1, 768), 1.0, (1, 1), True),
        ((1, 768, 1, 1), 1.0, (1, 1), False),
        ((1, 12, 30, 5), 1.0, None, False),
        ((1, 50, 768), 1.0, None, False),
        ((1, 768), 1.0, None, False),
    ],
)
def test_maps_are_told_by_the_aspect_of_the_image(
    shape: tuple[int, ...], aspect: float, resolution: tuple[int, int] | None, is_last: bool
) -> None:
    assert resolution_of(shape, aspect) == resolution
    assert has_channels_last(shape, aspect) == is_last
