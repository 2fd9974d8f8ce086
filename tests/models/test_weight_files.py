import pickle
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from models.errors import ModelError
from models.weight_files import fit_weights, read_weights


class Payload:
    """Something that only an unsafe unpickling would bring to life."""


def test_floating_point_comes_as_float32_and_counts_stay(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"half": torch.ones(2).half(), "double": torch.ones(2).double(), "count": torch.tensor(3)}, path)
    assert {name: tensor.dtype for name, tensor in read_weights(path).items()} == {
        "half": torch.float32,
        "double": torch.float32,
        "count": torch.int64,
    }


@pytest.mark.parametrize("wrap", [lambda state: state, lambda state: {"state_dict": state, "epoch": 3}])
def test_a_state_dict_saved_by_torch_is_read(tmp_path: Path, wrap) -> None:
    network = nn.Linear(2, 3)
    torch.save(wrap(network.state_dict()), tmp_path / "w.pth")
    assert torch.equal(read_weights(tmp_path / "w.pth")["weight"], network.weight)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no weight file .*w.pt"):
        read_weights(tmp_path / "w.pt")


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt"])
@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x00" * 1000])
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=name):
        read_weights(tmp_path / name)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt"])
def test_a_truncated_file_is_named(tmp_path: Path, name: str) -> None:
    state = {"weight": torch.rand(100, 100)}
    if name.endswith("pt"):
        torch.save(state, tmp_path / name)
    else:
        save_file(state, tmp_path / name)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:20_000])
    with pytest.raises(ModelError, match=f"{name} is (not a whole|damaged)"):
        read_weights(tmp_path / name)


def test_a_pickled_network_is_not_brought_to_life(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "network.pt")
    (tmp_path / "payload.pt").write_bytes(pickle.dumps({"weight": Payload()}, protocol=2))
    for name in ("network.pt", "payload.pt"):
        with pytest.raises(ModelError, match=f"{name} is damaged, or holds more than a state dict"):
            read_weights(tmp_path / name)


def test_a_file_of_something_else_than_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "w.pt")
    with pytest.raises(ModelError, match="does not hold a state dict of tensors"):
        read_weights(tmp_path / "w.pt")


def test_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.onnx").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"weights come as .safetensors"):
        read_weights(tmp_path / "w.onnx")


def test_torchscript_is_told_where_it_belongs(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(nn.Linear(2, 2), torch.rand(1, 2)).save(str(tmp_path / "w.pt"))
    with pytest.raises(ModelError, match=r"w.pt is TorchScript, which holds the graph, too; name it under model"):
        read_weights(tmp_path / "w.pt")


def test_the_first_missing_and_unexpected_names_are_shown() -> None:
    weights = {"weight": torch.zeros(3, 2), "module.bias": torch.zeros(3)}
    with pytest.raises(ModelError, match=r"1 missing \(first 'bias'\), 1 unexpected \(first 'module.bias'\)"):
        fit_weights(nn.Linear(2, 3), weights, Path("w.pt"))


def test_a_few_names_of_each_are_shown() -> None:
    weights = {f"stages.{index}.weight": torch.zeros(2) for index in range(5)}
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    message = (
        r"4 missing \(first '0.weight', '0.bias', '1.weight'\), "
        r"5 unexpected \(first 'stages.0.weight', 'stages.1.weight', 'stages.2.weight'\)"
    )
    with pytest.raises(ModelError, match=message):
        fit_weights(network, weights, Path("w.pt"))


def test_a_wrong_shape_is_shown() -> None:
    weights = {"weight": torch.zeros(4, 2), "bias": torch.zeros(3)}
    with pytest.raises(ModelError, match=r"'weight' has shape \(4, 2\), the network expects \(3, 2\)"):
        fit_weights(nn.Linear(2, 3), weights, Path("w.pt"))


def test_batch_counts_may_be_missing() -> None:
    network = nn.BatchNorm2d(2)
    weights = {name: tensor + 1 for name, tensor in network.state_dict().items() if name != "num_batches_tracked"}
    fit_weights(network, weights, Path("w.pt"))
    assert network.bias.tolist() == [1, 1]


def test_weights_that_name_no_version_of_their_layout_have_the_networks(tmp_path: Path) -> None:
    class Versioned(nn.Linear):
        _version = 3

        def _load_from_state_dict(self, state, prefix, local_metadata, *others):
            assert local_metadata["version"] == 3
            super()._load_from_state_dict(state, prefix, local_metadata, *others)

    network = nn.Sequential(Versioned(2, 2))
    weights = {name: torch.ones_like(tensor) for name, tensor in network.state_dict().items()}
    fit_weights(network, weights, tmp_path)
    assert bool((network[0].weight == 1).all())
