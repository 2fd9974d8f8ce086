"""What is exported: the straight paths and the judge of a detector, as modules from pixels to tensors.

Nothing is computed anew here: `StraightPaths` measures and `Judge` rules, and both are traced as they are.
"""

import dataclasses

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor, nn

from detector.detector import Detector
from detector.evidence import Evidence
from detector.judging import NO_INDEX
from detector.onnx_export.exporting import ExportError
from detector.straight import StraightPaths
from detector.types import Images

EVIDENCE_OUTPUTS = ("labels", "logits", "features", "profiles", "takeover", "claims", "scores", "has_left")
"""Everything in `Evidence`, by name and in order; `profiles` are those that include the prototypes."""

VERDICT_OUTPUTS = ("is_adversarial", "instance_score", "p_value", "label", "suspected_label")
"""The tensors of a verdict, by the names they have in the protocol, one value an image each."""


class EvidenceGraph(nn.Module):
    """From images to everything that their straight paths show; pixels must lie in [0, 1].

    Args:
        straight: measures with PyTorch; classifiers that are modules lend their weights.
    """

    def __init__(self, straight: StraightPaths) -> None:
        super().__init__()
        self._straight = straight
        # Registered, so that each weight is one tensor of the graph however often the classifier is called.
        auxiliary, early_exit = straight.profiler.auxiliary, straight.early_exit
        networks = [straight.profiler.classifier, *([] if auxiliary is None else [auxiliary.profiler.classifier])]
        self.networks = nn.ModuleList([network for network in networks if isinstance(network, nn.Module)])
        first = [] if early_exit is None else [early_exit.head, early_exit.ordinary]
        self.heads = nn.ModuleList([straight.head, *first])

    def forward(self, pixels: Images) -> tuple[Tensor, ...]:
        """The tensors named in `EVIDENCE_OUTPUTS`."""
        evidence = _measured(self._straight, pixels)
        paths = evidence.paths
        return (
            paths.labels,
            paths.logits,
            paths.features,
            evidence.profiles,
            paths.takeover,
            paths.claims,
            evidence.scores,
            evidence.has_left,
        )


class VerdictGraph(nn.Module):
    """From images to verdicts at one false-positive rate.

    What `Detector.inspect` refuses cannot be refused here: an image with a pixel outside [0, 1] is undecided, as is
    one with a pixel that is no number. Undecided images count as adversarial, and their numbers are not numbers.

    Raises:
        CalibrationError: the bundle's calibration images cannot support the rate.
        ExportError: the bundle asks a second opinion, which is a search and no graph.
    """

    rate: Tensor

    def __init__(self, detector: Detector, false_positive_rate: float) -> None:
        super().__init__()
        detector.supports(false_positive_rate)
        if detector.bundle.second_opinion is not None:
            raise ExportError(
                "the bundle searches lower paths for images in doubt, which is no one graph; calibrate without "
                "--escalate, or serve it with --runtime onnxruntime, which searches with a graph of the gradient"
            )
        self.evidence = EvidenceGraph(detector.straight_paths)
        self._straight = detector.straight_paths
        self._judge = detector.judge
        self.register_buffer("rate", torch.tensor([false_positive_rate], dtype=torch.float64))

    def forward(self, pixels: Images) -> tuple[Tensor, ...]:
        """The tensors named in `VERDICT_OUTPUTS`: bool, float32, float32, int64 and int64, shape (image,) each."""
        ruling = self._judge.ruling(_measured(self._straight, pixels))
        rates: Float64[Tensor, " image"] = self.rate.expand(pixels.shape[0])
        is_decided = ruling.is_decidable & in_range(pixels)
        is_flagged = ruling.is_flagged(rates) & is_decided
        nothing = torch.full_like(ruling.scores, torch.nan)
        return (
            is_flagged | ~is_decided,
            torch.where(is_decided, ruling.scores, nothing),
            torch.where(is_decided, ruling.p_values.to(ruling.scores.dtype), nothing),
            ruling.labels,
            torch.where(is_flagged, ruling.suspects, NO_INDEX),
        )


def _measured(straight: StraightPaths, pixels: Images) -> Evidence:
    # A graph has no way to leave some rows out: it measures all images in full, and gives the same answers.
    evidence = straight.densely(pixels)
    n_images, n_prototypes, n_waypoints = evidence.profiles.shape
    if n_prototypes > 0:
        return evidence
    # The runtime cannot widen an axis to no size at all, but makes an axis without size.
    return dataclasses.replace(evidence, profiles=evidence.scores.new_zeros(n_images, n_prototypes, n_waypoints))


def in_range(pixels: Images) -> Bool[Tensor, " image"]:
    """Which images have all their pixels in [0, 1]; one that is no number is not."""
    is_pixel: Float[Tensor, "image channel height width"] = (pixels >= 0) & (pixels <= 1)
    return is_pixel.flatten(1).all(1)
