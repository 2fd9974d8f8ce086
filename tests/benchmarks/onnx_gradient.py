"""Passes with gradients, torch against ONNX Runtime side by side, and how far their gradients are apart.

What is timed is what a search does at each point: classify, take the cross-entropy of a label, and differentiate it in
the pixels. Torch has batch norms folded and weights in channels_last; ONNX Runtime runs the forward graph and then the
gradient graph, which repeats the forward pass. `one graph` is the gradient graph alone, given the cotangent. Rounds
alternate, and the fastest of each is taken.

    OMP_NUM_THREADS=1 python tests/benchmarks/onnx_gradient.py --squeezenet squeezenet1_0.safetensors
"""

import argparse
import dataclasses
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn.functional import cross_entropy

from models.adapters.factory import build_network
from models.classifier import Classifier
from models.onnx_files.vjp import RuntimeClassifier, search_on_onnx_runtime
from models.registry import load_classifier
from models.representations import default_representations
from models.weight_files import fit_weights, read_weights

COLUMNS = (
    "network",
    "batch",
    "torch, images/s",
    "ONNX Runtime",
    "ratio",
    "one graph",
    "ratio",
    "sign agreement",
    "largest relative difference",
    "export, s",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """Images per second, and how far the gradients of the same images are apart.

    Attributes:
        sign_agreement: share of pixels whose derivatives have one sign.
        largest_difference: of an image's gradients, as a share of the length of torch's.
    """

    network: str
    batch: int
    by_torch: float
    by_runtime: float
    by_one_graph: float
    sign_agreement: float
    largest_difference: float
    export_seconds: float

    def cells(self) -> tuple[str, ...]:
        return (
            self.network,
            str(self.batch),
            f"{self.by_torch:.1f}",
            f"{self.by_runtime:.1f}",
            f"{self.by_runtime / self.by_torch:.2f}",
            f"{self.by_one_graph:.1f}",
            f"{self.by_one_graph / self.by_torch:.2f}",
            f"{self.sign_agreement:.5f}",
            f"{self.largest_difference:.1e}",
            f"{self.export_seconds:.0f}",
        )


def torchvision_classifier(name: str, weights: Path | None, size: int) -> Classifier:
    """One of torchvision's for square images; with random weights, drawn from seed 0, if no file is given."""
    torch.manual_seed(0)
    network = build_network(f"torchvision:{name}", {}, Path()).eval()
    if weights is None:
        for parameter in network.parameters():
            if parameter.ndim > 1:
                torch.nn.init.kaiming_normal_(parameter)
    else:
        fit_weights(network, read_weights(weights), weights)
    return Classifier(
        network,
        mean=(0.48235, 0.45882, 0.40784),
        std=(0.0039216,) * 3 if weights is not None else (0.25,) * 3,
        representations=default_representations(network, torch.zeros(1, 3, size, size)),
        labels=tuple(map(str, range(1000))),
        input_shape=(3, size, size),
    ).folded()


def gradient_of(classifier: Classifier | RuntimeClassifier, images: Tensor, labels: Tensor) -> Tensor:
    pixels = images.detach().requires_grad_(True)
    loss = cross_entropy(classifier(pixels).logits, labels, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, pixels)
    return gradient


def fastest(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Seconds of the fastest of each way's rounds, after one that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, act in ways.items():
            started = time.perf_counter()
            act()
            seconds[name].append(time.perf_counter() - started)
    return {name: min(of_way[1:]) for name, of_way in seconds.items()}


def measured(name: str, classifier: Classifier, batch: int, rounds: int) -> Measured:
    started = time.perf_counter()
    runtime = search_on_onnx_runtime(classifier)
    export_seconds = time.perf_counter() - started
    assert isinstance(runtime, RuntimeClassifier)
    images = torch.rand(batch, *classifier.input_shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        outputs = classifier(images)
    # Away from the predicted label, where the cross-entropy is flat.
    labels = outputs.logits.argmin(1)
    cotangents = [outputs.logits, *(torch.zeros_like(value) for value in outputs.representations.values())]
    by_torch, by_runtime = (gradient_of(way, images, labels) for way in (classifier, runtime))
    difference = (by_runtime - by_torch).flatten(1).norm(dim=1) / by_torch.flatten(1).norm(dim=1)
    seconds = fastest(
        {
            "torch": lambda: gradient_of(classifier, images, labels),
            "runtime": lambda: gradient_of(runtime, images, labels),
            "one graph": lambda: runtime.network.gradient(images, cotangents),
        },
        rounds,
    )
    return Measured(
        network=name,
        batch=batch,
        by_torch=batch / seconds["torch"],
        by_runtime=batch / seconds["runtime"],
        by_one_graph=batch / seconds["one graph"],
        sign_agreement=float((by_torch.sign() == by_runtime.sign()).float().mean()),
        largest_difference=float(difference.max()),
        export_seconds=export_seconds,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--squeezenet", type=Path, help="weight file; random weights if not given")
    parser.add_argument(
        "--families", nargs="*", default=[], help="torchvision networks to add, random weights, 64 × 64"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    found = [
        measured("cifar10-resnet20", load_classifier("cifar10-resnet20").classifier, 64, given.rounds),
        measured(
            "squeezenet1_0 at 224", torchvision_classifier("squeezenet1_0", given.squeezenet, 224), 8, given.rounds
        ),
    ]
    for name in given.families:
        found.append(measured(f"{name} at 64", torchvision_classifier(name, None, 64), 8, given.rounds))
    table = Table(title=f"Forward and gradient, {torch.get_num_threads()} threads")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column == "network" else "right")
    for row in found:
        table.add_row(*row.cells())
    Console(width=160).print(table)
    if given.out is not None:
        given.out.write_text(json.dumps([dataclasses.asdict(row) for row in found], indent=2) + "\n")


if __name__ == "__main__":
    main()
