import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from detector.types import to_pixels, to_stored
from models.preprocessing import Preprocessing
from service.offline.reading.item_reader import ItemReader
from service.offline.report.lookup import Place
from service.offline.report.pictures import make_pictures


@pytest.fixture
def make(digits):
    def make(summary, items, places=None):
        reader = ItemReader(allow_urls=False, n_bytes=1000)
        preprocessing = Preprocessing.from_dict(digits.record.preprocessing)
        return make_pictures(
            summary, places or {}, lambda shard: items[shard], reader=reader, bundle=digits, preprocessing=preprocessing
        )

    return make


def ranked(summary, *images):
    return dataclasses.replace(summary, ranked=tuple(images))


def test_a_strip_shows_the_image_the_detectors_own_waypoints_and_both_prototypes(make, summary, stored, digits):
    item, digest = stored("a.png", 40)
    image = dataclasses.replace(summary.ranked[0], digest=digest, label=3, prototype=1, suspected_label=8)
    (strip,) = make(ranked(summary, image), [[item]]).strips
    assert (strip.image == 40).all() and strip.refusal is None
    assert [weight for weight, _ in strip.steps] == digits.mixing.tolist()
    prototype = to_pixels(digits.prototypes.images[3, 1][None])[0]
    weight, step = strip.steps[0]
    expected = to_stored((1 - weight) * torch.full((1, 8, 8), 40 / 255) + weight * prototype).numpy()
    assert np.abs(step.astype(int) - expected.astype(int)).max() <= 1
    assert (strip.prototype == digits.prototypes.images[3, 1].numpy()).all()
    assert (strip.suspected == digits.prototypes.images[8, 0].numpy()).all()


def test_an_image_that_is_gone_damaged_or_another_by_now_is_not_shown_and_the_reason_is_kept(make, summary, stored):
    gone, digest = stored("gone.png", 1)
    Path(gone.container).unlink()
    other, _ = stored("other.png", 2)
    refused, _ = stored("refused.png", 3, refused="the link leads out")
    images = [dataclasses.replace(summary.ranked[0], rank=row + 1, row=row, digest=digest) for row in range(3)]
    strips = make(ranked(summary, *images), [[gone, other, refused]]).strips
    assert all(strip.image is None and strip.steps == () for strip in strips)
    assert "No such file" in strips[0].refusal
    assert [strip.refusal for strip in strips[1:]] == [
        "its pixels are others than those that were judged",
        "the link leads out",
    ]


def test_an_undecided_image_has_no_path(make, summary, stored):
    item, digest = stored("a.png", 40)
    undecided = dataclasses.replace(
        summary.ranked[0], digest=digest, decision="undecided", prototype=None, suspected_label=None
    )
    (strip,) = make(ranked(summary, undecided), [[item]]).strips
    assert strip.image is not None and strip.steps == ()
    assert strip.prototype is None and strip.suspected is None


def test_examples_of_groups_are_read_once_with_the_strips_and_left_out_if_they_are_gone(make, summary, stored):
    (first, digest), (second, other) = stored("a.png", 40), stored("b.png", 50)
    image = dataclasses.replace(summary.ranked[0], digest=digest)
    places = {
        "a.png": Place(shard=0, row=0, digest=digest),
        "b.png": Place(shard=1, row=0, digest=other),
        "c.png": Place(shard=1, row=0, digest="0" * 16),
    }
    listed = []

    class Listing:
        def __getitem__(self, shard):
            listed.append(shard)
            return [[first], [second]][shard]

    found = make(ranked(summary, image), Listing(), places)
    assert sorted(found.examples) == ["a.png", "b.png"] and (found.examples["b.png"] == 50).all()
    assert listed == [0, 1]
    assert found.mixing[0] == 0.0 and found.mixing[-1] == 1.0


def test_without_flagged_images_nothing_is_read(make, nothing_flagged):
    found = make(nothing_flagged, None)
    assert found.strips == () and found.examples == {}
