import base64
import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from models.preprocessing import Preprocessing
from service.imagesets import load_image_set
from service.rest.feedback.export import folder_name


@pytest.fixture
def judged(client, digit):
    """Judges digits; gives the request id."""

    def judge(*indices: int) -> str:
        files = [("files", (f"{index}.png", digit(index))) for index in indices]
        return client.post("/v1/detect", files=files).json()["request_id"]

    return judge


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_an_export_is_an_image_set_that_calibration_reads(client, digit, judged, tmp_path) -> None:
    request_id = judged(10, 11, 12, 13)
    reports = [
        {"index": 0, "correct_decision": "clean", "correct_label": 0, "image": text(digit(10))},
        {"index": 1, "correct_decision": "clean", "correct_label": "1", "image": text(digit(11))},
        {"index": 2, "correct_decision": "adversarial", "correct_label": 7, "image": text(digit(12))},
        {"index": 3, "correct_decision": "clean", "note": "no image\n\u2028"},
    ]
    for report in reports:
        response = client.post("/v1/feedback", json={"request_id": request_id} | report)
        assert response.status_code == 201, response.text
    exported = client.get("/v1/feedback/export")
    assert exported.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(exported.content)) as archive:
        archive.extractall(tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "feedback.jsonl").read_text().split("\n") if line]
    mine = [line for line in lines if line["request_id"] == request_id]
    assert [(line["index"], line["correct_decision"], line["has_image"]) for line in mine] == [
        (0, "clean", True),
        (1, "clean", True),
        (2, "adversarial", True),
        (3, "clean", False),
    ]
    assert mine[2]["path"] == f"adversarial/7/{mine[2]['id']}.png"
    images = load_image_set(
        str(tmp_path / "clean"), Preprocessing(height=8, width=8, channels=1), labels=tuple("0123456789")
    )
    expected = (load_digits().images[[10, 11]] * (255 / 16)).round().astype(np.uint8)
    assert images.labels.tolist() == [0, 1]
    assert np.array_equal(images.images[:, 0].numpy(), expected)


def test_what_is_said_again_takes_the_place_of_what_was_said(client, judged) -> None:
    request_id = judged(1)
    for label in (3, 4):
        body = {"request_id": request_id, "index": 0, "correct_decision": "clean", "correct_label": label}
        assert client.post("/v1/feedback", json=body).status_code == 201
    lines = [json.loads(line) for line in client.get("/v1/feedback").text.split("\n") if line]
    [kept] = [line for line in lines if line["request_id"] == request_id]
    assert (kept["correct_label"], kept["correct_label_name"]) == (4, "4")
    assert kept["verdict"]["label_name"] is not None


def test_a_string_is_a_name_and_a_number_an_index(client, judged, monkeypatch) -> None:
    bundle = client.app.state.runtime.bundle(None)
    monkeypatch.setitem(vars(bundle), "labels", ("9", "8", "7", "6", "5", "4", "3", "2", "1", "0"))
    for given, index, name in (("3", 6, "3"), (3, 3, "6")):
        body = {"request_id": judged(1), "index": 0, "correct_decision": "clean", "correct_label": given}
        kept = client.post("/v1/feedback", json=body).json()
        assert (kept["correct_label"], kept["correct_label_name"]) == (index, name)


def test_an_image_among_ones_that_cannot_be_decoded_is_found_by_its_place(client, digit) -> None:
    files = [("files", ("bad", b"no image")), ("files", ("good.png", digit(5)))]
    request_id = client.post("/v1/detect", files=files).json()["request_id"]
    body = {"request_id": request_id, "correct_decision": "clean", "image": text(digit(5))}
    assert client.post("/v1/feedback", json=body | {"index": 0}).status_code == 404
    assert client.post("/v1/feedback", json=body | {"index": 1}).status_code == 201


def test_an_image_in_another_encoding_is_the_same_where_its_pixels_are(client, digit, judged) -> None:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(digit(2))).save(buffer, "BMP")
    body = {"request_id": judged(2), "index": 0, "correct_decision": "clean", "image": text(buffer.getvalue())}
    assert client.post("/v1/feedback", json=body).status_code == 201


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"request_id": "unknown"}, 404),
        ({"index": 1}, 404),
        ({"index": -1}, 400),
        ({"index": 2**40}, 400),
        ({"index": True}, 400),
        ({"index": "0"}, 400),
        ({"correct_decision": "undecided"}, 400),
        ({"correct_label": 10}, 400),
        ({"correct_label": -1}, 400),
        ({"correct_label": "cat"}, 400),
        ({"correct_label": 1.5}, 400),
        ({"note": "x" * 2001}, 400),
        ({"note": "\ud800"}, 400),
        ({"image": "no base64!"}, 400),
        ({"image": text(b"no image")}, 400),
        ({"more": 1}, 400),
    ],
)
def test_what_makes_no_sense_is_refused(client, judged, change, status) -> None:
    body = {"request_id": judged(3), "index": 0, "correct_decision": "clean"} | change
    response = client.post("/v1/feedback", content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert (response.status_code, set(response.json())) == (status, {"error"})


def test_another_image_than_the_one_judged_is_refused(client, digit, judged) -> None:
    body = {"request_id": judged(3), "index": 0, "correct_decision": "clean", "image": text(digit(4))}
    response = client.post("/v1/feedback", json=body)
    assert response.status_code == 400
    assert "not the image" in response.json()["error"]


def test_other_keys_verdicts_and_feedback_are_invisible(keyed, digit) -> None:
    request_id = keyed("alice", "POST", "/v1/detect", files={"files": digit(0)}).json()["request_id"]
    body = {"request_id": request_id, "index": 0, "correct_decision": "adversarial", "image": text(digit(0))}
    assert keyed("bob", "POST", "/v1/feedback", json=body).status_code == 404
    assert keyed("alice", "POST", "/v1/feedback", json=body).status_code == 201
    assert keyed("bob", "GET", "/v1/feedback").text == ""
    for name, names in (("alice", ["adversarial", "feedback.jsonl"]), ("bob", ["feedback.jsonl"])):
        content = keyed(name, "GET", "/v1/feedback/export").content
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            assert sorted(member.partition("/")[0] for member in archive.namelist()) == names
    assert "adversarial/unlabelled/" in str(keyed("alice", "GET", "/v1/feedback/export").content)


def test_an_export_of_an_unknown_bundle_is_not_found(client) -> None:
    assert client.get("/v1/feedback/export?bundle=nobody").status_code == 404


def test_labels_that_are_no_names_of_folders_are_numbered() -> None:
    labels = ("cat", "a/b", ".hidden", "..", "", " x", "tench, Tinca")
    assert [folder_name(index, labels) for index in range(7)] == [
        *("cat", "label-1", "label-2", "label-3", "label-4", "label-5", "tench, Tinca")
    ]
