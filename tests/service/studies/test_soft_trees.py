import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from detector.types import no_progress
from models.classifier import Classifier
from models.digits import load_digits_images
from models.training import accuracy
from service.errors import InputError
from service.studies.report import StudyRequest
from service.studies.serialised import as_document
from service.studies.soft_trees import run, study_soft_trees
from service.studies.soft_trees_making import SoftTreeSettings, optimised_pairs, trained_trees
from service.studies.soft_trees_report import (
    NETWORK,
    OPTIMISED,
    SCANS,
    TREES,
    Barriers,
    Judged,
    findings_of,
    joined_share,
)

TINY = SoftTreeSettings(n_trees=8, depth=2, epochs=4, pairs=6, optimised_pairs=3, most_steps=100, low=0.1, budget=120)


def paths(straight: list[float], bent: list[float]) -> Barriers:
    walls, after = np.array(straight), np.array(bent)
    return Barriers(straight=walls, once=after, twice=after, flat=0.01, forward_equivalents=1)


def judged(trees: Barriers, network: Barriers) -> dict[str, Judged]:
    return {
        name: Judged(accuracy=1.0, barriers={SCANS: one, OPTIMISED: one})
        for name, one in ((TREES, trees), (NETWORK, network))
    }


@pytest.fixture(scope="module")
def trees() -> Classifier:
    return trained_trees(TINY, no_progress)


def test_small_trees_learn_the_digits(trees: Classifier) -> None:
    _, held_out = load_digits_images()
    assert accuracy(trees, held_out) > 0.7


def test_trees_depend_on_their_seed_alone() -> None:
    seedling = dataclasses.replace(TINY, n_trees=2, epochs=1)
    first, again, other = (
        trained_trees(dataclasses.replace(seedling, seed=seed), no_progress).digest() for seed in (0, 0, 1)
    )
    assert first == again != other


def test_optimised_pairs_are_taken_for_their_label(trees: Classifier) -> None:
    pairs = optimised_pairs(trees, TINY)
    assert len(pairs) > 0
    for images in (pairs.starts, pairs.ends):
        assert torch.equal(trees(images).logits.argmax(1), pairs.labels)


def test_pairs_are_joined_if_any_path_between_them_is_flat() -> None:
    share = joined_share(paths([0.0, 1.0, 1.0, 1.0], [0.0, 0.005, 0.5, 0.005]))
    assert share is not None
    assert share.value == 0.75


@pytest.mark.usefixtures("few_resamples")
def test_landscapes_with_the_same_walls_agree_and_with_opposite_ones_do_not() -> None:
    up = [0.1 * step for step in range(30)]
    same, opposite = paths(up, [0.0] * 30), paths(up[::-1], [0.0] * 30)
    assert [one.agrees for one in findings_of(judged(same, same), seed=0)] == [True, True, True]
    assert findings_of(judged(same, opposite), seed=0)[2].agrees is False


def test_walls_that_stay_disagree() -> None:
    walls = paths([1.0] * 30, [1.0] * 30)
    assert findings_of(judged(walls, walls), seed=0)[0].agrees is False


def test_trees_without_walls_do_not_rise() -> None:
    flat = paths([0.0] * 30, [0.0] * 30)
    assert [one.agrees for one in findings_of(judged(flat, flat), seed=0)] == [True, False, None]


@pytest.mark.usefixtures("few_resamples")
def test_the_smallest_study_says_everything() -> None:
    report = study_soft_trees(TINY, no_progress)
    assert len(report.findings) == 3
    classifiers = as_document(report)["data"]["classifiers"]
    assert set(classifiers) == {TREES, NETWORK}
    assert len(classifiers[TREES][SCANS]["barriers"]["straight"]) == 6


@pytest.mark.parametrize("asked", [{"train": "digits:training"}, {"classifier": "digits"}, {"limit": 1}])
def test_what_the_study_has_no_use_for_is_refused(asked: dict[str, str | int]) -> None:
    with pytest.raises(InputError):
        run(StudyRequest(out=Path("unused"), **asked), no_progress)
