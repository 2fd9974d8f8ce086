import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from detector.types import LabelledImages
from models.classifier import Classifier
from models.loaded import LoadedClassifier
from models.preprocessing import Preprocessing
from models.registry import load_classifier, load_untouched
from service import calibration
from service.calibration_request import CalibrationRequest
from service.classifier_checks import MOST_IMAGES, first_look, require_sound
from service.errors import InputError
from service.imagesets import load_image_set
from service.model_inspection import run_inspection

TRUE_MEAN, TRUE_STD = 0.305, 0.376


class Fed(nn.Module):
    """The shipped network for digits behind something that is done to its images first."""

    def __init__(self, prepare: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.inner = load_untouched("digits").network
        self.prepare = prepare

    def forward(self, images: Tensor) -> Tensor:
        return self.inner(self.prepare(images))


def loaded(
    network: nn.Module, *, mean: float = TRUE_MEAN, std: float = TRUE_STD, labels: str = "0123456789", channels: int = 1
) -> LoadedClassifier:
    classifier = Classifier(
        network,
        mean=[mean] * channels,
        std=[std] * channels,
        representations=[next(name for name, _ in network.named_modules() if name)],
        labels=labels,
        input_shape=(channels, 8, 8),
    )
    like = load_classifier("digits")
    preprocessing = Preprocessing(height=8, width=8, channels=channels)
    return type(like)(**(vars(like) | {"name": "mine", "classifier": classifier, "preprocessing": preprocessing}))


def held_out() -> LabelledImages:
    return load_image_set("digits:held-out", Preprocessing(height=8, width=8, channels=1), labels="0123456789")


def unchanged(images: Tensor) -> Tensor:
    return images


def test_a_classifier_that_is_fed_as_it_was_trained_passes() -> None:
    look = first_look(loaded(Fed(unchanged)), held_out())
    assert look.suspicion is None
    assert look.n_images == MOST_IMAGES
    assert look.accuracy > 0.95


@pytest.mark.parametrize(
    ("prepare", "given", "message"),
    [
        (
            lambda images: (images - TRUE_MEAN) / TRUE_STD,
            (TRUE_MEAN, TRUE_STD),
            r"with mean = \[0\] and std = \[1\]: it seems to normalise its images itself, so that they are normalised",
        ),
        (
            lambda images: (images / 255 - TRUE_MEAN) / TRUE_STD,
            (0.0, 1.0),
            r"with mean = \[0\] and std = \[0\.003922\]: it seems to take pixels from 0 to 255; put into the spec what",
        ),
        (
            lambda images: ((images + 1) / 2 - TRUE_MEAN) / TRUE_STD,
            (0.0, 8.0),
            r"with mean = \[0\.5\] and std = \[0\.5\]: it seems to take pixels from -1 to 1",
        ),
        (
            unchanged,
            (TRUE_MEAN * 255, TRUE_STD * 255),
            r"with mean = \[0\.305\] and std = \[0\.376\]: mean and std seem to be those of pixels from 0 to 255",
        ),
    ],
    ids=["itself", "bytes", "signed", "scale"],
)
def test_another_normalisation_that_fits_is_named(
    prepare: Callable[[Tensor], Tensor], given: tuple[float, float], message: str
) -> None:
    classifier = loaded(Fed(prepare), mean=given[0], std=given[1])
    with pytest.raises(
        InputError, match=r"^mine gets \d+% of 256 held-out images right as its spec has it, and "
    ) as caught:
        require_sound("SPEC.toml", classifier, held_out())
    assert caught.match(message)


def test_a_network_that_wants_blue_first_is_named() -> None:
    class FirstAgainstSecond(nn.Module):
        """Whether its first channel is brighter than its second."""

        def __init__(self) -> None:
            super().__init__()
            self.channels = nn.Identity()

        def forward(self, images: Tensor) -> Tensor:
            return self.channels(images).mean((2, 3))[:, :2]

    labels = torch.arange(100) % 2
    images = torch.randint(0, 256, (100, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    # Red or green is bright; blue, at the place that the network takes for red, says nothing.
    images[:, 2] = torch.randint(0, 256, (100, 1, 1), generator=torch.Generator().manual_seed(1))
    for image, label in zip(images, labels.tolist(), strict=True):
        image[label], image[1 - label] = 200, 60
    data = LabelledImages(images=images.to(torch.uint8), labels=labels)
    network = nn.Sequential(Flipped(), FirstAgainstSecond())
    look = first_look(loaded(network, mean=0.0, std=1.0, labels="rg", channels=3), data)
    assert 0.6 < look.accuracy < 0.8
    assert "and 100% with blue first" in str(look.suspicion)


class Flipped(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.flip(1)


def test_labels_in_another_order_are_told_apart_from_chance() -> None:
    with pytest.raises(InputError, match=r"labels in another order \(what it calls '\d' is '\d', ") as caught:
        require_sound("SPEC.toml", loaded(Fed(unchanged), labels="1234567890"), relabelled(held_out()))
    assert caught.match("name them in the spec in the order of the logits")


def relabelled(data: LabelledImages) -> LabelledImages:
    return LabelledImages(images=data.images, labels=(data.labels + 9) % 10)


def test_two_labels_that_changed_places_are_named() -> None:
    data = held_out()
    swapped = torch.tensor([0, 1, 7, 3, 4, 5, 6, 2, 8, 9])[data.labels]
    look = first_look(loaded(Fed(unchanged)), LabelledImages(images=data.images, labels=swapped))
    assert "what it calls '2' is '7'" in str(look.suspicion)
    assert "what it calls '7' is '2'" in str(look.suspicion)


def test_a_classifier_that_knows_nothing_of_the_labels_is_refused() -> None:
    data = held_out()
    drawn = torch.randint(0, 10, data.labels.shape, generator=torch.Generator().manual_seed(0))
    with pytest.raises(InputError, match=r"^mine gets 1?\d% of 256 .*, which is no better than chance; look whether"):
        require_sound("SPEC.toml", loaded(Fed(unchanged)), LabelledImages(images=data.images, labels=drawn))


def test_a_weak_classifier_that_is_fed_rightly_passes() -> None:
    noise = torch.randn(64, 10, generator=torch.Generator().manual_seed(0))

    class Hazy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Fed(unchanged)

        def forward(self, images: Tensor) -> Tensor:
            return self.inner(images) + 6 * images.flatten(1) @ noise / 8

    look = first_look(loaded(Hazy()), held_out())
    assert 0.3 < look.accuracy < 0.7
    assert look.suspicion is None


def test_a_registered_classifier_is_known_unless_its_weights_are_others() -> None:
    data = held_out()
    wrong = LabelledImages(images=data.images, labels=(data.labels + 1) % 10)
    require_sound("digits", loaded(Fed(unchanged)), wrong)
    with pytest.raises(InputError, match="labels in another order"):
        require_sound("digits", loaded(Fed(unchanged)), wrong, Path("others.safetensors"))


def test_few_images_or_images_of_one_label_prove_nothing() -> None:
    data = held_out()
    classifier = loaded(Fed(unchanged))
    wrong = LabelledImages(images=data.images[:49], labels=(data.labels[:49] + 1) % 10)
    assert first_look(classifier, wrong).suspicion is None
    ones = data[data.labels == 1]
    assert first_look(classifier, ones).suspicion is None


def test_a_calibration_does_not_begin_with_a_network_that_is_fed_wrongly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Fed(lambda images: (images - TRUE_MEAN) / TRUE_STD)
    weights = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    save_file(weights, tmp_path / "weights.safetensors")
    (tmp_path / "network.py").write_text(SELF_NORMALISING)
    (tmp_path / "SPEC.toml").write_text(
        'name = "mine"\narchitecture = "network.py:make"\nweights = "weights.safetensors"\n'
        f"labels = {list('0123456789')}\ninput_size = [8, 8]\nchannels = 1\nmean = [0.305]\nstd = [0.376]\n"
    )
    monkeypatch.setattr(calibration, "calibrate", lambda *_, **__: pytest.fail("it began"))
    request = CalibrationRequest(
        classifier=str(tmp_path / "SPEC.toml"),
        images="digits:train",
        held_out="digits:held-out",
        out=tmp_path / "bundle",
        device="cpu",
    )
    with pytest.raises(InputError, match="normalised twice"):
        calibration.run_calibration(request, json=False)
    assert not (tmp_path / "bundle").exists()


def test_inspecting_a_model_looks_at_images_too(capsys: pytest.CaptureFixture[str]) -> None:
    run_inspection("digits", images="digits:held-out", weights=None, device="cpu", json=True)
    look = json.loads(capsys.readouterr().out)["held_out"]
    assert (look["n_images"], look["suspicion"]) == (256, None)
    assert look["accuracy"] > 0.95
    run_inspection("digits", images="digits:held-out", weights=None, device="cpu", json=False)
    assert "of 256 right" in capsys.readouterr().out


SELF_NORMALISING = f"""
from torch import nn

from models.digits import digits_network


class SelfNormalising(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = digits_network()

    def forward(self, images):
        return self.inner((images - {TRUE_MEAN}) / {TRUE_STD})


def make():
    return SelfNormalising()
"""
