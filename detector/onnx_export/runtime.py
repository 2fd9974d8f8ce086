"""Straight paths measured by a session of ONNX Runtime instead of PyTorch."""

import dataclasses
from typing import Any

import torch
from torch import Tensor

from detector.evidence import Evidence
from detector.onnx_export.exporting import PIXELS
from detector.onnx_export.graphs import EVIDENCE_OUTPUTS, VERDICT_OUTPUTS
from detector.profiles import PathEvidence
from detector.types import Images


@dataclasses.dataclass(frozen=True, kw_only=True)
class VerdictTensors:
    """What a `VerdictGraph` gives, one value an image each; see `graphs.VERDICT_OUTPUTS`."""

    is_adversarial: Tensor
    instance_score: Tensor
    p_value: Tensor
    label: Tensor
    suspected_label: Tensor


class OnnxStraightPaths:
    """Measures straight paths with an `EvidenceGraph` that was exported; a `MeasureStraight`.

    Args:
        session: onnxruntime.InferenceSession of the graph; may be shared between threads.
    """

    def __init__(self, session: Any) -> None:
        self.session = session

    def __call__(self, images: Images) -> Evidence:
        """Measure one chunk of images; the evidence is on their device.

        Raises:
            OutOfMemoryError: of torch, where the runtime found no memory.
            RuntimeError: the runtime fails otherwise.
        """
        found = _run(self.session, images, EVIDENCE_OUTPUTS)
        paths = PathEvidence(
            labels=found["labels"],
            logits=found["logits"],
            features=found["features"],
            profiles=found["profiles"][:, :, :-1],
            takeover=found["takeover"],
            claims=found["claims"],
        )
        return Evidence(paths=paths, scores=found["scores"], profiles=found["profiles"], has_left=found["has_left"])


def verdict_tensors(session: Any, images: Images) -> VerdictTensors:
    """What an exported `VerdictGraph` says of one batch of images."""
    return VerdictTensors(**_run(session, images, VERDICT_OUTPUTS))


def _run(session: Any, images: Images, names: tuple[str, ...]) -> dict[str, Tensor]:
    given = {PIXELS: images.detach().to("cpu", torch.float32).numpy()}
    try:
        arrays = session.run(list(names), given)
    except Exception as error:
        # The runtime's own exceptions share no base that says what has happened.
        text = " ".join(str(error).split())
        if "allocate memory" in text or "out of memory" in text:
            raise torch.OutOfMemoryError(text) from error
        raise RuntimeError(f"ONNX Runtime fails on {len(images)} images: {text}") from error
    return {name: torch.from_numpy(array).to(images.device) for name, array in zip(names, arrays, strict=True)}
