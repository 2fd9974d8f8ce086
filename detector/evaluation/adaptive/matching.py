"""Logit and feature matching (Tramèr et al. 2020, arXiv 2002.08347): become, to the network, an image that passes.

The detector's score is never differentiated: what the classifier cannot tell from an image of the target, a detector
that sees through the classifier cannot either.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Generator, Tensor

from detector.detector import JointOutputs
from detector.evaluation.adaptive.descent import descend, gradient_of
from detector.evaluation.adaptive.joint import AdaptiveAttack, Joint
from detector.potentials import pooled
from detector.types import Images, Labels, Outputs

Blocks = Callable[[Outputs], Mapping[str, Tensor]]
"""What is to be matched, by name, each of shape (image, dimension)."""


def logit_matching(radius: float, steps: int) -> AdaptiveAttack:
    """Match the logits of the guide of the target label whose logits are nearest.

    Args:
        radius: L∞, pixel units of [0, 1].
    """
    return _matching(radius, steps, lambda outputs: {"logits": outputs.logits})


def feature_matching(radius: float, steps: int) -> AdaptiveAttack:
    """Match every pooled representation of the guide of the target label whose representations are nearest.

    Args:
        radius: L∞, pixel units of [0, 1].
    """
    return _matching(
        radius,
        steps,
        lambda outputs: {name: pooled(representation) for name, representation in outputs.representations.items()},
    )


def _matching(radius: float, steps: int, blocks: Blocks) -> AdaptiveAttack:
    def attack(joint: Joint, images: Images, _labels: Labels, targets: Labels, generator: Generator) -> Images:
        with torch.no_grad():
            start = blocks(joint.classifier(images))
            wanted = _nearest_guides(joint, blocks, start, targets)
        scales = {name: _squares(start[name], wanted[name]).clamp_min(1e-12) for name in start}

        @torch.enable_grad()
        def look(attacked: Images) -> tuple[Tensor, JointOutputs]:
            pixels = attacked.detach().requires_grad_(True)
            found = blocks(joint.classifier(pixels))
            # Each block starts at one, so that none is drowned by another with larger values.
            gaps = torch.stack([_squares(found[name], wanted[name]) / scales[name] for name in found])
            gradient = gradient_of(gaps.mean(0), pixels)
            with torch.no_grad():
                outputs = joint.joint(attacked, targets, generator)
            return gradient.sign(), outputs

        return descend(images, targets, radius, steps, look)

    return attack


def _nearest_guides(joint: Joint, blocks: Blocks, start: Mapping[str, Tensor], targets: Labels) -> Mapping[str, Tensor]:
    """Blocks of the guide nearest to each image, the blocks weighing alike; its own where the target has no guide."""
    wanted = {name: block.clone() for name, block in start.items()}
    for label in sorted(set(targets.tolist())):
        if label not in joint.guides:
            continue
        rows = (targets == label).nonzero()[:, 0]
        found = blocks(joint.classifier(joint.guides[label].to(targets.device)))
        gaps = {name: torch.cdist(start[name][rows], block).square() for name, block in found.items()}
        nearest = torch.stack([gap / gap.mean().clamp_min(1e-12) for gap in gaps.values()]).sum(0).argmin(1)
        for name, block in found.items():
            wanted[name][rows] = block[nearest]
    return wanted


def _squares(block: Tensor, wanted: Tensor) -> Tensor:
    return (block - wanted).square().sum(1)
