import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_the_wheel_holds_our_packages_and_what_they_need_and_nothing_else(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"service", "detector", "models"}
    for needed in (
        "models/weights/digits.safetensors",
        "models/weights/cifar10-resnet20.json",
        "detector/bundles/digits/bundle.json",
        "detector/bundles/cifar10-resnet20/tensors.safetensors",
        "detector/evaluation/templates/page.html.j2",
        "service/rest/page/index.html",
    ):
        assert needed in names
    assert wheel.stat().st_size < 30 * 2**20
