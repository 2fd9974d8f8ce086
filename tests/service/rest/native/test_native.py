import base64
import json

import pytest
from asking.forms import error_of, files

from service.observability import context
from service.records import FIELDS
from service.rest.schemas import EXAMPLE_IMAGE, BundleList, DetectResponse


def json_body(*contents, **options):
    return {"images": [{"data": base64.b64encode(content).decode()} for content in contents], **options}


@pytest.mark.usefixtures("released_once")
class TestDetect:
    def test_a_form_a_raw_body_and_json_are_answered_alike(self, client, png):
        answers = [
            client.post("/v1/detect", files=files(png)),
            client.post("/v1/detect", content=png, headers={"content-type": "image/png"}),
            client.post("/v1/detect", content=png, headers={"content-type": "application/octet-stream"}),
            client.post("/v1/detect", json=json_body(png)),
        ]
        results = [answer.json()["results"][0] for answer in answers]
        assert [result.pop("path") for result in results] == ["0.png", "image", "image", "image-0"]
        assert all(result == results[0] for result in results)

    def test_the_answer_says_everything_and_fits_its_schema(self, client, png):
        answer = client.post("/v1/detect", files=files(png)).json()
        parsed = DetectResponse.model_validate(answer, strict=True)
        assert (parsed.bundle, parsed.bundle_digest) == ("digits", "d" * 64)
        assert parsed.request_id
        assert list(answer["results"][0]) == [*FIELDS, "pictures"]
        assert answer["results"][0]["profile"] == [0.5, 0.75, 0.0]
        assert (answer["timing_ms"]["queue"], answer["timing_ms"]["compute"]) == (250, 500)
        assert 0 < answer["timing_ms"]["decode"] < answer["timing_ms"]["total"]

    def test_the_request_keeps_the_name_that_it_came_with(self, client, png):
        token = context.request_id.set("mine")
        try:
            assert client.post("/v1/detect", files=files(png)).json()["request_id"] == "mine"
        finally:
            context.request_id.reset(token)

    @pytest.mark.parametrize("place", ["address", "form", "json"])
    def test_options_may_stand_in_the_address_the_form_or_the_json(self, client, runtime, png, place):
        options = {"bundle": "second", "false_positive_rate": 0.2, "priority": "high", "profile": False}
        if place == "address":
            answer = client.post("/v1/detect", files=files(png), params=options)
        elif place == "form":
            answer = client.post("/v1/detect", files=files(png), data={k: str(v) for k, v in options.items()})
        else:
            answer = client.post("/v1/detect", json=json_body(png, **options))
        assert answer.status_code == 200, answer.text
        [ask] = runtime.engine.asks
        assert (ask.bundle, ask.false_positive_rate, ask.priority.name) == ("second", 0.2, "HIGH")
        assert answer.json()["results"][0]["profile"] is None

    @pytest.mark.parametrize(
        "options",
        [
            {"false_positive_rate": "0"},
            {"false_positive_rate": "nan"},
            {"false_positive_rate": "1e-9"},
            {"priority": "highest"},
            {"timeout_ms": "0"},
            {"timeout_ms": "1e999"},
            {"pictures": "perhaps"},
            {"unknown": "1"},
        ],
    )
    @pytest.mark.parametrize("place", ["params", "data"])
    def test_an_option_that_makes_no_sense_is_named(self, client, png, options, place):
        response = client.post("/v1/detect", files=files(png), **{place: options})
        assert response.status_code == 400
        assert error_of(response)

    def test_an_option_given_twice_is_refused(self, client, png):
        response = client.post("/v1/detect?bundle=digits", files=files(png), data={"bundle": "second"})
        assert response.status_code == 400
        assert "'bundle'" in error_of(response)

    def test_an_option_twice_in_the_address_is_refused(self, client, png):
        response = client.post("/v1/detect?profile=true&profile=false", files=files(png))
        assert response.status_code == 400
        assert "'profile' comes twice" in error_of(response)

    def test_an_unknown_bundle_is_not_found(self, client, png):
        assert client.post("/v1/detect?bundle=x", files=files(png)).status_code == 404

    @pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "application/zip"])
    def test_a_body_of_another_kind_is_refused_unread(self, client, png, kind):
        headers = {} if kind is None else {"content-type": kind}
        response = client.post("/v1/detect", content=png, headers=headers)
        assert response.status_code == 415
        assert "multipart/form-data" in error_of(response)

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"[]",
            b'{"images": []}',
            b'{"images": [{}]}',
            b'{"images": [{"data": "?"}]}',
            b'{"images": [{"data": "\xc3\xa9"}]}',
            b'{"images": [{"data": "AAAA", "url": "http://localhost"}]}',
            b'{"images": [{"data": 5}]}',
            b'{"images": [{"data": "AAAA", "name": "\\ud800"}]}',
            b'{"images": [{"data": ""}]}',
            b'{"images": [{"data": "AAAA"}], "images": []}',
            b"[" * 1000,
            b'{"images": [' + b"1," * 200_000 + b"1]}",
            json.dumps({"images": [{"data": EXAMPLE_IMAGE, "name": "n" * 2000}]}).encode(),
        ],
    )
    def test_json_that_is_not_what_was_expected_is_refused(self, client, body):
        response = client.post("/v1/detect", content=body, headers={"content-type": "application/json"})
        assert response.status_code in {400, 413}
        assert error_of(response)

    def test_one_file_that_is_no_image_has_an_error_of_its_own(self, client, png):
        answer = client.post("/v1/detect", files=files(b"text", png)).json()
        DetectResponse.model_validate(answer, strict=True)
        assert [result["decision"] for result in answer["results"]] == ["undecided", "clean"]
        assert answer["results"][0]["label"] is None

    def test_where_no_file_is_an_image_the_request_fails_with_the_first_error(self, client):
        assert "empty" in error_of(client.post("/v1/detect", files=files(b"")))
        response = client.post("/v1/detect", files=files(b"", b"text"))
        assert response.status_code == 400
        assert "none of the files can be decoded; the first: the file is empty" in error_of(response)

    def test_a_form_without_files_or_with_files_elsewhere_is_refused(self, client, png):
        body = b'--B\r\nContent-Disposition: form-data; name="files"\r\n\r\ntext\r\n--B--\r\n'
        headers = {"content-type": "multipart/form-data; boundary=B"}
        assert "no file" in error_of(client.post("/v1/detect", content=body, headers=headers))
        assert "'image'" in error_of(client.post("/v1/detect", files={"image": png}))

    def test_duplicate_and_odd_names_come_back_as_they_were(self, client, png):
        names = ["a.png", "a.png", "../../etc/passwd", "<script>.png", "é\N{SNOWMAN}.png"]
        response = client.post("/v1/detect", files=[("files", (name, png)) for name in names])
        assert [result["path"] for result in response.json()["results"]] == names

    def test_pictures_of_few_images_are_drawn_and_of_many_refused(self, client, runtime, png):
        answer = client.post("/v1/detect?pictures=true", files=files(png, b"text")).json()
        DetectResponse.model_validate(answer, strict=True)
        assert len(answer["results"][0]["pictures"]["strip"]) == 13
        assert answer["results"][1]["pictures"] is None
        assert runtime.engine.n_calls == 1
        assert client.post("/v1/detect?pictures=true", files=files(*(png,) * 17)).status_code == 413

    def test_more_files_than_are_taken_are_too_large(self, client, png):
        assert client.post("/v1/detect", files=files(*(png,) * 64)).status_code == 200
        assert client.post("/v1/detect", files=files(*(png,) * 65)).status_code == 413
        assert client.post("/v1/detect", json=json_body(*(png,) * 65)).status_code == 413

    def test_a_large_body_is_taken_apart_in_another_thread(self, client, png):
        noisy = png + bytes(300_000)
        assert client.post("/v1/detect", json=json_body(noisy)).status_code == 200
        assert client.post("/v1/detect", files=files(noisy)).status_code == 200
        assert client.post("/v1/detect", json=json_body(noisy, unknown=1)).status_code == 400


def test_bundles_are_listed_with_the_default_first(client):
    listed = client.get("/v1/bundles").json()
    parsed = BundleList.model_validate(listed).bundles
    assert [(bundle.name, bundle.is_default) for bundle in parsed] == [("digits", True), ("second", False)]
    first = parsed[0]
    assert first.smallest_false_positive_rate == pytest.approx(1 / (first.n_calibration + 1))
    assert first.profile_positions[0] == 0
    assert first.profile_positions[-1] == 1
    assert client.get("/v1/bundles/second").json() == listed["bundles"][1]
    assert client.get("/v1/bundles/third").status_code == 404


def test_a_method_that_is_not_there_is_told_which_are(client):
    response = client.get("/v1/detect")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert error_of(response)
