"""Every family of torchvision's classifiers, its smallest member: does a spec load it, and what can be done with it?

Weights are random, with batch norms set to what a few random images show, so that nothing vanishes on the way. Of each
family the smallest square image is taken, in steps of 32 pixels, that the network takes.

    python tests/benchmarks/torchvision_families.py [NAME ...] [--export]
"""

import argparse
import contextlib
import dataclasses
import json
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from safetensors.torch import save_file
from torch import Tensor, nn

from models.adapters.factory import build_network
from models.errors import ModelError
from models.registry import load_classifier
from models.spec import load_spec

FAMILIES = {
    "AlexNet": "alexnet",
    "ConvNeXt": "convnext_tiny",
    "DenseNet": "densenet121",
    "EfficientNet": "efficientnet_b0",
    "EfficientNetV2": "efficientnet_v2_s",
    "GoogLeNet": "googlenet",
    "Inception v3": "inception_v3",
    "MaxViT": "maxvit_t",
    "MNASNet": "mnasnet0_5",
    "MobileNetV2": "mobilenet_v2",
    "MobileNetV3": "mobilenet_v3_small",
    "RegNet X": "regnet_x_400mf",
    "RegNet Y": "regnet_y_400mf",
    "ResNet": "resnet18",
    "ResNeXt": "resnext50_32x4d",
    "ShuffleNetV2": "shufflenet_v2_x0_5",
    "SqueezeNet": "squeezenet1_1",
    "Swin": "swin_t",
    "Swin V2": "swin_v2_t",
    "VGG": "vgg11",
    "ViT": "vit_b_32",
    "Wide ResNet": "wide_resnet50_2",
}
SIZES = range(32, 257, 32)
N_LABELS = 10
_REPLACED = ("architecture", "weights")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tried:
    """What came of a member of a family.

    Attributes:
        size: of the images, in pixels.
        shapes: of its representations, by name.
        has_gradient: whether a finite gradient that is not zero reaches every image.
        exported: whether a .pt2 of it gives the same logits; None if that was not tried.
    """

    name: str
    size: int
    shapes: Mapping[str, tuple[int, ...]]
    has_gradient: bool
    exported: bool | None
    seconds: float


def try_family(name: str, folder: Path, *, sizes: Sequence[int] = SIZES, export: bool = False) -> Tried:
    """Load the network through a spec at the smallest size that it takes.

    Raises:
        ModelError: it takes none of the sizes.
    """
    started = time.perf_counter()
    refusal = ModelError(f"no size to try was given for {name}")
    for size in sizes:
        try:
            spec = written(name, folder, size)
            loaded = load_classifier(spec)
        except ModelError as error:
            refusal = error
            continue
        generator = torch.Generator().manual_seed(1)
        images = torch.rand(2, 3, size, size, generator=generator).requires_grad_()
        outputs = loaded.classifier(images)
        (gradient,) = torch.autograd.grad(outputs.logits.logsumexp(1).sum(), images)
        return Tried(
            name=name,
            size=size,
            shapes={key: tuple(value.shape[1:]) for key, value in outputs.representations.items()},
            has_gradient=bool(gradient.isfinite().all() and gradient.flatten(1).any(1).all()),
            exported=same_after_export(spec, images.detach()) if export else None,
            seconds=time.perf_counter() - started,
        )
    raise refusal


def written(name: str, folder: Path, size: int) -> Path:
    """The SPEC.toml of a network with random weights."""
    arguments = {"num_classes": N_LABELS} | ({"image_size": size} if name.startswith("vit") else {})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_network(f"torchvision:{name}", arguments, folder)
        enliven(network, size)
    state = {key: value.contiguous() for key, value in network.state_dict().items()}
    save_file(state, folder / "weights.safetensors")
    table = {
        "name": name,
        "architecture": f"torchvision:{name}",
        "weights": "weights.safetensors",
        "labels": [str(label) for label in range(N_LABELS)],
        "input_size": [size, size],
        "mean": [0.5] * 3,
        "std": [0.25] * 3,
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in table.items()]
    lines += ["[arguments]", *(f"{key} = {json.dumps(value)}" for key, value in arguments.items())]
    path = folder / "SPEC.toml"
    path.write_text("\n".join(lines))
    return path


def enliven(network: nn.Module, size: int) -> None:
    """Set batch norms to what random images show, and what starts at zero, as some heads do, to something."""
    for parameter in network.parameters():
        if parameter.ndim > 1 and not parameter.any():
            nn.init.normal_(parameter, std=0.02)
    network.eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            # Wholly normalised, deep networks with random weights magnify the last digits into others.
            module.momentum = 0.5
            module.train()
    # A size that it does not take is found out, in words, when the spec is loaded.
    with torch.no_grad(), contextlib.suppress(RuntimeError):
        network(torch.randn(4, 3, size, size))


def same_after_export(spec: Path, images: Tensor) -> bool:
    """Whether the network, exported with a free batch axis and opened through a spec of its own, gives the same."""
    loaded = load_spec(spec)
    normalised = (images - 0.5) / 0.25
    program = torch.export.export(
        loaded.classifier.network, (normalised,), dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=1024)},)
    )
    torch.export.save(program, spec.with_name("network.pt2"))
    kept = [line for line in spec.read_text().split("[arguments]")[0].splitlines() if not line.startswith(_REPLACED)]
    other = spec.with_name("EXPORTED.toml")
    other.write_text("\n".join([*kept, 'model = "network.pt2"']))
    with torch.no_grad():
        found = load_classifier(other).classifier(images).logits
        expected = loaded.classifier(images).logits
        return bool((found - expected).abs().max() <= 1e-4 * expected.abs().max())


def described(tried: Tried) -> tuple[str, ...]:
    shapes = ", ".join(f"{key} {'×'.join(map(str, shape))}" for key, shape in tried.shapes.items())
    answers = {True: "yes", False: "[red]no", None: ""}
    return (
        tried.name,
        str(tried.size),
        shapes,
        answers[tried.has_gradient],
        answers[tried.exported],
        f"{tried.seconds:.1f}",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="of members, instead of the smallest of every family")
    parser.add_argument("--export", action="store_true", help="try .pt2 too")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    # What warns here would warn whoever loads such a spec.
    warnings.simplefilter("error")
    console = Console(width=200)
    table = Table("member", "input", "representations", "gradient", ".pt2", "s", title="torchvision's classifiers")
    for name in asked.names or FAMILIES.values():
        with tempfile.TemporaryDirectory() as folder, console.status(name):
            try:
                tried = try_family(name, Path(folder), export=asked.export)
            except Exception as error:
                row = (name, "", f"[red]{type(error).__name__}: {error}")
            else:
                row = described(tried)
        console.print(*row, sep="   ")
        table.add_row(*row)
    console.print(table)


if __name__ == "__main__":
    main()
