"""Classifier inputs and image files that the tests of the service share."""

import dataclasses
import fcntl
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from models.preprocessing import Preprocessing
from service.cli import app


@pytest.fixture
def colour() -> Preprocessing:
    return Preprocessing(height=8, width=8, channels=3)


@pytest.fixture
def gray() -> Preprocessing:
    return Preprocessing(height=8, width=8, channels=1)


@pytest.fixture
def encoded() -> Callable[..., bytes]:
    def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        return buffer.getvalue()

    return encode


@pytest.fixture
def noise() -> Image.Image:
    """A picture of 64 × 64 that does not compress, so that cutting its file cuts its pixels."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))


@dataclasses.dataclass(frozen=True)
class ExportedDigits:
    """What `isthmus export` made of the shipped digits bundle, and what it said; tests only read it."""

    folder: Path
    report: dict[str, Any]

    @property
    def file(self) -> Path:
        return self.folder / "detector.onnx"


@pytest.fixture(scope="session")
def exported_digits(tmp_path_factory: pytest.TempPathFactory) -> ExportedDigits:
    """Exported once in a run, by whichever process of the tests comes first."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "exported-digits"
    folder.mkdir(exist_ok=True)
    report = folder / "report.json"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not report.exists():
            arguments = [
                "--bundle",
                "digits",
                "--out",
                str(folder / "detector.onnx"),
                "--triton",
                str(folder / "triton"),
            ]
            done = CliRunner().invoke(app, ["export", *arguments, "--verify", "digits:held-out", "--json"])
            assert (done.exit_code, done.stderr) == (0, ""), done.output
            report.write_text(done.stdout)
    return ExportedDigits(folder, json.loads(report.read_text()))
