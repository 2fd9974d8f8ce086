"""The classifier's representations as one vector a layer: their means over space, as Lee et al. 2018 take them."""

from collections.abc import Mapping

import torch
from jaxtyping import Float64
from torch import Tensor

from detector.passes import waypoints_per_pass
from detector.types import Classifier, Images, Outputs

Layers = Mapping[str, Float64[Tensor, "_ _"]]
"""Shape (image, dimension) by the name of the layer, in the classifier's order; on the CPU."""


def layers_of(outputs: Outputs) -> Layers:
    """Means over space or tokens of every representation; the logits where the classifier gives none."""
    parts = outputs.representations or {"logits": outputs.logits}
    return {name: _mean_over_space(part).double().cpu() for name, part in parts.items()}


def _mean_over_space(representation: Tensor) -> Tensor:
    match representation.ndim:
        case 2:
            return representation
        case 3:
            return representation.mean(1)
        case _:
            return representation.flatten(2).mean(2)


@torch.no_grad()
def layers_of_all(classifier: Classifier, images: Images) -> Layers:
    """The same for any number of images, at least one, one forward pass after the other."""
    chunk = waypoints_per_pass(classifier.input_shape)
    parts = [layers_of(classifier(part.to(classifier.device))) for part in torch.split(images, chunk)]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def penultimate(layers: Layers) -> Float64[Tensor, "image dimension"]:
    """The last representation, which the head reads."""
    return list(layers.values())[-1]
