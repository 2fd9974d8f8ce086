import io
import json
import socket
import tarfile
import threading
import zipfile

import pytest


def zipped(digit, n_images: int = 3) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for index in range(n_images):
            archive.writestr(f"photos/{index}.png", digit(index))
    return buffer.getvalue()


def test_a_folder_is_audited_and_its_results_are_those_of_a_detection(client, digits, ended, results, digit) -> None:
    begun = client.post("/v1/audits", json={"folder": str(digits), "false_positive_rate": 0.1})
    assert begun.status_code == 202
    audit_id = begun.json()["id"]
    assert begun.headers["location"] == f"/v1/audits/{audit_id}"
    audit = ended(audit_id)
    assert (audit["state"], audit["kind"], audit["error"]) == ("done", "folder", None)
    assert audit["counts"]["files"] == audit["counts"]["judged"] == 12
    records = results(audit_id)
    assert [record["path"] for record in records] == [f"{index:02}.png" for index in range(12)]
    files = [("files", (f"{index:02}.png", digit(index))) for index in range(12)]
    detected = client.post("/v1/detect", files=files, params={"false_positive_rate": 0.1}).json()["results"]
    for record, expected in zip(records, detected, strict=True):
        expected.pop("pictures")
        # Of the numbers, the last digits may differ with the images of the same step.
        assert {k: v for k, v in record.items() if k not in ("score", "barrier", "profile")} == {
            k: v for k, v in expected.items() if k not in ("score", "barrier", "profile")
        }


def test_results_come_in_pages(client, digits, ended, results) -> None:
    audit_id = client.post("/v1/audits", json={"folder": str(digits)}).json()["id"]
    ended(audit_id)
    assert [record["path"] for record in results(audit_id, offset=10, limit=5)] == ["10.png", "11.png"]
    assert results(audit_id, offset=12) == []
    for query in ({"limit": 0}, {"offset": -1}, {"limit": 10_001}, {"offset": 2**70}):
        assert client.get(f"/v1/audits/{audit_id}/results", params=query).status_code == 400


@pytest.mark.parametrize("form", [False, True])
@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_an_archive_is_audited_from_a_body_or_a_form(client, ended, results, digit, kind, form) -> None:
    data = zipped(digit)
    if kind != "zip":
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz" if kind == "tar.gz" else "w") as archive:
            for index in range(3):
                info = tarfile.TarInfo(f"photos/{index}.png")
                info.size = len(digit(index))
                archive.addfile(info, io.BytesIO(digit(index)))
        data = buffer.getvalue()
    if form:
        fields = {"false_positive_rate": "0.1"}
        begun = client.post("/v1/audits", files={"archive": (f"a.{kind}", data)}, data=fields)
    else:
        headers = {"Content-Type": "application/octet-stream"}
        begun = client.post("/v1/audits?false_positive_rate=0.1", content=data, headers=headers)
    assert begun.status_code == 202, begun.text
    audit = ended(begun.json()["id"])
    assert (audit["kind"], audit["false_positive_rate"]) == ("archive", 0.1)
    assert audit["source"] == (f"a.{kind}" if form else "archive")
    assert [record["path"] for record in results(audit["id"])] == [f"photos/{index}.png" for index in range(3)]


def test_a_bad_archive_fails_with_its_reason(client, ended, digit) -> None:
    data = zipped(digit)[:-10]
    begun = client.post("/v1/audits", content=data, headers={"Content-Type": "application/zip"})
    audit = ended(begun.json()["id"])
    assert (audit["state"], audit["can_resume"]) == ("failed", False)
    assert "damaged or cut off" in audit["error"]
    assert client.post(f"/v1/audits/{audit['id']}/resume").status_code == 400


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"content": b"no archive", "headers": {"Content-Type": "application/zip"}}, 415),
        ({"content": b"", "headers": {"Content-Type": "application/zip"}}, 400),
        ({"content": b"PK\x03\x04" + bytes(300_000), "headers": {"Content-Type": "application/zip"}}, 413),
        ({"content": b"x", "headers": {"Content-Type": "text/plain"}}, 415),
        ({"content": b"x"}, 415),
        ({"files": {"other": ("a.zip", b"x")}}, 400),
        ({"files": [("archive", ("a.zip", b"x")), ("archive", ("b.zip", b"y"))]}, 400),
        ({"data": {"archive": "text"}, "files": {"archive": ("a.zip", b"PK\x03\x04")}}, 400),
        ({"files": {"archive": ("a.zip", b"PK\x03\x04")}, "data": {"what": "1"}}, 400),
        ({"files": {"archive": ("a.zip", b"PK\x03\x04")}, "data": {"bundle": "b" * 5000}}, 413),
        ({"content": b"--x\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 400),
        ({"content": b"--y--\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 400),
        ({"content": b"--x--\r\n", "headers": {"Content-Type": "multipart/form-data"}}, 400),
        ({"json": {"folder": "/etc"}}, 400),
        ({"json": {}}, 400),
        ({"json": []}, 400),
        ({"json": {"folder": 5}}, 400),
        ({"json": {"folder": "/x" * 5000}}, 400),
        ({"json": {"folder": "/x", "more": 1}}, 400),
        ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 400),
    ],
)
def test_what_makes_no_sense_is_refused(client, options, status) -> None:
    response = client.post("/v1/audits", **options)
    assert (response.status_code, set(response.json())) == (status, {"error"})


def test_options_that_make_no_sense_are_refused(client, digits) -> None:
    for body, status in (
        ({"bundle": "nobody"}, 404),
        ({"bundle": "\ud800"}, 400),
        ({"false_positive_rate": 2}, 400),
        ({"false_positive_rate": 1e-6}, 400),
    ):
        content = json.dumps({"folder": str(digits)} | body)
        response = client.post("/v1/audits", content=content, headers={"Content-Type": "application/json"})
        assert (response.status_code, "error" in response.json()) == (status, True)
    response = client.post("/v1/audits?bundle=digits", json={"folder": str(digits), "bundle": "digits"})
    assert response.status_code == 400
    response = client.post("/v1/audits?bundle=digits&bundle=digits", json={"folder": str(digits)})
    assert response.status_code == 400


def test_nothing_is_left_of_an_archive_that_was_refused(client, folder, wait_until) -> None:
    client.post("/v1/audits", content=b"no archive", headers={"Content-Type": "application/zip"})
    client.post("/v1/audits", files={"other": ("a.zip", b"x")})
    wait_until(lambda: list((folder / "state" / "uploads").iterdir()) == [])


def test_a_deleted_audit_is_gone(client, digits, ended) -> None:
    audit_id = client.post("/v1/audits", json={"folder": str(digits)}).json()["id"]
    ended(audit_id)
    assert client.delete(f"/v1/audits/{audit_id}").status_code == 204
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/results"), ("POST", "/resume")):
        assert client.request(method, f"/v1/audits/{audit_id}{path}").status_code == 404


@pytest.mark.parametrize("audit_id", ["x", "%00", "0" * 32, "..%2f", "%ff", "a" * 500])
def test_an_audit_that_never_was_is_not_found(client, audit_id) -> None:
    assert client.get(f"/v1/audits/{audit_id}").status_code == 404


def test_audits_are_listed_newest_first(client, digits) -> None:
    ids = [client.post("/v1/audits", json={"folder": str(digits)}).json()["id"] for _ in range(3)]
    listed = [audit["id"] for audit in client.get("/v1/audits", params={"limit": 2}).json()["audits"]]
    assert listed == ids[:0:-1]
    assert [audit["id"] for audit in client.get("/v1/audits?offset=2&limit=1").json()["audits"]] == ids[:1]
    assert client.get("/v1/audits?limit=0").status_code == 400


def test_other_keys_audits_are_invisible(keyed) -> None:
    audit_id = keyed("alice", "POST", "/v1/audits", json={"folder": keyed.folder}).json()["id"]
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/results"), ("POST", "/resume")):
        assert keyed("bob", method, f"/v1/audits/{audit_id}{path}").status_code == 404
    assert keyed("bob", "GET", "/v1/audits").json() == {"audits": []}
    assert keyed("alice", "GET", f"/v1/audits/{audit_id}").status_code == 200
    assert [audit["id"] for audit in keyed("alice", "GET", "/v1/audits").json()["audits"]] == [audit_id]


def test_an_upload_that_is_broken_off_leaves_nothing(client, folder, wait_until) -> None:
    with socket.create_connection((client.base_url.host, client.base_url.port)) as connection:
        head = ("POST /v1/audits HTTP/1.1", "Host: localhost", "Content-Type: application/zip", "Content-Length: 9999")
        connection.sendall("\r\n".join((*head, "", "PK\x03\x04")).encode())
        wait_until(lambda: list((folder / "state" / "uploads").iterdir()) != [])
    wait_until(lambda: list((folder / "state" / "uploads").iterdir()) == [])


def test_a_disk_that_is_full_is_503_and_no_audit(client, digit, monkeypatch) -> None:
    async def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("service.rest.audits.uploads._copy", full)
    before = len(client.get("/v1/audits").json()["audits"])
    response = client.post("/v1/audits", content=zipped(digit), headers={"Content-Type": "application/zip"})
    assert (response.status_code, "No space left" in response.json()["error"]) == (503, True)
    assert len(client.get("/v1/audits").json()["audits"]) == before


def test_a_slow_disk_does_not_keep_the_server_from_answering(client, digits) -> None:
    database = client.app.state.runtime.audits._database
    answers = []
    begin = threading.Thread(
        target=lambda: answers.append(client.post("/v1/audits", json={"folder": str(digits)}).status_code)
    )
    with database.writing():
        begin.start()
        for path in ("/v2/health/live", "/v1/audits", "/v1/bundles"):
            assert client.get(path).status_code == 200
        assert answers == []
    begin.join()
    assert answers == [202]
