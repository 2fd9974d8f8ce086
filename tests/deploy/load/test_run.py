"""The command as an operator gives it, against servers whose faults are known."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parents[3] / "deploy" / "load" / "run.py"
SHORT = ("--clients", "4", "--capacity-seconds", "0.4", "--seconds", "0.5", "--client-ms", "1000")


def load(*words, **options):
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    command = [sys.executable, str(RUN), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=variables, **options)


@pytest.fixture
def told(monkeypatch, capsys):
    """The one sentence on stderr with which the command refuses these words."""
    specification = importlib.util.spec_from_file_location("load_run", RUN)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    # What holds for this whole process is left alone.
    monkeypatch.setattr(module, "allow_many_connections", lambda: None)

    def refused(*words):
        monkeypatch.setattr(sys, "argv", ["run.py", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            module.main()
        said, sentence = capsys.readouterr()
        assert (stop.value.code, said, sentence.count("\n")) == (2, "", 1)
        return sentence

    return refused


def test_a_service_that_keeps_up_passes_and_the_report_has_every_figure(fake_server, images, tmp_path):
    server = fake_server(lambda _: (200, 0.02))
    keys = tmp_path / "keys"
    keys.write_text("# comment\none:first-secret\ntwo:second-secret\n")
    out = tmp_path / "load.json"
    done = load(
        "--url", server.url, "--images", images, "--key-file", keys, "--rate", 40, *SHORT, "--out", out,
        "--liveness-ms", 5000, "--refused-ms", 5000, "--goodput", 0.2,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(out.read_text())
    assert report["verdict"] == "passed"
    assert [stage["factor"] for stage in report["stages"]] == [0.5, 1, 2]
    assert all(set(stage["codes"]) == {"200"} for stage in report["stages"])
    assert report["idle"]["lone_ms"] >= 20
    assert all(mark["met"] for mark in report["marks"])
    assert "passed" in done.stdout
    assert "secret" not in out.read_text() + done.stdout
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    heads = "".join(head for head, _ in server.verdicts)
    assert "Bearer first-secret" in heads
    assert "Bearer second-secret" in heads
    assert {body for _, body in server.verdicts} == {b"first", b"second"}


def test_a_service_that_breaks_its_promises_fails_with_the_marks_named(fake_server, images):
    server = fake_server(lambda n: (200, 0.0) if n < 30 else (504, 0.0))
    done = load("--url", server.url, "--images", images, "--rate", 40, "--factors", 1, *SHORT)
    assert done.returncode == 1
    missed = [line for line in done.stdout.splitlines() if line.startswith("MISSED")]
    assert any("goodput" in line for line in missed)
    assert any("not answered in time" in line for line in missed)


def test_a_client_that_is_too_slow_says_so_and_blames_nobody(fake_server, images, tmp_path):
    server = fake_server(lambda n: (504, 0.0) if n > 19 else (200, 0.0))
    out = tmp_path / "load.json"
    done = load(
        "--url", server.url, "--images", images, "--rate", 40, "--factors", 1, *SHORT, "--client-ms", 1e-6,
        "--out", out,
    )  # fmt: skip
    assert done.returncode == 2
    assert "this client was too slow" in done.stdout
    assert json.loads(out.read_text())["verdict"] == "inconclusive"


def test_several_images_go_in_one_request(fake_server, images):
    server = fake_server(lambda _: (200, 0.0))
    load("--url", server.url, "--images", images, "--rate", 40, "--factors", 1, *SHORT, "--images-per-request", 3)
    head, body = server.verdicts[0]
    assert "multipart/form-data" in head
    assert body.count(b'name="files"') == 3
    assert (body.count(b"first"), body.count(b"second")) == (2, 1)


def test_a_server_that_is_not_there_is_one_sentence(told, images):
    assert "nobody answers at 127.0.0.1:1" in told("--url", "http://127.0.0.1:1", "--images", images)


@pytest.mark.parametrize(
    ("status", "sentence"), [(401, "--key-file"), (404, "--bundle"), (421, "--allowed-host"), (400, "as planned")]
)
def test_a_service_that_refuses_a_lone_request_is_one_sentence(told, fake_server, images, status, sentence):
    server = fake_server(lambda _: (status, 0.0))
    assert sentence in told("--url", server.url, "--images", images)


def test_a_service_that_is_not_ready_is_one_sentence(told, fake_server, images):
    server = fake_server(lambda _: (200, 0.0), ready=503)
    assert "not ready" in told("--url", server.url, "--images", images)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--rate", "0"), "above 0"),
        (("--rate", "-3"), "above 0"),
        (("--rate", "nan"), "above 0"),
        (("--seconds", "soon"), "--seconds"),
        (("--factors", "0.5", "0"), "above 0"),
        (("--rat", "5"), "--rat"),
        (("--key-file", "absent"), "cannot be read"),
        (("--out", "absent/load.json"), "no such folder"),
        (("--certificates", "absent", "--url", "https://localhost"), "cannot be read"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(told, images, words, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert sentence in told("--url", "http://127.0.0.1:1", "--images", images, *words)


def test_a_folder_without_images_is_one_sentence(told, tmp_path):
    (tmp_path / "notes.txt").touch()
    assert "no image file" in told("--url", "http://127.0.0.1:1", "--images", tmp_path)
    assert "no such folder" in told("--url", "http://127.0.0.1:1", "--images", tmp_path / "absent")
