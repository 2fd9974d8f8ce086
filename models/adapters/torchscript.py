"""Networks saved by torch.jit (TorchScript), which torch has deprecated: read while it still can, and said to be so."""

import copy
import difflib
import hashlib
import io
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.jit import ScriptModule

from models.adapters.adapted import Adapted, NetworkKind
from models.adapters.probing import NO_GRADIENT, check_runs, grey_image, is_differentiable
from models.adapters.script_checks import UnsafeScriptError, check_code, check_pickle
from models.adapters.script_graph import called_modules, with_outputs
from models.adapters.tapped import Tapped
from models.adapters.traced_modules import TracedModule, default_traced
from models.archives import read_archive, written_anew
from models.errors import ModelError, one_line
from models.weight_files import is_torchscript

_NO_EXPORT = "A detector cannot be exported with it, since torch does not export scripts."
_DEPRECATED = "TorchScript is deprecated in torch and may not be read by its next versions; export a .pt2 instead."
_CODE = re.compile(r"code/[\w/]+\.py")
_PICKLES = ("data.pkl", "constants.pkl")
_PLAIN = re.compile(r"(data|constants)/\d+|version|\.data/version|byteorder")
"""Members that hold numbers alone."""


class TorchScriptNetwork(Tapped):
    """A script that gives the outputs of some of its modules besides its logits.

    Args:
        script: takes normalised images.
        representations: paths of modules in it.
    """

    def __init__(self, script: ScriptModule, representations: Sequence[str]) -> None:
        super().__init__(representations)
        self.script = script
        self._function: Any = with_outputs(script, representations)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of normalised images."""
        logits, *representations = self._function(self.script, images)
        return self.tapped(logits, representations)

    def __deepcopy__(self, memo: Any) -> "TorchScriptNetwork":
        return TorchScriptNetwork(copy.deepcopy(self.script, memo), list(self.taps))


def open_torchscript(
    path: Path,
    *,
    representations: Sequence[str] | None,
    input_shape: tuple[int, int, int],
    device: torch.device,
) -> Adapted:
    """Read a TorchScript file.

    Args:
        representations: modules of the script that run outside of loops and branches; found if not given.
        input_shape: (channel, height, width).

    Raises:
        ModelError: the file is missing, damaged or holds something else; the script does not take such images; or a
            representation is not to be found.
    """
    script, digest = _read_script(path, device)
    script.eval().float()
    for parameter in script.parameters():
        parameter.requires_grad_(False)
    example = grey_image(input_shape, device)
    check_runs(script, example)
    called = called_modules(script)
    names = tuple(representations or _default(script, called, example))
    _check_called(names, called)
    network = TorchScriptNetwork(script, names)
    check_runs(network, example)
    can_differentiate = is_differentiable(network, example)
    return Adapted(
        network=network,
        kind=NetworkKind.TORCHSCRIPT,
        file_digest=digest,
        representations=names,
        is_differentiable=can_differentiate,
        limits=(_DEPRECATED, _NO_EXPORT, *(() if can_differentiate else (NO_GRADIENT,))),
    )


def _read_script(path: Path, device: torch.device) -> tuple[ScriptModule, str]:
    if not path.is_file():
        raise ModelError(f"there is no TorchScript file {path}")
    content = path.read_bytes()
    if not is_torchscript(content):
        raise ModelError(
            f"{path} is not a TorchScript file; weights alone go under weights, with their architecture, and a program "
            "of torch.export ends in .pt2"
        )
    archive = _rewritten(content, path)
    try:
        # All it can warn of is that it is deprecated, which the limits say.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            script: ScriptModule = torch.jit.load(archive, map_location=device)  # type: ignore[no-untyped-call]
    except Exception as error:
        raise ModelError(f"the TorchScript file {path} is damaged, or too new ({one_line(error)})") from error
    return script, hashlib.sha256(content).hexdigest()


def _rewritten(content: bytes, path: Path) -> io.BytesIO:
    """The archive, of nothing but what was checked, and of that as it was read to be checked."""
    written = {}
    for name, member in read_archive(content, path).members.items():
        try:
            if _CODE.fullmatch(name):
                check_code(member)
            elif name in _PICKLES:
                check_pickle(member)
            elif not _PLAIN.fullmatch(name):
                continue
        except UnsafeScriptError as error:
            raise ModelError(f"{path} is not loaded: {error}") from error
        written[name] = member
    return written_anew(written, "script")


def _check_called(names: Sequence[str], called: Sequence[str]) -> None:
    for name in names:
        if name not in called:
            close = difflib.get_close_matches(name, called, n=3, cutoff=0.4) or called[-3:]
            raise ModelError(
                f"the script has no module {name!r} that it calls outside of loops and branches; near it are "
                f"{', '.join(repr(other) for other in close)}"
            )


def _default(script: ScriptModule, called: Sequence[str], example: Tensor) -> tuple[str, ...]:
    with torch.no_grad():
        logits, *outputs = with_outputs(script, called)(script, example)
    modules = dict(script.named_modules())
    traced = [
        TracedModule(
            path=path,
            kind=str(modules[path].original_name),
            shape=tuple(output.shape),
            has_parameters=next(modules[path].parameters(recurse=False), None) is not None,
        )
        for path, output in zip(called, outputs, strict=True)
    ]
    return default_traced(traced, logits.shape[1], example.shape[2] / example.shape[3])
