"""The same bytes are the same pixels, whichever door they come through."""

import asyncio
import base64
import dataclasses
import io
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from fastapi import FastAPI
from PIL import Image
from sklearn.datasets import load_digits, load_sample_image
from torch import Tensor

from detector.types import no_progress, to_stored
from detector.verdict import Decision, Outcome, Verdict
from models.preprocessing import Interpolation, Preprocessing
from service.bundles import ClassifierChoice, OpenedDetector, open_detector
from service.detection import judge_files
from service.engine.work import Answer, Ask, Pending
from service.images import decode
from service.imagesets import load_image_set
from service.rest.app import create_app
from service.runtime import ServedBundle
from service.serving import server
from service.settings import ServeSettings

KINDS = {
    "grey": Preprocessing(height=8, width=8, channels=1),
    "colour": Preprocessing(height=24, width=20, channels=3, resize_shorter=28, interpolation=Interpolation.BICUBIC),
}
CLEAN = Verdict(
    **{"decision": Decision.CLEAN, "outcome": Outcome.DECIDED, "label": 3, "score": -2.0, "p_value": 0.5},
    **{"false_positive_rate": 0.05, "barrier": 0.25, "prototype": 0, "suspected_label": None, "profile": (0.5, 0.0)},
)


def encoded_images() -> dict[str, bytes]:
    """By file name, images that different readers could well read differently."""
    photograph = Image.fromarray(load_sample_image("china.jpg")[100:203, 50:201])
    digit = Image.fromarray((load_digits().images[0] * (255 / 16)).round().astype(np.uint8))
    sixteen = Image.fromarray(np.random.default_rng(0).integers(0, 65536, (31, 45), dtype=np.uint16))
    transparent = photograph.convert("RGBA")
    transparent.putalpha(Image.linear_gradient("L").resize(photograph.size))
    palette = photograph.quantize(16)
    turned = Image.Exif()
    turned[0x0112] = 6
    return {
        "alpha.png": encoded(transparent, "PNG"),
        "cmyk.jpg": encoded(photograph.convert("CMYK"), "JPEG"),
        "digit.png": encoded(digit, "PNG"),
        "palette.png": encoded(palette, "PNG", transparency=3),
        "photograph.jpg": encoded(photograph, "JPEG"),
        "photograph.png": encoded(photograph, "PNG"),
        "photograph.webp": encoded(photograph, "WEBP"),
        "sixteen.png": encoded(sixteen, "PNG"),
        "small.png": encoded(photograph.resize((5, 3)), "PNG"),
        "strip.png": encoded(photograph.resize((151, 9)), "PNG"),
        "turned.jpg": encoded(photograph, "JPEG", exif=turned),
    }


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


class Recorder:
    """Stands where images are judged, and keeps them: the detector's `inspect`, and the engine's `submit`."""

    def __init__(self) -> None:
        self.images: list[Tensor] = []

    def inspect(self, images: Tensor) -> list[Verdict]:
        self.images += to_stored(images)
        return [CLEAN] * len(images)

    def submit(self, ask: Ask) -> Pending[Answer]:
        assert ask.images.dtype == torch.uint8
        self.images += ask.images
        pending: Pending[Answer] = Pending(lambda _: None)
        verdicts = (CLEAN,) * len(ask.images)
        pending.future.set_result(Answer(verdicts=verdicts, queue_seconds=0.0, compute_seconds=0.0))
        return pending


@dataclasses.dataclass(frozen=True)
class Served:
    """A client of the whole application in this process, with a recorder for its engine."""

    client: httpx.AsyncClient
    recorder: Recorder
    folder: Path

    async def post(self, path: str, **options: Any) -> None:
        response = await self.client.post(path, **options)
        assert response.status_code in (200, 202), response.text

    async def recorded(self, n_images: int) -> list[Tensor]:
        """What was recorded since it was last asked, as soon as there are so many."""
        until = time.monotonic() + 30
        while len(self.recorder.images) < n_images:
            assert time.monotonic() < until
            await asyncio.sleep(0.01)
        images, self.recorder.images[:] = list(self.recorder.images), []
        return images


@pytest.fixture
def application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[FastAPI, Recorder]:
    opened = open_detector("digits", false_positive_rate=0.05, choice=ClassifierChoice(device="cpu"))
    bundles = {
        name: ServedBundle(
            name=name,
            digest="d" * 64,
            detector=opened.detector,
            preprocessing=preprocessing,
            labels=opened.labels,
        )
        for name, preprocessing in KINDS.items()
    }
    monkeypatch.setattr(server, "open_served", lambda _settings: bundles)
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    recorder = Recorder()
    runtime = server.make_runtime(ServeSettings(state=tmp_path / "state", audit_folders=(allowed,)))
    monkeypatch.setattr(runtime.engine, "submit", recorder.submit)
    monkeypatch.setattr(runtime.engine, "start", lambda: None)
    return create_app(runtime), recorder


def in_a_folder(images: dict[str, bytes], kind: str, folder: Path) -> list[Tensor]:
    for name, data in images.items():
        place = folder / "folder" / "0" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    (folder / "folder" / "1").mkdir()
    return list(load_image_set(str(folder / "folder"), KINDS[kind], labels="01").images)


def in_a_parquet_file(images: dict[str, bytes], kind: str, folder: Path) -> list[Tensor]:
    table = pa.table({"image": [{"bytes": data} for data in images.values()], "label": [0] * len(images)})
    pq.write_table(table, folder / "images.parquet")
    return list(load_image_set(str(folder / "images.parquet"), KINDS[kind], labels="01").images)


def on_the_command_line(images: dict[str, bytes], kind: str, folder: Path) -> list[Tensor]:
    recorder = Recorder()
    opened = OpenedDetector(detector=recorder, preprocessing=KINDS[kind], labels=tuple("0123456789"))
    for name, data in images.items():
        (folder / name).write_bytes(data)
    list(judge_files([folder / name for name in images], opened, progress=no_progress))
    return recorder.images


@pytest.mark.parametrize("door", [in_a_folder, in_a_parquet_file, on_the_command_line])
@pytest.mark.parametrize("kind", KINDS)
def test_files_give_the_pixels_that_calibration_sees(
    door: Callable[[dict[str, bytes], str, Path], list[Tensor]], kind: str, tmp_path: Path
) -> None:
    images = encoded_images()
    require_same(door(images, kind, tmp_path), images, kind)


async def uploaded(served: Served, images: dict[str, bytes], kind: str) -> None:
    files = [("files", item) for item in images.items()]
    await served.post("/v1/detect", params={"bundle": kind}, files=files)


async def sent_alone(served: Served, images: dict[str, bytes], kind: str) -> None:
    for data in images.values():
        headers = {"Content-Type": "application/octet-stream"}
        await served.post("/v1/detect", params={"bundle": kind}, content=data, headers=headers)


async def sent_by_the_protocol(served: Served, images: dict[str, bytes], kind: str) -> None:
    await served.post(f"/v2/models/{kind}/infer", json=inference(images))


async def sent_as_an_event(served: Served, images: dict[str, bytes], kind: str) -> None:
    headers = {"ce-id": "1", "ce-source": "/x", "ce-specversion": "1.0"}
    headers["ce-type"] = "org.kubeflow.serving.inference.request"
    await served.post("/v1/events", params={"bundle": kind}, json=inference(images), headers=headers)


async def packed_for_an_audit(served: Served, images: dict[str, bytes], kind: str) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in images.items():
            archive.writestr(name, data)
    headers = {"Content-Type": "application/zip"}
    await served.post("/v1/audits", params={"bundle": kind}, content=buffer.getvalue(), headers=headers)


async def left_for_an_audit(served: Served, images: dict[str, bytes], kind: str) -> None:
    for name, data in images.items():
        (served.folder / name).write_bytes(data)
    await served.post("/v1/audits", json={"folder": str(served.folder), "bundle": kind})


def inference(images: dict[str, bytes]) -> dict[str, Any]:
    data = [base64.b64encode(content).decode() for content in images.values()]
    return {"inputs": [{"name": "image", "shape": [len(data)], "datatype": "BYTES", "data": data}]}


DOORS = (uploaded, sent_alone, sent_by_the_protocol, sent_as_an_event, packed_for_an_audit, left_for_an_audit)


@pytest.mark.parametrize("kind", KINDS)
def test_requests_give_the_pixels_that_calibration_sees(
    kind: str, application: tuple[FastAPI, Recorder], tmp_path: Path
) -> None:
    app, recorder = application
    images = encoded_images()

    async def knock() -> None:
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
        ):
            served = Served(client, recorder, tmp_path / "allowed")
            for door in DOORS:
                await door(served, images, kind)
                require_same(await served.recorded(len(images)), images, kind, door.__name__)

    asyncio.run(knock())


def require_same(found: list[Tensor], images: dict[str, bytes], kind: str, door: str = "") -> None:
    assert len(found) == len(images)
    for pixels, (name, data) in zip(found, images.items(), strict=True):
        assert torch.equal(pixels, decode(data, KINDS[kind])), f"{name} {door}"


@pytest.mark.parametrize("kind", KINDS)
def test_no_two_of_these_images_have_the_same_pixels(kind: str) -> None:
    pixels = torch.stack([decode(data, KINDS[kind]) for data in encoded_images().values()])
    assert len(pixels.unique(dim=0)) == len(pixels)
