import warnings

import pytest

from models.adapters.torchvision import torchvision_factory
from models.errors import ModelError
from models.torchvision_support import import_torchvision


def test_a_network_is_built_untrained() -> None:
    network = torchvision_factory("squeezenet1_0", {"num_classes": 4})(num_classes=4)
    assert network.num_classes == 4


def test_networks_that_warn_of_their_first_weights_are_built_without() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network = torchvision_factory("googlenet", {})(num_classes=3, aux_logits=False)
    assert network.fc.out_features == 3


def test_every_classifier_of_torchvision_is_known() -> None:
    models = import_torchvision().models
    names = models.list_models(module=models)
    assert {name.rstrip("0123456789_") for name in names} >= {"alexnet", "resnet", "vgg", "densenet", "googlenet"}
    for name in names:
        assert callable(torchvision_factory(name, {}))


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("resnet19", {}, "torchvision has no classifier 'resnet19'; near it are .*resnet18"),
        ("resnet18", {"weights": "DEFAULT"}, "'weights' would fetch weights"),
        ("resnet18", {"pretrained": True}, "'pretrained' would fetch weights"),
        ("fcn_resnet50", {}, "torchvision has no classifier 'fcn_resnet50'"),
    ],
)
def test_what_is_not_there_or_would_fetch_is_refused(name: str, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        torchvision_factory(name, arguments)
