"""What a classifier takes and gives, how long it takes, and what is not possible with it."""

import dataclasses
import functools
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from rich.markup import escape
from rich.table import Table
from torch import Generator, Tensor

from detector.passes import waypoints_per_pass
from models.classifier import Classifier
from models.loaded import LoadedClassifier
from models.registry import load_classifier
from service.classifier_checks import MOST_IMAGES, first_look
from service.console import printable, results, write_json
from service.devices import choose_device
from service.imagesets import load_image_set

N_RUNS = 5
MOST_SECONDS = 5.0
"""Of the runs of one measurement, after which no other is begun."""
N_LABELS_SHOWN = 5
WITHOUT_GRADIENT = (
    "Without gradients there are no learned or feature-visualised prototypes, no search for paths and no adaptive "
    "proxies; calibrate with --prototypes real and --proxies black-box."
)


def run_inspection(
    name_or_spec: str, *, weights: Path | None, device: str | None, json: bool, images: str | None = None
) -> bool:
    """Write a description of a classifier; returns whether nothing seems to be wrong with it.

    Args:
        images: the source of an image set that it was not trained on, to have a first look at it with.

    Raises:
        ModelError: it cannot be loaded; the message says what to change.
        InputError: the image set cannot be read.
    """
    loaded = load_classifier(name_or_spec, device=choose_device(device), weights=weights)
    description = describe(loaded)
    if images is not None:
        labels = loaded.classifier.labels
        held_out = load_image_set(images, loaded.preprocessing, labels=labels, limit=MOST_IMAGES)
        description["held_out"] = dataclasses.asdict(first_look(loaded, held_out))
    is_sound = description.get("held_out", {}).get("suspicion") is None
    if json:
        write_json(description)
        return is_sound
    table = Table(show_header=False, box=None)
    table.add_column()
    table.add_column(overflow="fold")
    for key, text in _rows(description):
        table.add_row(key, escape(printable(text)))
    results.print(table)
    return is_sound


def describe(loaded: LoadedClassifier) -> dict[str, Any]:
    """Everything there is to say about a classifier; times are measured on random images where it is.

    `parameters` are those that it runs with, batch norms being folded; None where they lie in a session of another
    runtime. Times are in milliseconds an image, by the number of images in a pass: one, and as many as make up one
    pass of the detector.
    """
    classifier = loaded.classifier
    pixels = torch.rand(1, *classifier.input_shape, generator=Generator().manual_seed(0)).to(classifier.device)
    with torch.no_grad():
        outputs = classifier(pixels)
    n_parameters = sum(parameter.numel() for parameter in classifier.parameters())
    return {
        "name": loaded.name,
        "kind": loaded.kind.value,
        "device": str(classifier.device),
        "digest": classifier.digest(),
        "parameters": n_parameters or None,
        "input_shape": list(classifier.input_shape),
        "preprocessing": loaded.preprocessing.to_dict(),
        "mean": classifier.mean.flatten().tolist(),
        "std": classifier.std.flatten().tolist(),
        "n_labels": len(classifier.labels),
        "labels": list(classifier.labels),
        "representations": {name: list(values.shape[1:]) for name, values in outputs.representations.items()},
        "forward_ms_per_image": _by_batch(classifier, _forward),
        "gradient_ms_per_image": _by_batch(classifier, _gradient) if loaded.is_differentiable else None,
        "is_differentiable": loaded.is_differentiable,
        "limits": [*loaded.limits, *(() if loaded.is_differentiable else (WITHOUT_GRADIENT,))],
    }


def _by_batch(classifier: Classifier, compute: Callable[[Classifier, Tensor], None]) -> dict[str, float]:
    generator = Generator().manual_seed(0)
    milliseconds = {}
    for n_images in dict.fromkeys((1, waypoints_per_pass(classifier.input_shape))):
        pixels = torch.rand(n_images, *classifier.input_shape, generator=generator).to(classifier.device)
        seconds = _median_seconds(functools.partial(compute, classifier, pixels), classifier.device)
        milliseconds[str(n_images)] = round(1000 * seconds / n_images, 4)
    return milliseconds


def _forward(classifier: Classifier, pixels: Float[Tensor, "image channel height width"]) -> None:
    with torch.no_grad():
        classifier(pixels)


def _gradient(classifier: Classifier, pixels: Float[Tensor, "image channel height width"]) -> None:
    images = pixels.clone().requires_grad_(True)
    torch.autograd.grad(classifier(images).logits.sum(), images)


def _median_seconds(act: Callable[[], None], device: torch.device) -> float:
    """Of a few runs after one that is not counted."""
    act()
    taken: list[float] = []
    while len(taken) < N_RUNS and sum(taken) < MOST_SECONDS:
        _wait(device)
        started = time.perf_counter()
        act()
        _wait(device)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _rows(description: dict[str, Any]) -> list[tuple[str, str]]:
    labels = description["labels"]
    further = f" and {len(labels) - N_LABELS_SHOWN} others" if len(labels) > N_LABELS_SHOWN else ""
    parameters = description["parameters"]
    rows = [
        ("name", description["name"]),
        ("made from", description["kind"]),
        ("device", description["device"]),
        ("digest", description["digest"]),
        ("parameters", "in the file" if parameters is None else f"{parameters:,}"),
        ("input", f"{_sizes(description['input_shape'])} (channel, height, width), pixels in [0, 1]"),
        ("preprocessing", ", ".join(f"{key} {value}" for key, value in description["preprocessing"].items())),
        ("normalisation", f"mean {_numbers(description['mean'])}, std {_numbers(description['std'])}"),
        ("labels", f"{len(labels)}: {', '.join(labels[:N_LABELS_SHOWN])}{further}"),
    ]
    for index, (name, shape) in enumerate(description["representations"].items()):
        rows.append(("" if index else "representations", f"{name}: {_sizes(shape)}"))
    rows.append(("forward pass", _times(description["forward_ms_per_image"])))
    gradient = description["gradient_ms_per_image"]
    rows.append(("with gradient", "not possible" if gradient is None else _times(gradient)))
    if "held_out" in description:
        look = description["held_out"]
        rows.append(("held-out images", f"{look['accuracy']:.1%} of {look['n_images']} right"))
        rows.append(("suspicion", look["suspicion"] or "none"))
    return rows + [("" if index else "limits", limit) for index, limit in enumerate(description["limits"] or ["none"])]


def _sizes(shape: list[int]) -> str:
    return "×".join(map(str, shape))


def _numbers(values: list[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)


def _times(milliseconds: dict[str, float]) -> str:
    return "; ".join(f"{value:.3g} ms an image in a pass of {n_images}" for n_images, value in milliseconds.items())
