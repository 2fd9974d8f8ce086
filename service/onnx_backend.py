"""Straight paths on ONNX Runtime, for whoever serves a bundle with it; the graph is kept between runs."""

import contextlib
import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from detector.detector import Detector
from detector.evidence import Evidence
from detector.files import replace_atomically
from detector.onnx_export.exporting import ExportError
from detector.onnx_export.runtime import OnnxStraightPaths
from detector.straight import StraightPaths
from detector.types import Images, ProgressCallback
from models.errors import ModelError
from models.onnx_files.packages import require_onnx
from service.agreement import Answers, agreement_with, handful
from service.onnx_graphs import FORMAT_VERSION, evidence_model, serialised, versions

CACHE_VARIABLE = "XDG_CACHE_HOME"

PATH_TOLERANCE = 1e-3
"""Largest difference of two profiles, in nats, that counts as rounding, per unit of what is larger than 1."""

logger = logging.getLogger(__name__)


def measure_with_onnx_runtime(
    reference: Detector, straight: StraightPaths, digest: str, progress: ProgressCallback
) -> OnnxStraightPaths:
    """What measures straight paths with ONNX Runtime, seen to agree with PyTorch on a handful of images.

    Args:
        reference: measures the same with PyTorch, on the device where ONNX Runtime is to run.
        straight: what is exported, on the CPU.
        digest: of the bundle's files.

    Raises:
        ModelError: ONNX Runtime is not installed, or does not serve the classifier's device.
        ExportError: the straight paths are no graph, or ONNX Runtime computes something else.
    """
    require_onnx()
    from models.onnx_files.sessions import open_session  # noqa: PLC0415

    device, kept = reference.classifier.device, _kept(digest)
    if kept is not None and kept.is_file():
        with contextlib.suppress(ModelError, RuntimeError):
            session = open_session(kept, device)
            if not _faults(reference, session):
                return _announced(session)
        logger.warning("%s is of no use any more, and is made anew", kept)
    content = serialised(evidence_model(straight, progress))
    session = open_session(content, device)
    faults = _faults(reference, session)
    if faults:
        raise ExportError(f"ONNX Runtime does not compute what PyTorch does: {'; '.join(faults)}; take --runtime torch")
    if kept is not None:
        _keep(content, kept)
    return _announced(session)


def cache_folder() -> Path | None:
    """Where graphs are kept that would take half a minute to make again; it may be emptied at any time.

    None where the user has no home, as in some containers, and names no folder.
    """
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named) / "isthmus"
    with contextlib.suppress(RuntimeError):
        return Path.home() / ".cache" / "isthmus"
    return None


def _kept(digest: str) -> Path | None:
    folder = cache_folder()
    if folder is None:
        logger.info("the graph is not kept for the next time: there is no home; name a folder by %s", CACHE_VARIABLE)
        return None
    made_by = json.dumps([FORMAT_VERSION, versions()], sort_keys=True)
    return folder / f"{hashlib.sha256(f'{digest} {made_by}'.encode()).hexdigest()}.onnx"


def _keep(content: bytes, path: Path) -> None:
    try:
        with replace_atomically(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        logger.info("the graph is not kept for the next time: %s", error)


def _faults(reference: Detector, session: Any) -> tuple[str, ...]:
    """On images of noise and prototypes, paths included; `reference` measures with PyTorch."""
    measure, rate = OnnxStraightPaths(session), reference.false_positive_rate
    off: list[Tensor] = []

    def rendering(images: Images, expected: Evidence) -> Answers:
        evidence = measure(images.to(reference.classifier.device))
        off.append(has_other_paths(expected, evidence))
        return Answers.of_verdicts(reference.verdicts(evidence, [rate] * len(images)))

    faults = agreement_with(reference, rendering, handful(reference)).faults
    n_off = int(torch.cat(off).sum())
    return faults if n_off == 0 else (*faults, f"{n_off} images get other paths")


def has_other_paths(expected: Evidence, found: Evidence) -> Bool[Tensor, " image"]:
    """Which images have a path, to whichever prototype, whose profile or takeover differs by more than rounding.

    Barriers, the prototype of the lowest path and its profile are made of these, and nothing else.
    """
    is_off = torch.zeros(expected.scores.shape[0], dtype=torch.bool, device=expected.scores.device)
    for one, other in (
        (expected.profiles, found.profiles),
        (expected.paths.takeover, found.paths.takeover),
        (expected.paths.claims, found.paths.claims),
    ):
        tolerance = PATH_TOLERANCE * one.abs().clamp_min(1)
        is_close = ((one - other).abs() <= tolerance) | (one.isfinite().logical_not() & other.isfinite().logical_not())
        is_off |= ~is_close.flatten(1).all(1)
    return is_off


def _announced(session: Any) -> OnnxStraightPaths:
    provider = session.get_providers()[0]
    logger.info("straight paths run on ONNX Runtime (%s)", provider, extra={"provider": provider})
    return OnnxStraightPaths(session)
