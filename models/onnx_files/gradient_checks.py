"""Whether a graph of a gradient is the gradient of its network: asked of the network itself, by its differences."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Generator, Tensor

from models.classifier import Classifier
from models.closeness import relative_difference
from models.errors import ModelError
from models.onnx_files.gradient import GRADIENT, LOGITS, part_of
from models.onnx_files.graphs import check_runnable
from models.onnx_files.operator import OnnxNetwork
from models.onnx_files.sessions import open_session, run_session

LARGEST_DIFFERENCE = 1e-3
"""How far, as a share of the largest logit, the gradient graph's logits may be from the network's own."""

LARGEST_DEVIATION = 0.2
"""How far derivatives along directions may be from central differences, as a share of these: rounding and the kinks of
a network leave a few hundredths, a graph with another sign is off by 2 and one without an output by 1."""

LARGEST_GRADIENT_DIFFERENCE, FEWEST_EQUAL_SIGNS = 1e-2, 0.99
"""Norm of the difference to torch's gradient as a share of that gradient's, and share of the pixels."""

STEPS = (1e-2, 1e-3, 1e-4)
"""Of central differences: large ones cross kinks, small ones are rounded; the one that fits best counts."""

_N_IMAGES, _N_DIRECTIONS = 2, 3
_NOTHING = 1e-3

Product = Callable[[Tensor, Sequence[Tensor]], Tensor]
"""From images and the cotangents of all outputs to the gradient."""


def inputs_of(model: Any) -> list[Any]:
    """Inputs that are no weights; older files list weights among them."""
    weights = {value.name for value in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in weights]


def check_gradient_graph(
    model: Any, network: OnnxNetwork, input_shape: tuple[int, int, int], device: torch.device
) -> None:
    """Refuse what cannot be run, takes or gives something else than a gradient does, or has another forward pass.

    Raises:
        ModelError: that is so.
    """
    check_runnable(model)
    _check_signature(model, network, input_shape)
    _check_logits(model, network, input_shape, device)


def _check_signature(model: Any, network: OnnxNetwork, input_shape: tuple[int, int, int]) -> None:
    names = [value.name for value in model.graph.output]
    if GRADIENT not in names or LOGITS not in names:
        raise ModelError(
            f"a graph of the gradient has outputs {LOGITS!r} and {GRADIENT!r}, and this one has {', '.join(names)}; "
            "write it with export_gradient"
        )
    found = [tuple(size.dim_value for size in value.type.tensor_type.shape.dim)[1:] for value in inputs_of(model)]
    expected = [tuple(input_shape), *network.output_shapes]
    if found != expected:
        raise ModelError(
            f"the gradient's graph takes {_words(found)} for an image, and the classifier and its representations "
            f"ask for {_words(expected)}: first the image, then a cotangent each of the logits and the representations"
        )


def _words(shapes: Sequence[tuple[int, ...]]) -> str:
    return ", ".join("×".join(map(str, shape)) or "one number" for shape in shapes)


def _check_logits(model: Any, network: OnnxNetwork, input_shape: tuple[int, int, int], device: torch.device) -> None:
    """Refuse the gradient of another network, or of one with another normalisation."""
    images = _images(input_shape).to(device)
    logits_of = open_session(part_of(model, [LOGITS]).SerializeToString(), device)
    expected = run_session(network.session, [images], network.output_shapes)[0]
    (found,) = run_session(logits_of, [images], network.output_shapes[:1])
    difference = relative_difference(found, expected)
    if not difference <= LARGEST_DIFFERENCE:
        raise ModelError(
            f"the gradient's graph computes other logits than the classifier's (they differ by {difference:.1%}): it "
            "belongs to another network, other weights or another normalisation; write it anew"
        )


def check_against_differences(
    product: Product, network: OnnxNetwork, input_shape: tuple[int, int, int], device: torch.device
) -> None:
    """Compare the gradient of each output, along random directions, with central differences of the forward pass.

    Raises:
        ModelError: it deviates; the message gives the figure.
    """
    generator = Generator().manual_seed(1)
    images = _images(input_shape)
    outputs = run_session(network.session, [images.to(device)], network.output_shapes)
    # Of norm 1 for an output of norm 1, whatever the scale of its numbers.
    cotangents = [_like(output, generator) / output.norm().clamp_min(1e-12) for output in outputs]
    directions = [_like(images, generator).sign() for _ in range(_N_DIRECTIONS)]
    slopes = torch.stack([_slopes(network, images, directions, cotangents, step, device) for step in STEPS])
    for number, cotangent in enumerate(cotangents):
        given = [cotangent if at == number else torch.zeros_like(other) for at, other in enumerate(cotangents)]
        gradient = product(images.to(device), given).cpu().double()
        found = torch.stack([(gradient * direction).flatten(1).sum(1) for direction in directions])
        expected = slopes[:, number]
        deviations = (expected - found).flatten(1).norm(dim=1) / expected.flatten(1).norm(dim=1).clamp_min(_NOTHING)
        if not deviations.min() <= LARGEST_DEVIATION:
            name = "the logits" if number == 0 else f"representation {number}"
            raise ModelError(
                f"the gradient's graph does not give the gradient of {name}: along random directions it is off by "
                f"{deviations.min():.0%} of what differences of the network's outputs say; write it with "
                "export_gradient"
            )


def _slopes(
    network: OnnxNetwork,
    images: Tensor,
    directions: Sequence[Tensor],
    cotangents: Sequence[Tensor],
    step: float,
    device: torch.device,
) -> Tensor:
    """Central differences of each weighted output, shape (output, direction, image)."""
    found = []
    for direction in directions:
        ahead, behind = (
            run_session(network.session, [(images + sign * step * direction).to(device)], network.output_shapes)
            for sign in (1, -1)
        )
        found.append(
            torch.stack(
                [
                    ((one.double() - other.double()) * cotangent).flatten(1).sum(1) / (2 * step)
                    for one, other, cotangent in zip(ahead, behind, cotangents, strict=True)
                ]
            )
        )
    return torch.stack(found, 1).cpu()


@dataclasses.dataclass(frozen=True, kw_only=True)
class GradientAgreement:
    """How far two gradients agree: norm of their difference by the norm of one, and share of pixels of equal sign."""

    relative_difference: float
    equal_signs: float

    def in_words(self) -> str:
        """One line for people."""
        return f"the exported one differs by {self.relative_difference:.1e} of its norm, {self.equal_signs:.2%} signs"


def check_against_torch(product: Product, classifier: Classifier) -> GradientAgreement:
    """Compare a gradient with the one that torch finds, on random images and cotangents.

    Args:
        product: takes images and cotangents on the device of the classifier.

    Raises:
        ModelError: they disagree; the message gives the figures.
    """
    generator = Generator().manual_seed(1)
    pixels = _images(classifier.input_shape).to(classifier.device).requires_grad_(True)
    outputs = classifier(pixels)
    values = [outputs.logits, *outputs.representations.values()]
    cotangents = [_like(value, generator) / value.detach().norm().clamp_min(1e-12) for value in values]
    (expected,) = torch.autograd.grad(values, pixels, cotangents)
    found = product(pixels.detach(), cotangents)
    agreement = GradientAgreement(
        relative_difference=float((found - expected).norm() / expected.norm().clamp_min(1e-12)),
        equal_signs=float((found.sign() == expected.sign()).double().mean()),
    )
    if not (
        agreement.relative_difference <= LARGEST_GRADIENT_DIFFERENCE and agreement.equal_signs >= FEWEST_EQUAL_SIGNS
    ):
        raise ModelError(
            f"the exported gradient is not torch's: it differs by {agreement.relative_difference:.2%} of its norm, and "
            f"{agreement.equal_signs:.2%} of the pixels have the same sign, where at most "
            f"{LARGEST_GRADIENT_DIFFERENCE:.0%} and at least {FEWEST_EQUAL_SIGNS:.0%} are due to rounding"
        )
    return agreement


def _images(input_shape: tuple[int, int, int]) -> Tensor:
    return torch.rand(_N_IMAGES, *input_shape, generator=Generator().manual_seed(0))


def _like(tensor: Tensor, generator: Generator) -> Tensor:
    return torch.randn(tensor.shape, generator=generator).to(tensor.device)
