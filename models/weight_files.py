"""Reading weights from files into networks."""

import io
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from models.archives import UNREADABLE
from models.errors import ModelError, one_line

_TELLS = 3


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file or a state dict saved by torch, on the CPU; floating point comes as float32.

    Raises:
        ModelError: the file is missing, damaged, or holds more than tensors.
    """
    if not path.is_file():
        raise ModelError(f"there is no weight file {path}")
    if path.suffix == ".safetensors":
        try:
            stored = safetensors.torch.load_file(path)
        except SafetensorError as error:
            raise ModelError(f"{path} is not a whole safetensors file ({one_line(error)})") from error
    elif path.suffix in (".pt", ".pth"):
        stored = _read_state_dict(path)
    else:
        raise ModelError(
            f"weights come as .safetensors, or as a state dict in .pt or .pth; {path} is neither; a file that holds "
            "the graph, too, goes under model in the spec"
        )
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in stored.items()}


def is_torchscript(content: bytes) -> bool:
    """Whether a file's content is an archive of TorchScript, rather than of tensors alone."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return any(name.partition("/")[2].startswith("code/") for name in archive.namelist())
    except UNREADABLE:
        return False


def _read_state_dict(path: Path) -> dict[str, Tensor]:
    if is_torchscript(path.read_bytes()):
        raise ModelError(f"{path} is TorchScript, which holds the graph, too; name it under model in the spec")
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # Its own words advise to load the file unsafely.
        raise ModelError(
            f"{path} is damaged, or holds more than a state dict, which is not loaded; "
            "save `network.state_dict()` alone"
        ) from error
    if isinstance(stored, dict) and isinstance(stored.get("state_dict"), dict):
        stored = stored["state_dict"]
    if not isinstance(stored, dict) or not all(isinstance(value, Tensor) for value in stored.values()):
        raise ModelError(f"{path} does not hold a state dict of tensors; save `network.state_dict()` alone")
    return stored


def fit_weights(network: nn.Module, weights: Mapping[str, Tensor], source: Path) -> None:
    """Put weights into a network.

    Raises:
        ModelError: names or shapes do not fit; the first few that do not are named.
    """
    wanted = network.state_dict()
    # Files of before torch 0.4.1 do not count batches, and nothing here depends on it.
    missing = [name for name in wanted if name not in weights and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in weights if name not in wanted]
    if missing or unexpected:
        parts = [_first("missing", missing), _first("unexpected", unexpected)]
        raise ModelError(f"the weights {source} are not of this architecture: {', '.join(filter(None, parts))}")
    for name, tensor in wanted.items():
        if name in weights and weights[name].shape != tensor.shape:
            raise ModelError(
                f"the weights {source} are not of this architecture: {name!r} has shape "
                f"{tuple(weights[name].shape)}, the network expects {tuple(tensor.shape)}"
            )
    fitting = OrderedDict(weights)
    # Layouts of weights have versions, and a file that names none is taken to have the network's own.
    fitting._metadata = getattr(wanted, "_metadata", {})  # type: ignore[attr-defined]
    network.load_state_dict(fitting, strict=False)


def _first(kind: str, names: list[str]) -> str:
    return f"{len(names)} {kind} (first {', '.join(map(repr, names[:_TELLS]))})" if names else ""
