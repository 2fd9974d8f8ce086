"""Keeps what other people's attacks change: global random numbers, and the classifier's own state."""

import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from detector.types import Classifier


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global random numbers of torch, numpy and Python, and put them all back afterwards."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    python_state, numpy_state = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices):
            torch.manual_seed(seed)
            np.random.seed(seed)
            random.seed(seed)
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)


@contextmanager
def left_as_found(classifier: Classifier) -> Iterator[None]:
    """Freeze a classifier in eval mode, and give back modes, gradients and `requires_grad` of all its parts afterwards.

    A classifier that is no `nn.Module` has no such state.
    """
    if not isinstance(classifier, nn.Module):
        yield
        return
    modes = [(module, module.training) for module in classifier.modules()]
    parameters = [(parameter, parameter.requires_grad, parameter.grad) for parameter in classifier.parameters()]
    try:
        classifier.eval()
        for parameter, _, _ in parameters:
            parameter.requires_grad_(False)
            # Gradients add up in place, so what was there must be out of reach.
            parameter.grad = None
        yield
    finally:
        for module, was_training in modes:
            module.training = was_training
        for parameter, required_gradient, gradient in parameters:
            parameter.requires_grad_(required_gradient)
            parameter.grad = gradient


@contextmanager
def borrowed(classifier: Classifier, seed: int) -> Iterator[None]:
    """What a library's attack runs in: gradients on, both of the above, and quiet about its deprecated calls."""
    with left_as_found(classifier), seeded(seed), torch.enable_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
