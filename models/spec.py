"""SPEC.toml: a classifier that is not ours, described in one file.

    name = "squeezenet-imagenette"
    architecture = "torchvision:squeezenet1_0"      # or "package.module:factory", or "path/file.py:factory"
    arguments = {}                                  # for the factory
    weights = "squeezenet.safetensors"              # or a state dict in .pt or .pth
    labels = ["tench", "church"]                    # or labels_file = "labels.json"
    outputs = [0, 497]                              # keep these logits only
    input_size = [227, 227]                         # height, width
    channels = 3                                    # 3 (RGB) if not given, or 1 (grey)
    mean = [0.482, 0.459, 0.408]                    # of pixels in [0, 1]
    std = [0.0039, 0.0039, 0.0039]
    resize = 256                                    # shorter side before the centre crop
    interpolation = "bilinear"                      # or "nearest", "bicubic", "lanczos"
    representations = ["features.5", "features"]    # found by tracing if not given

A file that holds both graph and weights takes the place of architecture, arguments and weights:

    model = "classifier.pt2"                        # torch.export.save, with a free batch axis
    model = "classifier.torchscript"                # or .ts, .pt: torch.jit.save; deprecated
    model = "classifier.onnx"
    logits = "fc_out"                               # ONNX: the tensor that holds the logits, where no output does
    runtime = "onnxruntime"                         # ONNX: or "torch"; if not given, torch where the graph converts
    gradient = "classifier.gradient.onnx"           # ONNX: the graph of its input gradient, where it does not

Representations are modules of the network that was exported (.pt2, TorchScript) or tensors of the graph (ONNX).
Preprocessing and normalisation are the spec's in all cases: what a file is given are normalised images.
Paths are relative to the spec.
"""

import json
from pathlib import Path

import torch

from models.adapters.opening import open_network
from models.classifier import Classifier
from models.loaded import LoadedClassifier
from models.sanity import check_network
from models.spec_file import Spec, read_labels, read_spec, with_other_weights

__all__ = ["Spec", "load_spec", "read_spec"]

_CPU = torch.device("cpu")


def load_spec(path: Path, *, weights: Path | None = None, device: torch.device = _CPU) -> LoadedClassifier:
    """Build the classifier that a SPEC.toml describes, and try it on a few random images.

    Args:
        path: of the spec.
        weights: a file to take instead of the weights, or the model, that the spec names.
        device: where it will run.

    Raises:
        ModelError: whatever in the spec does not hold; the message names the spec or the file at fault.
    """
    spec = read_spec(path)
    if weights is not None:
        spec = with_other_weights(spec, weights)
    labels, preprocessing = read_labels(spec), spec.preprocessing
    adapted = open_network(spec, path.parent, device)
    classifier = Classifier(
        adapted.network,
        mean=spec.mean,
        std=spec.std,
        representations=spec.representations or adapted.representations,
        labels=labels,
        input_shape=spec.input_shape,
        outputs=spec.outputs,
        file_digest=adapted.file_digest,
        built_with=json.dumps(spec.arguments, sort_keys=True, default=str) if spec.arguments else "",
    ).to(device)
    check_network(classifier, adapted.kind)
    return LoadedClassifier(
        name=spec.name,
        classifier=classifier,
        preprocessing=preprocessing,
        kind=adapted.kind,
        is_differentiable=adapted.is_differentiable,
        limits=adapted.limits,
    )
