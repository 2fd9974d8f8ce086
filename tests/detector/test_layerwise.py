import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from detector.layerwise import ResumableClassifier, layerwise_barriers
from detector.paths import barrier_height, straight_paths
from detector.potentials import cross_entropy
from detector.types import DetectorError
from models.registry import load_classifier

Step = Callable[[Tensor], Tensor]


@dataclasses.dataclass(frozen=True)
class ChainOutputs:
    logits: Tensor
    representations: Mapping[str, Tensor]


class Chain:
    """Steps one after the other on images of two pixels, the last giving logits, all but it representations."""

    def __init__(self, steps: Mapping[str, Step]) -> None:
        self.steps = dict(steps)
        self.labels = ("a", "b")
        self.input_shape = (1, 1, 2)
        self.device = torch.device("cpu")
        self.batches: list[int] = []

    def __call__(self, pixels: Tensor) -> ChainOutputs:
        self.batches.append(len(pixels))
        given, value = {}, pixels.flatten(1)
        for name, step in self.steps.items():
            value = given[name] = step(value)
        return ChainOutputs(given.pop("logits"), given)

    def resume(self, name: str, activations: Tensor, pixels: Tensor) -> Tensor:
        self.batches.append(len(pixels))
        names = list(self.steps)
        for later in names[names.index(name) + 1 :]:
            activations = self.steps[later](activations)
        return activations

    def digest(self) -> str:
        return "chain"


def doubled(values: Tensor) -> Tensor:
    return 2 * values


def disc(values: Tensor) -> Tensor:
    """Of two numbers the squared distance to (1, 1)."""
    return (values - 1).square().sum(1, keepdim=True)


def to_logits(distance: Tensor) -> Tensor:
    """Log-odds of label b are 4 − 8·distance: it lives near (1, 1), which is the middle of the doubled square."""
    return torch.cat([torch.zeros_like(distance), 4 - 8 * distance], 1)


def bends_second() -> Chain:
    """The first stage is linear, the second is where a disc is drawn, the head is linear again."""
    return Chain({"linear": doubled, "bent": disc, "logits": to_logits})


CORNERS = torch.tensor([[[[0.0, 0.5]]]]), torch.tensor([[[[1.0, 0.5]]]])
LABEL_A = torch.tensor([0])


def test_a_bend_is_met_before_it_and_not_after() -> None:
    found = layerwise_barriers(bends_second(), *CORNERS, LABEL_A, n_points=5)
    assert found.stages == ("pixels", "linear", "bent")
    # Across the disc log-odds of b go from −4 to 4 and back; past the bend both ends look the same.
    barrier = math.log1p(math.exp(4)) - math.log1p(math.exp(-4))
    assert found.barriers.flatten().tolist() == pytest.approx([barrier, barrier, 0], abs=1e-5)
    assert found.profiles.shape == (3, 1, 5)
    assert found.profiles[2].flatten().tolist() == pytest.approx([math.log1p(math.exp(-4))] * 5)


def test_a_bend_in_the_first_stage_is_met_in_the_pixels_alone() -> None:
    chain = Chain({"bent": lambda values: disc(2 * values), "linear": doubled, "logits": lambda v: to_logits(v / 2)})
    found = layerwise_barriers(chain, *CORNERS, LABEL_A)
    assert found.barriers[0].item() > 3
    assert found.barriers[1:].flatten().tolist() == pytest.approx([0, 0], abs=1e-6)


def test_every_stage_of_a_linear_network_shows_the_same_profile() -> None:
    turned = torch.tensor([[0.6, -0.8], [0.8, 0.6]])
    chain = Chain({"first": doubled, "second": lambda values: values @ turned, "logits": lambda values: 3 * values})
    starts, ends = torch.rand(2, 7, 1, 1, 2, generator=torch.Generator().manual_seed(0))
    found = layerwise_barriers(chain, starts, ends, torch.arange(7) % 2)
    torch.testing.assert_close(found.profiles[1:], found.profiles[:1].expand(2, -1, -1))
    # Cross-entropy is convex in the logits, so a straight line through them never rises above its ends.
    assert found.barriers.max().item() <= 1e-6
    assert found.profiles.std() > 0.1


def test_the_input_stage_is_the_straight_path() -> None:
    chain = bends_second()
    starts, ends = torch.rand(2, 4, 1, 1, 2, generator=torch.Generator().manual_seed(0))
    waypoints = straight_paths(starts, ends, torch.linspace(0, 1, 9))
    labels = torch.tensor([0, 1, 0, 1])
    profile = cross_entropy(chain(waypoints.flatten(0, 1)).logits, labels.repeat_interleave(9)).view(4, 9)
    found = layerwise_barriers(chain, starts, ends, labels, n_points=9)
    torch.testing.assert_close(found.profiles[0], profile)
    torch.testing.assert_close(found.barriers[0], barrier_height(profile))


def test_all_stages_share_their_ends() -> None:
    starts, ends = torch.rand(2, 4, 1, 1, 2, generator=torch.Generator().manual_seed(0))
    found = layerwise_barriers(bends_second(), starts, ends, torch.zeros(4, dtype=torch.int64), n_points=3)
    for point in (0, -1):
        torch.testing.assert_close(found.profiles[:, :, point], found.profiles[:1, :, point].expand(3, -1))


def test_no_pass_is_larger_than_asked_for_and_the_answer_is_the_same() -> None:
    starts, ends = torch.rand(2, 5, 1, 1, 2, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 0, 1, 0])
    together = layerwise_barriers(bends_second(), starts, ends, labels, n_points=5)
    chain = bends_second()
    in_fours = layerwise_barriers(chain, starts, ends, labels, n_points=5, pixels_per_pass=8)
    assert max(chain.batches) == 4
    torch.testing.assert_close(in_fours.profiles, together.profiles)
    alone = layerwise_barriers(bends_second(), starts[2:3], ends[2:3], labels[2:3], n_points=5)
    torch.testing.assert_close(alone.profiles[:, 0], together.profiles[:, 2])


def test_only_the_stages_asked_for_are_mixed_at() -> None:
    found = layerwise_barriers(bends_second(), *CORNERS, LABEL_A, stages=["bent"])
    assert found.stages == ("pixels", "bent")
    assert found.barriers[0].item() > 3 > found.barriers[1].item()


def test_no_path_gives_no_barrier() -> None:
    none = torch.zeros(0, 1, 1, 2)
    assert layerwise_barriers(bends_second(), none, none, LABEL_A[:0]).barriers.shape == (3, 0)


def test_a_path_that_is_not_finite_is_nan_and_leaves_the_others_alone() -> None:
    starts, ends = torch.rand(2, 3, 1, 1, 2, generator=torch.Generator().manual_seed(0))
    starts[1] = math.nan
    found = layerwise_barriers(bends_second(), starts, ends, torch.zeros(3, dtype=torch.int64))
    assert found.barriers.isnan().tolist() == [[False, True, False]] * 3


def test_a_stage_that_the_input_goes_past_is_refused() -> None:
    class Leaking(Chain):
        def resume(self, name: str, activations: Tensor, pixels: Tensor) -> Tensor:
            return super().resume(name, activations, pixels) + pixels.flatten(1)

    leaking = Leaking(bends_second().steps)
    with pytest.raises(DetectorError, match="'linear' is not the only road"):
        layerwise_barriers(leaking, *CORNERS, LABEL_A)


def test_a_classifier_that_cannot_be_resumed_is_refused(radial: Any) -> None:
    assert not isinstance(radial, ResumableClassifier)
    with pytest.raises(DetectorError, match=r"a Toy cannot be run from a stage on.*resume\(name, activations, pixels"):
        layerwise_barriers(radial, *CORNERS, LABEL_A)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_points": 2}, "2 points show no barrier"),
        ({"stages": ["attic"]}, "no representation 'attic'; its own are linear, bent"),
        ({"labels": torch.tensor([0, 1])}, "and 2 labels"),
    ],
)
def test_what_cannot_be_measured_is_refused(changes: dict[str, Any], message: str) -> None:
    given = {"starts": CORNERS[0], "ends": CORNERS[1], "labels": LABEL_A} | changes
    with pytest.raises(DetectorError, match=message):
        layerwise_barriers(bends_second(), **given)


def test_a_shipped_classifier_with_its_batch_norms_folded_can_be_resumed_at_every_stage() -> None:
    classifier = load_classifier("digits").classifier
    assert isinstance(classifier, ResumableClassifier)
    starts, ends = torch.rand(2, 4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = classifier(starts).logits.argmax(1)
    found = layerwise_barriers(classifier, starts, ends, labels)
    assert found.stages == ("pixels", "stages.0", "stages.1", "stages.2", "flatten")
    for point, pixels in ((0, starts), (-1, ends)):
        direct = cross_entropy(classifier(pixels).logits, labels)
        torch.testing.assert_close(found.profiles[:, :, point], direct.expand(5, -1), atol=1e-4, rtol=1e-4)
    # Between the last features and the logits everything is linear, and cross-entropy is convex.
    assert found.barriers[-1].max().item() < 1e-4 < found.barriers[0].max().item()
