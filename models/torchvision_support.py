"""Torchvision beside a torch without CUDA."""

import functools
from types import ModuleType

import torch


@functools.cache
def _operator_schemas() -> torch.library.Library:
    """Schemas that torchvision registers fakes for, but that its CPU-only neighbour never defined."""
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
    return library


@functools.cache
def import_torchvision() -> ModuleType:
    """Import torchvision, which alone fails beside CPU torch: "operator torchvision::nms does not exist".

    Models, transforms, data sets and feature extraction then work; `torchvision.ops.nms` and its decoders do not.
    """
    if torch.version.cuda is None and not hasattr(torch.ops.torchvision, "nms"):
        # Cached, because the schemas live as long as this object.
        _operator_schemas()
    import torchvision  # noqa: PLC0415

    module: ModuleType = torchvision
    return module
