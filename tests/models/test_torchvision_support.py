import torch

from models.torchvision_support import import_torchvision


def test_torchvision_can_be_imported_and_asked_for_again() -> None:
    assert import_torchvision() is import_torchvision()


def test_transforms_and_models_work() -> None:
    torchvision = import_torchvision()
    flipped = torchvision.transforms.functional.hflip(torch.tensor([[[1.0, 2.0]]]))
    assert flipped.tolist() == [[[2.0, 1.0]]]
    assert "resnet18" in torchvision.models.list_models()
