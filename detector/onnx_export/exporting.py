"""From a module to an ONNX graph with a free batch axis, small enough to hand around."""

import contextlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from detector.onnx_export.translations import OPSET, Translations, translations
from detector.types import DetectorError, Images, ProgressCallback, no_progress

PIXELS = "pixels"
"""Name of the graph's one input."""

BATCH = "batch"
"""Name of its free axis."""

_STAGE = "exporting to ONNX"
_NOISY = ("torch", "torch.__trace", "torch.onnx", "torch.export", "torch.fx", "onnxscript", "onnx_ir")


class ExportError(DetectorError):
    """A detector that is no graph, or whose graph is not equal to it."""


def export_onnx(
    graph: nn.Module,
    example: Images,
    output_names: Sequence[str],
    more_translations: Translations | None = None,
    progress: ProgressCallback = no_progress,
) -> Any:
    """Trace a module from images to tensors, and write it with ONNX operators.

    Args:
        graph: takes images and gives a tuple of tensors, all with the axis of the images first, which stays free.
        example: images to trace it with.
        output_names: one each of the tensors.
        more_translations: of operators beyond PyTorch's own and those of `translations`.

    Returns:
        The onnx.ModelProto.

    Raises:
        ExportError: the module, most likely the classifier in it, cannot be traced or written so.
    """
    if any(isinstance(module, torch.jit.ScriptModule) for module in graph.modules()):
        raise ExportError(
            "the classifier is TorchScript, which cannot be traced into a graph; give it as .pt2, as .onnx, or by its "
            "factory and weights"
        )
    try:
        with _silence(), torch.no_grad():
            progress(_STAGE, 0, 3)
            traced = _traced(graph.eval(), example)
            progress(_STAGE, 1, 3)
            program = torch.onnx.export(
                traced,
                dynamo=True,
                opset_version=OPSET,
                # With True it takes twice as long, stores weights twice, and scores were off by up to 8e-4 on digits.
                optimize=False,
                verbose=False,
                input_names=[PIXELS],
                output_names=list(output_names),
                custom_translation_table={**translations(), **(more_translations or {})},
            )
    except Exception as error:
        reason = " ".join(str(error).split())[:400] or type(error).__name__
        raise ExportError(
            f"this detector cannot be written as an ONNX graph ({reason}); its classifier must be made of operations "
            "on whole tensors that leave the axis of the images free"
        ) from error
    progress(_STAGE, 2, 3)
    model = _tidied(program)
    progress(_STAGE, 3, 3)
    return model


def _traced(graph: nn.Module, example: Images) -> torch.export.ExportedProgram:
    # An example of one image would make the axis a constant.
    axis = {0: torch.export.Dim(BATCH, min=1)}
    return torch.export.export(graph, (example,), dynamic_shapes=(axis,), strict=False)


def _tidied(program: Any) -> Any:
    """Each weight once, each intermediate once, and no word of whose files it was traced from."""
    from onnx_ir.passes import common  # noqa: PLC0415

    passes: Any = common
    for tidy in (
        passes.InlinePass(),
        passes.DeduplicateInitializersPass(size_limit=_EVERY_SIZE),
        passes.CommonSubexpressionEliminationPass(),
        passes.IdentityEliminationPass(),
        passes.RemoveUnusedNodesPass(),
        passes.RemoveUnusedFunctionsPass(),
        passes.RemoveUnusedOpsetsPass(),
        passes.ClearMetadataAndDocStringPass(),
    ):
        tidy(program.model)
    model = program.model_proto
    # Shapes within are found again by whoever loads it.
    del model.graph.value_info[:]
    _name_batch_axis(model)
    return model


_EVERY_SIZE = 2**62


def _name_batch_axis(model: Any) -> None:
    symbol = model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    for value in (*model.graph.input, *model.graph.output):
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param == symbol:
                axis.dim_param = BATCH


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep to ourselves what the exporter says of its own internals."""
    loggers = [logging.getLogger(name) for name in _NOISY]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
