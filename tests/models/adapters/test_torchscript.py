import copy
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from models.adapters.adapted import Adapted
from models.adapters.torchscript import open_torchscript
from models.errors import ModelError


def opened(path: Path, representations: list[str] | None = None) -> Adapted:
    return open_torchscript(path, representations=representations, input_shape=(1, 8, 8), device=torch.device("cpu"))


class Judging(nn.Module):
    """Takes the label itself, through which no gradient comes."""

    def __init__(self) -> None:
        super().__init__()
        self.flatten = nn.Flatten()

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.one_hot(self.flatten(images).argmax(1), 64).float()


def test_it_says_that_it_is_deprecated_and_what_is_not_possible(digits_script: Path) -> None:
    limits = " ".join(opened(digits_script).limits)
    assert "TorchScript is deprecated" in limits
    assert "No gradient" not in limits


def test_a_script_without_gradients_says_so(saved_script: Callable[..., Path], tmp_path: Path) -> None:
    adapted = opened(saved_script(Judging(), tmp_path / "judging.ts"), ["flatten"])
    assert not adapted.is_differentiable
    assert any("No gradient of the logits reaches the pixels" in limit for limit in adapted.limits)


def test_a_name_that_is_not_there_is_told_with_near_ones(digits_script: Path) -> None:
    with pytest.raises(ModelError, match=r"no module 'stages.7' that it calls .*; near it are 'stages.\d'"):
        opened(digits_script, ["stages.7"])


def test_it_can_be_copied_and_switched(digits_script: Path) -> None:
    network = opened(digits_script, ["stages.1"]).network
    pixels = torch.rand(2, 1, 8, 8)
    copied = copy.deepcopy(network)
    assert torch.equal(copied(pixels), network(pixels))
    assert list(copied.taps) == ["stages.1"]
    assert not copied.train().eval().training


def test_images_of_another_shape_are_refused(saved_script: Callable[..., Path], tmp_path: Path) -> None:
    path = saved_script(nn.Sequential(nn.Flatten(), nn.Linear(9, 2)), tmp_path / "small.ts", torch.rand(2, 1, 3, 3))
    with pytest.raises(ModelError, match=r"fails on an image of shape \(1, 8, 8\)"):
        opened(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no TorchScript file .*absent.ts"):
        opened(tmp_path / "absent.ts")


def test_weights_alone_and_programs_are_told_where_they_belong(digits_program: Path, tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(2)}, tmp_path / "weights.pt")
    (tmp_path / "text.pt").write_text("nonsense")
    for path in (tmp_path / "weights.pt", tmp_path / "text.pt", digits_program):
        with pytest.raises(ModelError, match=r"is not a TorchScript file; weights alone go under weights"):
            opened(path)


def changed(source: Path, target: Path, change: Callable[[bytes], bytes]) -> Path:
    """A copy of an archive with all its code changed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.infolist():
            content = old.read(entry)
            new.writestr(entry.filename, change(content) if entry.filename.endswith(".py") else content)
    return target


def writing(code: bytes, file: Path) -> bytes:
    """Code of the network that also writes its input to a file, which torch would do."""
    return code.replace(b"    return ", f'    torch.save(1, "{file}")\n    return '.encode())


@pytest.mark.parametrize("call", ["torch.from_file", "ops.mine", "torch.save", "ops.aten.save"])
def test_code_that_touches_more_than_tensors_is_refused(digits_script: Path, tmp_path: Path, call: str) -> None:
    path = changed(digits_script, tmp_path / "m.ts", lambda code: code.replace(b"torch.relu", call.encode()))
    with pytest.raises(ModelError, match=f"m.ts is not loaded: its code calls {call}"):
        opened(path)


@pytest.mark.parametrize(
    ("hidden", "message"),
    [(lambda name: name, "twice"), (lambda name: name[:-2] + "PY", "twice, but for upper and lower case")],
)
@pytest.mark.filterwarnings("ignore:Duplicate name", "ignore:.torch.jit.load. is deprecated")
def test_code_that_torch_would_read_in_place_of_what_was_checked_is_refused(
    digits_script: Path, tmp_path: Path, hidden: Callable[[str], str], message: str
) -> None:
    with zipfile.ZipFile(digits_script) as old, zipfile.ZipFile(tmp_path / "m.ts", "w") as new:
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename.endswith(".py"):
                new.writestr(hidden(entry.filename), writing(content, tmp_path / "made"))
            new.writestr(entry.filename, content)
    # Torch reads the first of them.
    torch.jit.load(str(tmp_path / "m.ts"))(torch.rand(1, 1, 8, 8))
    assert (tmp_path / "made").exists()
    (tmp_path / "made").unlink()
    with pytest.raises(ModelError, match=message):
        opened(tmp_path / "m.ts")
    assert not (tmp_path / "made").exists()


def test_code_under_a_name_that_torch_alone_takes_for_code_is_not_read(digits_script: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(digits_script) as old, zipfile.ZipFile(tmp_path / "m.ts", "w") as new:
        for entry in old.infolist():
            is_code = entry.filename.endswith(".py")
            content = writing(old.read(entry), tmp_path / "made") if is_code else old.read(entry)
            new.writestr(entry.filename[:-2] + "PY" if is_code else entry.filename, content)
    with pytest.raises(ModelError, match="is damaged, or too new"):
        opened(tmp_path / "m.ts")
    assert not (tmp_path / "made").exists()


def test_a_script_whose_members_are_broken_is_damaged(digits_script: Path, tmp_path: Path) -> None:
    path = changed(digits_script, tmp_path / "m.ts", lambda code: code)
    path.write_bytes(path.read_bytes().replace(b"torch.relu", b"torch.selu"))
    with pytest.raises(ModelError, match=r"m.ts is damaged, encrypted, or no such archive \(BadZipFile: Bad CRC"):
        opened(path)


def test_a_damaged_file_is_named(digits_script: Path, tmp_path: Path) -> None:
    path = changed(digits_script, tmp_path / "m.ts", lambda code: code[:40])
    with pytest.raises(ModelError, match=r"the TorchScript file .*m.ts is damaged, or too new"):
        opened(path)
