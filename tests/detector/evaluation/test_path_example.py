import dataclasses

import numpy as np
import pytest

from detector.evaluation.path_example import (
    PathExample,
    example_contexts,
    is_right,
    truth_in_words,
    verdict_in_words,
)
from detector.verdict import Decision

CAUGHT = PathExample(
    title="pgd8 · caught",
    attack="pgd8",
    true_label="8",
    predicted_label="3",
    suspected_label="8",
    decision=Decision.ADVERSARIAL,
    p_value=0.004,
    score=4.5,
    barrier=1.25,
    image=np.full((1, 8, 8), 9, np.uint8),
    original=np.full((1, 8, 8), 7, np.uint8),
    strip=np.zeros((3, 1, 8, 8), np.uint8),
    mixing=np.array([0.0, 0.5, 1.0]),
    profiles={"cross-entropy, nats": np.array([0.5, 2.0, 0.25])},
)
PASSED = dataclasses.replace(
    CAUGHT, attack=None, original=None, suspected_label=None, decision=Decision.CLEAN, p_value=0.41, barrier=None
)


@pytest.mark.parametrize(
    ("example", "words"),
    [
        (CAUGHT, "flagged: p = 0.004; the classifier says 3, the path says 8"),
        (PASSED, "passed: p = 0.41; the classifier says 3"),
        (dataclasses.replace(PASSED, p_value=0.00002), "passed: p = 0.00002; the classifier says 3"),
        (
            dataclasses.replace(PASSED, decision=Decision.UNDECIDED, p_value=float("nan")),
            "undecided, to be treated as adversarial; the classifier says 3",
        ),
    ],
)
def test_the_verdict_is_a_sentence(example: PathExample, words: str) -> None:
    assert verdict_in_words(example) == words


def test_the_truth_is_told_beside_the_verdict() -> None:
    assert truth_in_words(CAUGHT) == "pgd8 attack on 8"
    assert truth_in_words(PASSED) == "natural image of 8"
    assert is_right(CAUGHT) and is_right(PASSED)
    assert not is_right(dataclasses.replace(CAUGHT, decision=Decision.CLEAN))
    assert not is_right(dataclasses.replace(PASSED, decision=Decision.UNDECIDED))


def test_a_long_strip_has_weights_under_a_dozen_of_its_pictures_at_most() -> None:
    long = dataclasses.replace(
        CAUGHT, strip=np.zeros((25, 1, 8, 8), np.uint8), mixing=np.linspace(0, 1, 25), profiles={}
    )
    (context,) = example_contexts([long])
    strip = context["strip"]
    assert isinstance(strip, list)
    assert [index for index, (_, _, is_written) in enumerate(strip) if is_written] == list(range(0, 25, 3))
