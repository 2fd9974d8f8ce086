"""Attacks of the library torchattacks (Kim 2020, arXiv 2010.01950) as attacks on a `Classifier`.

It comes with the extra `attacks`, which nothing but these attacks needs, so it is imported when the first of them runs.
Of what it declares it needs, it imports neither torchvision nor requests.
"""

import functools
import importlib.util
import inspect
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn import functional

from detector.evaluation.attacks.spec import Attack, AttackError, MissingExtraError, Parameter
from detector.evaluation.attacks.surroundings import borrowed
from detector.types import Classifier, Images, Labels

MOST_TARGETS = 10
"""Labels that attacks which go through them all aim at, the true one among them; the rest are the least likely."""

MOST_PAIRED_VALUES = 4096
"""Channels × pixels up to which an attack may compare every value of an image with every other."""

_OVERSTEP = 1e-3
"""By how much attacked images may leave [0, 1] and still be put back: a quarter of a level of 8 bits."""

_INSTALL = "install it with: pip install 'isthmus[attacks]'"


def require_torchattacks() -> None:
    """Raise MissingExtraError, without importing anything, unless torchattacks is installed."""
    if importlib.util.find_spec("torchattacks") is None:
        raise MissingExtraError(f"these attacks are torchattacks', which is not installed; {_INSTALL}")


@functools.cache
def _library() -> ModuleType:
    require_torchattacks()
    try:
        import torchattacks  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError(f"torchattacks cannot be imported ({error}); {_INSTALL}") from error
    module: ModuleType = torchattacks
    return module


class LogitsOf(nn.Module):
    """Pixels to logits, and nothing else of a classifier: whoever switches the modes of this leaves it alone."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        # In a tuple, since a module in an attribute becomes a part.
        self._classifier = (classifier,)
        # Where the attack looks for the device.
        self.register_parameter("anchor", nn.Parameter(torch.empty(0, device=classifier.device), requires_grad=False))

    def forward(self, pixels: Images) -> Float[Tensor, "image label"]:
        pixels = pixels.view_as(pixels)
        if pixels.requires_grad:
            # A network in channels_last gives gradients that PGDL2 cannot view as rows.
            pixels.register_hook(torch.Tensor.contiguous)  # type: ignore[no-untyped-call]
        logits: Tensor = self._classifier[0](pixels).logits
        # Square writes into what it gets.
        return logits.clone()


class LogitsWithLead(LogitsOf):
    """The true labels' logits raised by a lead, and of each image all logits moved so that the lowest is one.

    CW masks logits by multiplying with zero before it takes the largest, so it only understands those above zero.

    Args:
        labels: of the images, which have to come in the same order every time.
    """

    def __init__(self, classifier: Classifier, labels: Labels, lead: float) -> None:
        super().__init__(classifier)
        self._leads = lead * functional.one_hot(labels, len(classifier.labels))

    def forward(self, pixels: Images) -> Float[Tensor, "image label"]:
        logits = super().forward(pixels) + self._leads
        return logits - logits.detach().amin(1, keepdim=True) + 1


def torchattack(name: str, **settings: Parameter) -> Attack:
    """An attack as it is called in torchattacks; what is not set is its default.

    Raises, when run:
        MissingExtraError: the library, or this attack in the version that is there, is missing.
        AttackError: it cannot be run on images so large.
    """

    def attack(classifier: Classifier, images: Images, labels: Labels, generator: Generator) -> Images:
        seed = _drawn(generator)
        with borrowed(classifier, seed):
            made = _built(name, LogitsOf(classifier), classifier, seed, settings)
            return _within_range(made(images, labels))

    return attack


def saliency_map(**settings: Parameter) -> Attack:
    """JSMA (Papernot et al. 2016, arXiv 1511.07528) towards the next label, counted round, of however many there are.

    Raises, when run:
        AttackError: images so large that all pairs of their values do not fit into memory.
    """

    def attack(classifier: Classifier, images: Images, labels: Labels, generator: Generator) -> Images:
        n_values = images[0].numel()
        if n_values > MOST_PAIRED_VALUES:
            raise AttackError(
                f"JSMA compares all pairs of an image's {n_values} values; it takes {MOST_PAIRED_VALUES} at most"
            )
        seed = _drawn(generator)
        with borrowed(classifier, seed):
            made = _built("JSMA", LogitsOf(classifier), classifier, seed, settings)
            made.set_mode_targeted_by_function(_next_label(len(classifier.labels)), quiet=True)
            return _within_range(made(images, labels))

    return attack


def carlini_wagner_among(constants: Sequence[float], confidence: float, **settings: Parameter) -> Attack:
    """CW (Carlini & Wagner 2017, arXiv 1608.04644), each image with the smallest of some constants that succeeds.

    The confidence, in logits, leads the true label while the attack runs, so that an image counts as fooled only once
    another label is ahead by more. The library's own `kappa` does not do this: what it returns is the closest image
    with any other label.

    Args:
        constants: rising.
    """

    def attack(classifier: Classifier, images: Images, labels: Labels, generator: Generator) -> Images:
        seed = _drawn(generator)
        attacked, unfooled = images.clone(), torch.arange(len(images), device=images.device)
        with borrowed(classifier, seed):
            for constant in constants:
                part = labels[unfooled]
                logits = LogitsWithLead(classifier, part, confidence)
                made = _built("CW", logits, classifier, seed, {**settings, "c": constant})
                found = _within_range(made(images[unfooled], part))
                with torch.no_grad():
                    is_fooled = logits(found).argmax(1) != part
                attacked[unfooled[is_fooled]] = found[is_fooled]
                unfooled = unfooled[~is_fooled]
                if len(unfooled) == 0:
                    break
        return attacked

    return attack


def _drawn(generator: Generator) -> int:
    return int(torch.randint(2**31, (), generator=generator))


def _built(name: str, logits: LogitsOf, classifier: Classifier, seed: int, settings: dict[str, Parameter]) -> Any:
    library = _library()
    if not hasattr(library, name):
        raise MissingExtraError(f"torchattacks {library.__version__} has no attack {name}; {_INSTALL}")
    build = getattr(library, name)
    # AutoAttack takes its seed from the clock, and the others a fixed one.
    known = {"seed": seed, "n_classes": min(len(classifier.labels), MOST_TARGETS)}
    taken = {key: value for key, value in known.items() if key in inspect.signature(build).parameters}
    return build(logits, **taken, **settings)


def _next_label(n_labels: int) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda _images, labels: (labels + 1) % n_labels


def _within_range(attacked: Tensor) -> Tensor:
    """What hardly leaves [0, 1] is put inside, as EADL1 and SPSA need; anything else is left as it is, NaN too."""
    attacked = attacked.detach()
    inside = attacked.clamp(0, 1)
    return torch.where((attacked - inside).abs() <= _OVERSTEP, inside, attacked)
