from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from models.adapters.adapted import NetworkKind
from models.classifier import Classifier
from models.errors import ModelError
from models.sanity import check_network


class Computing(nn.Module):
    """Logits by a function of the flattened images; `flatten` gives the representation."""

    def __init__(self, compute: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.compute = compute

    def forward(self, images: Tensor) -> Tensor:
        return self.compute(self.flatten(images))


def checked(
    compute: Callable[[Tensor], Tensor],
    *,
    kind: NetworkKind = NetworkKind.FACTORY,
    labels: str = "abcd",
    outputs: list[int] | None = None,
) -> None:
    classifier = Classifier(
        Computing(compute),
        mean=[0.5],
        std=[0.5],
        representations=["flatten"],
        labels=labels,
        input_shape=(1, 2, 2),
        outputs=outputs,
    )
    check_network(classifier, kind)


def noisy(features: Tensor) -> Tensor:
    return features + torch.rand_like(features)


def centred(features: Tensor) -> Tensor:
    """As a batch norm does in training mode."""
    return features - features.mean(0)


def fixed(features: Tensor) -> Tensor:
    return features + torch.arange(3.0)[:, None]


def for_many(features: Tensor) -> Tensor:
    if features.shape[0] == 1:
        raise RuntimeError("expected more than 1 value per channel")
    return features


def test_a_sound_network_passes() -> None:
    checked(lambda features: features)
    checked(lambda features: features.log_softmax(1))
    checked(lambda features: features.sigmoid())
    checked(lambda features: features, labels="ab", outputs=[3, 0])


@pytest.mark.parametrize(
    ("compute", "message"),
    [
        (noisy, r"gives the same images other logits each time: it is in training mode \(dropout\)"),
        (lambda features: noisy(features) * 1e-4, r"gives the same images other logits each time"),
        (centred, r"depends on the others in its batch: it is in training mode \(batch norm\)"),
        (fixed, r"takes one image, but not 4 at once .*: its batch axis is fixed"),
        (for_many, r"takes 4 images at once, but not one alone .*after network.eval\(\)"),
        (lambda features: features.softmax(1), r"are probabilities .* every row sums to one.*leave its softmax out"),
        (lambda features: features.flatten(), r"for 4 images the network gives \(16,\)"),
        (lambda features: features[:, :3], "gives 3 logits, but 4 labels are named"),
        (
            lambda features: ((features.half() + 60000) * 2).float(),
            r"the logits of 4 of 4 random images are infinite or no numbers: .* half precision \(float16\) overflow",
        ),
        (lambda features: features * torch.nan, "no numbers"),
    ],
)
def test_what_is_wrong_is_named(compute: Callable[[Tensor], Tensor], message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        checked(compute)
    assert "\n" not in str(caught.value)


def test_small_and_no_logits_are_sound() -> None:
    checked(lambda features: features * 1e-4)
    checked(lambda features: features * 0)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("no memory"), MemoryError("no memory")])
@pytest.mark.parametrize("n_images", [1, 4])
def test_too_little_memory_is_not_taken_for_a_fixed_batch_axis(error: Exception, n_images: int) -> None:
    def compute(features: Tensor) -> Tensor:
        if features.shape[0] == n_images:
            raise error
        return features

    with pytest.raises(type(error), match="no memory"):
        checked(compute)


def test_probabilities_are_seen_however_few_outputs_are_kept() -> None:
    with pytest.raises(ModelError, match="are probabilities"):
        checked(lambda features: features.softmax(1), labels="ab", outputs=[0, 1])


def test_outputs_that_are_not_there_are_named() -> None:
    with pytest.raises(ModelError, match="outputs names logit 4, but the network's go from 0 to 3"):
        checked(lambda features: features, labels="ab", outputs=[0, 4])


@pytest.mark.parametrize(
    ("kind", "advice"),
    [
        (NetworkKind.EXPORTED_PROGRAM, "export the network again, after network.eval"),
        (NetworkKind.FACTORY, r"call network.eval\(\) in the factory"),
    ],
)
def test_the_advice_fits_what_the_network_was_made_from(kind: NetworkKind, advice: str) -> None:
    with pytest.raises(ModelError, match=advice):
        checked(noisy, kind=kind)


def test_of_onnx_files_the_tensor_to_name_is_asked_for() -> None:
    with pytest.raises(ModelError, match=r'name the tensor before it in the spec, logits = "…"'):
        checked(lambda features: features.softmax(1), kind=NetworkKind.ONNX_RUNTIME)


def test_the_global_random_numbers_stay() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    checked(lambda features: features)
    assert torch.equal(torch.rand(1), expected)
