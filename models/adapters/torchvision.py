"""Torchvision's classifiers by name, built untrained: weights come from a file, never over the network."""

import difflib
from collections.abc import Callable, Mapping

from torch import nn

from models.errors import ModelError
from models.torchvision_support import import_torchvision

_SLOWLY_INITIALISED = ("googlenet", "inception_v3")
"""They draw truncated normals for seconds and warn about it unless told; weights are put in their place anyway."""


def torchvision_factory(name: str, arguments: Mapping[str, object]) -> Callable[..., object]:
    """The builder of a classifier, with whatever the arguments leave open that would warn or fetch.

    Raises:
        ModelError: there is none of that name, or an argument would fetch weights.
    """
    models = import_torchvision().models
    # Models other than classifiers fetch the weights of their backbones.
    known = models.list_models(module=models)
    if name not in known:
        close = difflib.get_close_matches(name, known, n=3) or known[:3]
        raise ModelError(f"torchvision has no classifier {name!r}; near it are {', '.join(close)}")
    fetching = [argument for argument in arguments if argument in ("weights", "pretrained")]
    if fetching:
        raise ModelError(f"the argument {fetching[0]!r} would fetch weights; name a file under the spec's weights")
    builder: Callable[..., object] = models.get_model_builder(name)
    if name not in _SLOWLY_INITIALISED:
        return builder

    def build(**given: object) -> nn.Module:
        network = builder(**({"init_weights": False} | given))
        assert isinstance(network, nn.Module)
        return network

    return build
