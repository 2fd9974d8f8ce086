import math
from typing import Any

import torch

from detector.evaluation.baselines.max_softmax import MaxSoftmax


def test_the_score_is_the_log_of_minus_the_log_probability_of_the_predicted_label(linear: Any) -> None:
    # Pixels of zero have logits 0 and -5.5: the first label has probability 1 / (1 + exp(-5.5)).
    score = MaxSoftmax(classifier=linear).measure(torch.zeros(1, 1, 2, 2))
    assert math.isclose(score.item(), math.log(math.log1p(math.exp(-5.5))), rel_tol=1e-4)


def test_an_image_at_the_boundary_scores_highest_and_sure_images_are_told_apart(toy: Any) -> None:
    classifier = toy(lambda pixels: torch.cat([pixels.flatten(1) * 200, -pixels.flatten(1)], 1), n_labels=2,
                     input_shape=(1, 1, 1))  # fmt: skip
    scores = MaxSoftmax(classifier=classifier).measure(torch.tensor([0.0, 0.1, 0.9, 1.0])[:, None, None, None])
    # In single precision both 180 and 200 logits of lead are a probability of one.
    assert (scores.diff() < 0).all()
