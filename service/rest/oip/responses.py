"""What a request of the Open Inference Protocol gets: verdicts as tensors, in JSON or raw, compressed if asked."""

import dataclasses
import gzip
import json
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from detector.judging import NO_INDEX
from detector.verdict import Decision, Verdict
from service.errors import InputError
from service.rest.oip.json_tensors import to_json
from service.rest.oip.requests import flag
from service.rest.oip.schemas import InferenceRequest
from service.rest.oip.tensors import DTYPES, Datatype, NamedTensor, objects, to_binary

OUTPUTS = {
    "is_adversarial": Datatype.BOOL,
    "instance_score": Datatype.FP32,
    "p_value": Datatype.FP32,
    "label": Datatype.INT64,
    "verdict": Datatype.BYTES,
    "suspected_label": Datatype.INT64,
    "label_name": Datatype.BYTES,
}
"""The outputs, one value an image each, in the order in which they come unless a request names them."""

COMPRESSED_FROM = 1024
"""Bytes; what is shorter fits into one packet as it is."""

COMPRESSIONS: Mapping[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wanted:
    """An output that was asked for.

    Attributes:
        is_binary: raw, behind the JSON.
    """

    name: str
    is_binary: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncodedResponse:
    """A body and what its headers must say of it.

    Attributes:
        header_length: length of the JSON in front of raw bytes; None where all of it is JSON.
    """

    body: bytes
    header_length: int | None


def wanted_outputs(request: InferenceRequest) -> tuple[Wanted, ...]:
    """Which outputs a request asks for, and in which form; by default all of them.

    Raises:
        InputError: an output is unknown, asked for twice, or asked for in a way that is not served.
    """
    is_binary = flag(request.parameters or {}, "binary_data_output", False)
    if not request.outputs:
        return tuple(Wanted(name=name, is_binary=is_binary) for name in OUTPUTS)
    wanted: dict[str, Wanted] = {}
    for output in request.outputs:
        parameters = output.parameters or {}
        if output.name not in OUTPUTS:
            raise InputError(f"there is no output {output.name[:64]!r}; there are {', '.join(OUTPUTS)}")
        if output.name in wanted:
            raise InputError(f"the output {output.name!r} is asked for twice; ask once")
        for name in ("classification", "shared_memory_region"):
            if name in parameters:
                raise InputError(f"the output {output.name!r} is asked for with {name}, which is not served")
        wanted[output.name] = Wanted(name=output.name, is_binary=flag(parameters, "binary_data", is_binary))
    return tuple(wanted.values())


def output_tensors(verdicts: Sequence[Verdict], labels: Sequence[str]) -> dict[str, NamedTensor]:
    """Every output. A verdict that is undecided counts as adversarial, and its numbers are not numbers."""
    columns: dict[str, list[Any]] = {
        "is_adversarial": [verdict.decision is not Decision.CLEAN for verdict in verdicts],
        "instance_score": [_number(verdict.score) for verdict in verdicts],
        "p_value": [_number(verdict.p_value) for verdict in verdicts],
        "label": [verdict.label for verdict in verdicts],
        "verdict": [verdict.decision.value.encode() for verdict in verdicts],
        "suspected_label": [
            NO_INDEX if verdict.suspected_label is None else verdict.suspected_label for verdict in verdicts
        ],
        "label_name": [labels[verdict.label].encode() for verdict in verdicts],
    }
    return {
        name: NamedTensor(
            name=name,
            datatype=datatype,
            values=objects(columns[name]) if datatype is Datatype.BYTES else np.array(columns[name], DTYPES[datatype]),
        )
        for name, datatype in OUTPUTS.items()
    }


def encode_response(
    head: Mapping[str, Any], tensors: Mapping[str, NamedTensor], wanted: Sequence[Wanted]
) -> EncodedResponse:
    """Put an answer together: the JSON, then the raw outputs in the order of the JSON.

    Args:
        head: the fields of the JSON besides its outputs.
    """
    outputs, raw = [], []
    for each in wanted:
        tensor = tensors[each.name]
        described = {"name": tensor.name, "shape": list(tensor.shape), "datatype": tensor.datatype.value}
        if each.is_binary:
            raw.append(to_binary(tensor))
            outputs.append({**described, "parameters": {"binary_data_size": len(raw[-1])}})
        else:
            outputs.append({**described, "data": to_json(tensor)})
    text = json.dumps({**head, "outputs": outputs}, allow_nan=False, separators=(",", ":")).encode()
    return EncodedResponse(body=b"".join([text, *raw]), header_length=len(text) if raw else None)


def choose_compression(accept_encoding: str, n_bytes: int) -> str | None:
    """Of gzip and deflate the one that a client likes better; None where it takes neither, or where it does not pay."""
    if n_bytes < COMPRESSED_FROM:
        return None
    weights = dict(_weighted(part) for part in accept_encoding.lower().split(","))
    best = max(COMPRESSIONS, key=lambda name: weights.get(name, 0.0))
    return best if weights.get(best, 0.0) > 0 else None


def _weighted(coding: str) -> tuple[str, float]:
    name, _, parameters = coding.strip().partition(";")
    key, _, value = parameters.strip().partition("=")
    try:
        return name.strip(), float(value) if key.strip() == "q" else 1.0
    except ValueError:
        return name.strip(), 0.0


def _number(value: float | None) -> float:
    return value if value is not None and math.isfinite(value) else math.nan
