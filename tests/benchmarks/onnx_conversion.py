"""Which ONNX files become differentiable torch modules: families of networks, by what exporter and opset wrote them.

Each network is untrained, with batch norms set to what random images show, so that nothing vanishes on the way; it is
exported with a free batch axis, opened with its default representations, converted,
compared with ONNX Runtime on random images (logits and representations), and differentiated.

    python tests/benchmarks/onnx_conversion.py
    python tests/benchmarks/onnx_conversion.py --families resnet18 vit --exporters dynamo-20
"""

import argparse
import contextlib
import io
import logging
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from models.adapters.onnx_conversion import open_onnx_as_torch
from models.adapters.onnx_runtime import open_with_onnx_runtime
from models.digits import digits_network
from models.errors import ModelError
from models.torchvision_support import import_torchvision

EXPORTERS = ("legacy-17", "dynamo-18", "dynamo-20")

console = Console(width=160)


def families() -> dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int]]]:
    """How to build a network of each family, and what images it takes: small ones, where it takes them."""
    models = import_torchvision().models

    def vit() -> nn.Module:
        network = models.VisionTransformer(32, 4, 6, 3, 48, 96, num_classes=10)
        # It begins as zeros, and so would hide what comes before it.
        nn.init.normal_(network.heads.head.weight)
        return network  # type: ignore[no-any-return]

    def mlp() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))

    def vgg() -> nn.Module:
        network = models.vgg11_bn(num_classes=10)
        # Its own head is fifteen times as large as all else, and asks for 224 pixels.
        network.avgpool, network.classifier = nn.AdaptiveAvgPool2d(1), nn.Linear(512, 10)
        return network  # type: ignore[no-any-return]

    small = (3, 64, 64)
    return {
        "digits": (digits_network, (1, 8, 8)),
        "mlp": (mlp, (1, 8, 8)),
        "resnet18": (models.resnet18, small),
        "squeezenet1_1": (models.squeezenet1_1, small),
        "vgg11_bn": (vgg, small),
        "densenet121": (models.densenet121, small),
        "googlenet": (lambda: models.googlenet(init_weights=False, aux_logits=False), small),
        "mobilenet_v3_small": (models.mobilenet_v3_small, small),
        "shufflenet_v2_x0_5": (models.shufflenet_v2_x0_5, small),
        "efficientnet_b0": (models.efficientnet_b0, small),
        "regnet_y_400mf": (models.regnet_y_400mf, small),
        "convnext_tiny": (models.convnext_tiny, small),
        "vit": (vit, (3, 32, 32)),
        "swin_t": (models.swin_t, small),
    }


@torch.no_grad()
def with_statistics(network: nn.Module, shape: tuple[int, int, int]) -> nn.Module:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    network.train()(torch.randn(8, *shape))
    return network.eval()


def export(network: nn.Module, shape: tuple[int, int, int], exporter: str, path: Path) -> None:
    kind, opset = exporter.split("-")
    example = (torch.rand(3, *shape),)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        if kind == "legacy":
            axes = {"images": {0: "batch"}, "logits": {0: "batch"}}
            torch.onnx.export(
                network,
                example,
                path,
                dynamo=False,
                opset_version=int(opset),
                input_names=["images"],
                output_names=["logits"],
                dynamic_axes=axes,
            )
        else:
            batch = {0: torch.export.Dim("batch", min=1, max=4096)}
            torch.onnx.export(
                network,
                example,
                path,
                dynamo=True,
                opset_version=int(opset),
                dynamic_shapes=(batch,),
                verbose=False,
                external_data=False,
            )


def outcome(name: str, exporter: str) -> str:
    """In a few words."""
    build, shape = families()[name]
    torch.manual_seed(0)
    network = with_statistics(build(), shape)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        try:
            export(network, shape, exporter, path)
        except Exception as error:
            return f"not exported: {type(error).__name__}"
        started = time.process_time()
        try:
            adapted = open_onnx_as_torch(path, logits=None, representations=None, input_shape=shape)
        except ModelError as error:
            return f"{error}; {runs(path, shape)}"
        spent = time.process_time() - started
    images = torch.rand(5, *shape)
    with torch.no_grad():
        logits = network(images)
        far = ((adapted.network(images) - logits).abs().max() / logits.abs().max()).item()
    return (
        f"yes ({len(adapted.representations)} representations, {far:.0e} from the network, {spent:.0f} s of one core)"
    )


def runs(path: Path, shape: tuple[int, int, int]) -> str:
    try:
        open_with_onnx_runtime(path, logits=None, representations=None, input_shape=shape, device=torch.device("cpu"))
    except ModelError:
        return "nor does it run in ONNX Runtime"
    return "runs in ONNX Runtime"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="*", default=list(families()))
    parser.add_argument("--exporters", nargs="*", default=list(EXPORTERS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    table = Table("family", *options.exporters)
    for name in options.families:
        cells = []
        for exporter in options.exporters:
            cells.append(outcome(name, exporter))
            console.print(f"{name} {exporter}: {cells[-1]}", highlight=False)
        table.add_row(name, *cells)
    console.print(table)


if __name__ == "__main__":
    main()
