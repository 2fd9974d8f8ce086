import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from detector.prototypes.prototype_set import PrototypeKind, PrototypeSet
from service.bundles import open_bundle
from service.cli import app
from service.errors import InputError
from service.prototype_picture import CELL, GAP, prototype_picture, write_prototypes


def prototypes(n_labels=2, n_prototypes=3, channels=3, side=8, unavailable=()):
    """Label l's prototype p is filled with 60·l + 20·p + 5."""
    values = 60 * torch.arange(n_labels)[:, None] + 20 * torch.arange(n_prototypes) + 5
    images = values[:, :, None, None, None].expand(-1, -1, channels, side, side).to(torch.uint8).contiguous()
    available = torch.tensor([label not in unavailable for label in range(n_labels)])
    return PrototypeSet(images=images, available=available, kinds=(PrototypeKind.NOISE,) * n_prototypes)


def fields(picture, value):
    """Where a colour fills whole rows and columns: left, top, width, height."""
    rows, columns = np.nonzero((np.asarray(picture) == value).all(2))
    return columns.min(), rows.min(), columns.max() - columns.min() + 1, rows.max() - rows.min() + 1


@pytest.mark.parametrize(("channels", "side"), [(3, 8), (1, 8), (3, 224), (2, 100)])
def test_every_prototype_has_its_place_by_label_and_number(channels, side):
    picture = prototype_picture(prototypes(channels=channels, side=side), ["cat", "dog"])
    places = [[fields(picture, 60 * label + 20 * number + 5) for number in range(3)] for label in range(2)]
    assert all(place[2:] == (CELL, CELL) for row in places for place in row)
    assert [[place[1] for place in row] for row in places] == [[places[0][0][1] + i * (CELL + GAP)] * 3 for i in (0, 1)]
    lefts = [place[0] for place in places[0]]
    assert lefts == sorted(set(lefts)) == [place[0] for place in places[1]]


def test_names_make_room_for_themselves():
    short, long = (prototype_picture(prototypes(), names) for names in (["a", "b"], ["a", "b" * 60]))
    assert long.width > short.width + 200
    assert long.height == short.height


def test_a_label_without_prototypes_has_none_drawn():
    picture = np.asarray(prototype_picture(prototypes(unavailable=(1,)), ["cat", "dog"]))
    assert not (picture == 85).all(2).any()
    assert (picture == 25).all(2).any()


def test_shapes_that_are_not_square_keep_their_proportions():
    images = torch.full((1, 1, 3, 10, 40), 77, dtype=torch.uint8)
    wide = PrototypeSet(images=images, available=torch.ones(1, dtype=torch.bool), kinds=(PrototypeKind.GREY,))
    assert fields(prototype_picture(wide, ["wide"]), 77)[2:] == (CELL, CELL // 4)


def test_the_prototypes_of_a_shipped_bundle_are_drawn_by_command(tmp_path):
    path = tmp_path / "digits.png"
    result = CliRunner().invoke(app, ["info", "digits", "--prototypes", str(path)])
    assert result.exit_code == 0, result.output
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert picture.height > 10 * CELL
    assert [entry.name for entry in tmp_path.iterdir()] == ["digits.png"]


def test_a_file_that_is_not_called_png_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"picture\.jpg is not called so; give a name that ends in \.png"):
        write_prototypes(open_bundle("digits"), tmp_path / "picture.jpg")
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_without_prototypes_is_refused(tmp_path):
    class Empty:
        prototypes = prototypes(n_prototypes=0)

    with pytest.raises(InputError, match="no prototypes to draw"):
        write_prototypes(Empty(), tmp_path / "picture.png")
