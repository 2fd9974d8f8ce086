"""Graphs of detectors, made and opened: where the detector's exporter and the models' ONNX files meet."""

import importlib.metadata
import json
import math
from typing import Any

import torch
from torch import nn

from detector.onnx_export.exporting import ExportError, export_onnx
from detector.onnx_export.graphs import EVIDENCE_OUTPUTS, VERDICT_OUTPUTS, EvidenceGraph, VerdictGraph
from detector.onnx_export.runtime import verdict_tensors
from detector.straight import StraightPaths
from detector.types import Images, ProgressCallback
from models.onnx_files.packages import require_onnx
from service.agreement import Answers
from service.bundles import OpenedDetector

FORMAT_VERSION = 1
"""Of the exported file: its input, its outputs and the metadata that it carries."""

PRODUCER = "isthmus"
LABELS_KEY = f"{PRODUCER}.labels"
"""Where the metadata hold the labels, as a JSON list."""

_PACKAGES = ("isthmus", "torch", "onnx", "onnxscript")
_EXAMPLES = 3

MOST_BYTES = 2**31 - 2**20
"""Of weights in one file: protobuf serialises less than 2 GiB, and the nodes take some."""


def evidence_model(straight: StraightPaths, progress: ProgressCallback) -> Any:
    """The onnx.ModelProto from images to all that their straight paths show.

    Raises:
        ModelError: the packages that ONNX files take are not installed.
        ExportError: the detector's classifier is no graph.
    """
    return _model(EvidenceGraph(straight), straight.profiler.classifier.input_shape, EVIDENCE_OUTPUTS, progress)


def verdict_model(opened: OpenedDetector, digest: str, progress: ProgressCallback) -> Any:
    """The onnx.ModelProto from images to verdicts at the detector's rate, with what it is in its metadata.

    Args:
        digest: of the bundle's files.

    Raises:
        ModelError: the packages that ONNX files take are not installed.
        ExportError: the detector searches, or its classifier is no graph.
    """
    detector = opened.detector
    graph = VerdictGraph(detector, detector.false_positive_rate)
    model = _model(graph, detector.classifier.input_shape, VERDICT_OUTPUTS, progress)
    _describe(model, _metadata(opened, digest))
    return model


def versions() -> dict[str, str]:
    """Of everything that decides what an exported graph looks like."""
    return {name: importlib.metadata.version(name) for name in _PACKAGES}


def serialised(model: Any) -> bytes:
    """The bytes of an onnx.ModelProto, as a file has them.

    Raises:
        ExportError: its weights are more than one file can hold.
    """
    from models.onnx_files.walks import all_tensors  # noqa: PLC0415

    n_bytes = sum(_n_bytes(tensor) for tensor in all_tensors(model))
    if n_bytes > MOST_BYTES:
        raise ExportError(
            f"the graph holds {n_bytes / 1e9:.1f} GB of weights and prototypes, and an ONNX file at most "
            f"{MOST_BYTES / 1e9:.1f}; take a smaller classifier, or --runtime torch"
        )
    return model.SerializeToString()  # type: ignore[no-any-return]


def _n_bytes(tensor: Any) -> int:
    from onnx import helper  # noqa: PLC0415

    one: int = helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    return math.prod(map(int, tensor.dims)) * one


def verdicts_of(session: Any, images: Images) -> Answers:
    """What the session of an exported verdict graph says of one batch of images."""
    found = verdict_tensors(session, images)
    return Answers(
        is_adversarial=found.is_adversarial,
        scores=found.instance_score.double(),
        p_values=found.p_value.double(),
        labels=found.label,
        suspects=found.suspected_label,
    )


def _model(
    graph: nn.Module, input_shape: tuple[int, int, int], outputs: tuple[str, ...], progress: ProgressCallback
) -> Any:
    require_onnx()
    from models.onnx_files.splicing import splice, translations  # noqa: PLC0415

    # Classifiers that are ONNX graphs themselves are one operator to the exporter, and put in its place afterwards.
    model = export_onnx(graph, torch.zeros(_EXAMPLES, *input_shape), outputs, translations(), progress)
    return splice(model)


def _metadata(opened: OpenedDetector, digest: str) -> dict[str, str]:
    record = opened.detector.bundle.record
    values = {
        "format_version": FORMAT_VERSION,
        "false_positive_rate": opened.detector.false_positive_rate,
        "labels": list(opened.labels),
        "input_shape": list(record.input_shape),
        "preprocessing": opened.preprocessing.to_dict(),
        "bundle_digest": digest,
        "classifier": record.classifier,
        "classifier_digest": record.classifier_digest,
        "auxiliary_digest": record.auxiliary.classifier_digest if record.auxiliary else None,
        "calibration_scores": len(opened.detector.bundle.conformal.scores),
        "versions": versions(),
    }
    return {f"{PRODUCER}.{name}": json.dumps(value, ensure_ascii=False) for name, value in values.items()}


def _describe(model: Any, metadata: dict[str, str]) -> None:
    from onnx import helper  # noqa: PLC0415

    model.producer_name = PRODUCER
    model.producer_version = versions()[PRODUCER]
    helper.set_model_props(model, metadata)
