"""A handful of torchvision's families through a spec; `tests/benchmarks/torchvision_families.py` tries all of them."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "torchvision_families.py"


@pytest.fixture(scope="module")
def families() -> ModuleType:
    found = importlib.util.spec_from_file_location("torchvision_families", SCRIPT)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("mnasnet0_5", [(8, 16, 16), (16, 8, 8), (24, 4, 4), (48, 2, 2), (1280,)]),
        ("mobilenet_v3_small", [(16, 16, 16), (16, 8, 8), (24, 4, 4), (48, 2, 2), (1024,)]),
        ("googlenet", [(64, 16, 16), (192, 8, 8), (480, 4, 4), (832, 2, 2), (1024,)]),
        ("swin_t", [(64, 96), (16, 192), (4, 384), (768,)]),
    ],
)
def test_a_network_of_torchvision_comes_with_its_stages_and_gradients_reach_the_pixels(
    families: ModuleType, name: str, shapes: list[tuple[int, ...]], tmp_path: Path
) -> None:
    tried = families.try_family(name, tmp_path)
    assert tried.size == 32
    assert list(tried.shapes.values()) == shapes
    assert tried.has_gradient
