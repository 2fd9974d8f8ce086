from typing import Any

import pytest
import torch
from torch import Tensor

from detector.calibration.stream import Batch
from detector.escalation import Escalator
from detector.evaluation.frontier.arena import Arena
from detector.evaluation.frontier.contenders import Judge
from detector.evaluation.frontier.heads import SearchedFeatures, StraightFeatures, trained_contender
from detector.potentials import LabelGaussians
from detector.profiles import PathProfiler
from detector.second_opinion import EscalationSettings
from detector.types import no_progress

PROTOTYPES = torch.rand(4, 1, 1, 4, 4, generator=torch.Generator().manual_seed(9))
MIXING = torch.tensor([0.3])


@pytest.fixture
def profiler(corners: Any) -> PathProfiler:
    gaussians = {
        name: LabelGaussians(means=torch.zeros(4, 4), whitening=torch.eye(4)[None])
        for name in ("map", "means", "logits")
    }
    return PathProfiler(classifier=corners, gaussians=gaussians)


def images(n: int, brightness: float, seed: int) -> Tensor:
    return brightness + 0.1 * torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(seed))


def batches(n: int, seed: int) -> list[Batch]:
    """Clean images are dark and proxies bright, so that any head can tell them apart."""
    return [
        Batch(
            clean=images(30, 0.1, seed + i),
            proxies=images(30, 0.8, seed + 50 + i),
            true_labels=torch.zeros(30, dtype=torch.int64),
        )
        for i in range(n)
    ]


@pytest.mark.parametrize("is_searched", [False, True], ids=["straight", "searched"])
def test_a_head_learns_what_tells_the_batches_apart(profiler: PathProfiler, corners: Any, is_searched: bool) -> None:
    arena = Arena(
        classifier=corners,
        threshold=images(40, 0.1, 200),
        clean=images(20, 0.1, 201),
        attacked={"bright": images(20, 0.8, 202)},
    )
    escalator = Escalator(profiler=profiler, prototypes=PROTOTYPES, mixing=MIXING, settings=EscalationSettings())
    features = (
        SearchedFeatures(escalator=escalator)
        if is_searched
        else StraightFeatures(profiler=profiler, prototypes=PROTOTYPES, mixing=MIXING)
    )
    torch.manual_seed(0)
    found = trained_contender(arena, features, "noise", batches(4, 0), batches(1, 20), no_progress)
    assert found.judge is Judge.HEAD
    assert found.method == ("bypass" if is_searched else "straight")
    assert found.standing.mean_auroc > 0.95
    assert found.forward_equivalents == 2 if not is_searched else found.forward_equivalents >= 9 + 2
