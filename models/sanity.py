"""What is wrong with many a network that somebody brings: found on a few random images, before it is relied on."""

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from models.adapters.adapted import NetworkKind
from models.adapters.probing import OUT_OF_MEMORY
from models.classifier import Classifier
from models.closeness import relative_difference
from models.errors import ModelError, one_line

N_IMAGES = 4
TOLERANCE = 1e-3
"""Of logits that should be equal, by the largest of them: kernels differ with the size of the batch, modes far more."""

_EVAL_FIRST = {
    NetworkKind.TORCHVISION: "call network.eval() in the factory, and leave the mode alone",
    NetworkKind.FACTORY: "call network.eval() in the factory, and leave the mode alone",
}
_FREE_BATCH = {
    NetworkKind.EXPORTED_PROGRAM: 'export it with dynamic_shapes=({0: torch.export.Dim("batch")},)',
    NetworkKind.TORCHSCRIPT: "write it so that no size is fixed when it is traced (flatten(1) in place of view)",
    NetworkKind.ONNX_RUNTIME: 'export it with dynamic_shapes=({0: torch.export.Dim("batch")},)',
    NetworkKind.ONNX_AS_TORCH: 'export it with dynamic_shapes=({0: torch.export.Dim("batch")},)',
}
_IN_ONNX = (NetworkKind.ONNX_RUNTIME, NetworkKind.ONNX_AS_TORCH)


@torch.no_grad()
def check_network(classifier: Classifier, kind: NetworkKind) -> None:
    """Try a classifier on random images, which are always the same.

    Raises:
        ModelError: logits and labels do not go together; logits are not finite, change from call to call or with
            what else is in the batch, or are probabilities; or only one size of batch is taken.
    """
    generator = Generator().manual_seed(0)
    pixels = torch.rand(N_IMAGES, *classifier.input_shape, generator=generator).to(classifier.device)
    together = _in_a_batch(classifier, pixels, kind)
    _check_number(classifier, together.shape[1])
    _check_finite(together)
    advice = _EVAL_FIRST.get(kind, "export the network again, after network.eval()")
    if relative_difference(classifier.all_logits(pixels), together) > TOLERANCE:
        raise ModelError(
            f"the network gives the same images other logits each time: it is in training mode (dropout), or draws "
            f"random numbers; {advice}"
        )
    if relative_difference(_alone(classifier, pixels[:1]), together[:1]) > TOLERANCE:
        raise ModelError(
            f"what the network gives for an image depends on the others in its batch: it is in training mode (batch "
            f"norm), or its batch axis is fixed; {advice}, with a free batch axis"
        )
    _check_no_probabilities(together, kind)
    # Representations that take no part are found out here.
    classifier(pixels)


def _in_a_batch(
    classifier: Classifier, pixels: Float[Tensor, "image channel height width"], kind: NetworkKind
) -> Float[Tensor, "image logit"]:
    try:
        logits = classifier.all_logits(pixels)
    except OUT_OF_MEMORY:
        raise
    except Exception as error:
        advice = _FREE_BATCH.get(kind, "let no size of its depend on the number of images")
        raise ModelError(
            f"the network takes one image, but not {len(pixels)} at once ({one_line(error)}): its batch axis is fixed; "
            f"{advice}"
        ) from error
    if logits.ndim != 2 or len(logits) != len(pixels):
        raise ModelError(
            f"for {len(pixels)} images the network gives {tuple(logits.shape)}; a classifier gives logits of shape "
            f"({len(pixels)}, label)"
        )
    return logits


def _alone(classifier: Classifier, pixels: Float[Tensor, "1 channel height width"]) -> Float[Tensor, "1 logit"]:
    try:
        return classifier.all_logits(pixels)
    except OUT_OF_MEMORY:
        raise
    except Exception as error:
        raise ModelError(
            f"the network takes {N_IMAGES} images at once, but not one alone ({one_line(error)}): it is in training "
            "mode, or its batch axis is fixed; export it again, after network.eval() and with a free batch axis"
        ) from error


def _check_number(classifier: Classifier, n_logits: int) -> None:
    n_labels = len(classifier.labels)
    kept = None if classifier.outputs is None else int(classifier.outputs.max())
    if kept is None and n_logits != n_labels:
        raise ModelError(
            f"the network gives {n_logits} logits, but {n_labels} labels are named; name them all, or list the "
            "logits to keep under outputs"
        )
    if kept is not None and kept >= n_logits:
        raise ModelError(f"outputs names logit {kept}, but the network's go from 0 to {n_logits - 1}")


def _check_finite(logits: Float[Tensor, "image logit"]) -> None:
    n_odd = int((~logits.isfinite().all(1)).sum())
    if n_odd:
        raise ModelError(
            f"the logits of {n_odd} of {len(logits)} random images are infinite or no numbers: weights or activations "
            "in half precision (float16) overflow, or the weights were damaged; give the network in float32, and look "
            "at mean and std"
        )


def _check_no_probabilities(logits: Float[Tensor, "image logit"], kind: NetworkKind) -> None:
    sums = logits.sum(1)
    if bool((logits >= 0).all()) and bool(((sums - 1).abs() < TOLERANCE).all()):
        where = 'name the tensor before it in the spec, logits = "…"' if kind in _IN_ONNX else "leave its softmax out"
        raise ModelError(
            "what the network gives are probabilities (no value below 0, and every row sums to one), and the detector "
            f"looks at logits: the network ends in a softmax; {where}"
        )
