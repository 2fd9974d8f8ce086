import pytest
import torch

from detector.passes import predicted_labels
from detector.search import PotentialKind, label_potential
from detector.types import LabelledImages, no_progress
from service.errors import InputError
from service.studies.subject import open_subject, same_label_pairs, source_of, straight_profiles


def numbered(labels):
    """Images whose only pixel says which they are."""
    images = torch.arange(len(labels), dtype=torch.uint8)[:, None, None, None]
    return LabelledImages(images=images, labels=torch.tensor(labels))


def test_pairs_have_one_label_take_turns_and_use_no_image_twice():
    data = numbered([0, 1] * 6)
    pairs = same_label_pairs(data, 5, seed=0)
    used = [round(float(value) * 255) for value in torch.cat([pairs.starts, pairs.ends]).flatten()]
    assert pairs.labels.tolist() == [0, 1, 0, 1, 0]
    assert len(set(used)) == 10
    assert data.labels[torch.tensor(used)].tolist() == pairs.labels.repeat(2).tolist()


def test_one_seed_draws_one_set_of_pairs():
    data = numbered([0] * 12)
    draws = [same_label_pairs(data, 4, seed=seed).starts.flatten().tolist() for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]


def test_too_few_images_are_refused_with_the_number_of_pairs_that_they_make():
    with pytest.raises(InputError, match="3 correctly classified images make 1 pairs of one label, and 2 were wanted"):
        same_label_pairs(numbered([0, 0, 1]), 2, seed=0)


@pytest.mark.parametrize(
    ("given", "classifier", "part", "source"),
    [
        ("mine.npz", "digits", "train", "mine.npz"),
        (None, "digits", "held-out", "digits:held-out"),
        (None, "cifar10-resnet20", "held-out", "cifar10:test"),
        (None, "cifar10-resnet20", "train", "cifar10:train"),
    ],
)
def test_a_classifier_brings_the_images_that_are_known_for_it(given, classifier, part, source):
    assert source_of(given, classifier, part) == source


def test_images_of_an_unknown_classifier_must_be_named():
    with pytest.raises(InputError, match="add --held-out"):
        source_of(None, "SPEC.toml", "held-out")


def test_only_images_that_the_classifier_names_correctly_are_taken(digits_request):
    subject = open_subject(digits_request(1), classifier=None, n_images=300, progress=no_progress)
    assert len(subject.images) == round(subject.accuracy * 300)
    assert (predicted_labels(subject.classifier, subject.images.images / 255) == subject.images.labels).all()


def test_training_images_that_nobody_needs_are_refused(digits_request):
    with pytest.raises(InputError, match="leave --train out"):
        open_subject(digits_request(1, train="digits:train"), classifier=None, n_images=9, progress=no_progress)


def test_the_profile_of_a_straight_path_is_that_of_its_points(linear):
    starts, ends = torch.zeros(3, 1, 2, 2), torch.ones(3, 1, 2, 2)
    potential = label_potential(PotentialKind.MARGIN, linear, torch.tensor([0, 1, 0]))
    profiles = straight_profiles(potential, starts, ends, n_points=3)
    # The score w·x − 5.5 runs from −5.5 over 0 to 5.5, and is what label 0 has against it.
    rising = [-5.5, 0.0, 5.5]
    assert torch.allclose(profiles, torch.tensor([rising, [-x for x in rising], rising]))
