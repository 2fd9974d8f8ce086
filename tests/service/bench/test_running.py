import json

import pytest
from typer.testing import CliRunner

from service.bench import latency, measuring, running, scaling
from service.bench.contenders import Calibrated, Contender
from service.bench.document import Bench
from service.bench.forward_rate import forwards_of
from service.bench.machine import Machine
from service.bench.memory import peak_of
from service.bench.timing import Lasting
from service.cli import app
from service.errors import InputError
from service.options import RuntimeName

SMALL = ["bench", "--bundle", "digits", "--device", "cpu", "--rounds", "2", "--no-memory", "--batch", "16"]

runner = CliRunner()


@pytest.fixture
def hasty(monkeypatch):
    """Nothing is repeated, and few ways are tried: figures are poor, and there all the same."""
    monkeypatch.setattr(measuring, "lasting", lambda act, *_: Lasting(act=act, n_repeats=1))
    monkeypatch.setattr(measuring, "forwards_of", lambda *arguments: forwards_of(*arguments)[:2])
    monkeypatch.setattr(latency, "MOST_SECONDS", 0.0)


def test_one_command_prints_tables_and_writes_what_they_are_made_of(tmp_path, hasty):
    out = tmp_path / "new" / "bench.json"
    done = runner.invoke(app, [*SMALL, "--images", "digits:held-out", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "Speed, cpu torch" in done.stdout
    assert "Against the bare classifier" in done.stdout
    document = json.loads(out.read_text())
    [contender] = document["contenders"]
    assert (contender["name"], contender["images_per_step"]) == ("digits", 16)
    assert contender["forward_equivalents"]["counted"] == 7
    assert len(contender["seconds"]) == 2
    assert contender["roofline_share"] > 0
    assert [path.name for path in out.parent.iterdir()] == ["bench.json"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--rounds", "0"], "--rounds 1 or more"),
        (["--bundle", "absent"], "there is no bundle 'absent'"),
        (["--batch", "1000000000000"], "images fit"),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_report(tmp_path, options, words):
    out = tmp_path / "bench.json"
    done = runner.invoke(app, [*SMALL, *options, "--out", str(out)])
    assert (done.exit_code, done.stdout) == (2, "")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not out.exists()


def test_a_document_that_cannot_be_said_in_json_leaves_the_earlier_one(tmp_path, monkeypatch, result):
    out = tmp_path / "bench.json"
    out.write_text("earlier")
    machine = Machine(cpu="", cores=1, memory_bytes=None, load_average=0.0, gpus=(), system="")
    monkeypatch.setattr(
        running,
        "measured",
        lambda request: Bench(
            request=request,
            machine=machine,
            threads=1,
            others=None,
            seconds=1.0,
            results=[result(relative=float("nan"))],
        ),
    )
    assert isinstance(runner.invoke(app, [*SMALL, "--out", str(out)]).exception, ValueError)
    assert out.read_text() == "earlier"
    assert [path.name for path in tmp_path.iterdir()] == ["bench.json"]


@pytest.mark.slow
def test_peaks_are_those_of_a_process_that_does_nothing_else():
    contender = Contender(subject=Calibrated(bundle="digits"), device="cpu", runtime=RuntimeName.TORCH)
    small, large = (peak_of(contender, threads=1, source=None, batch=batch) for batch in (1, 4096))
    assert large.opened_bytes < large.peak_bytes
    # A step of 4,096 images holds tens of megabytes more than one of a single image.
    assert large.peak_bytes > small.peak_bytes + 20 * 2**20


@pytest.mark.slow
def test_a_process_that_fails_is_told_with_what_it_said():
    contender = Contender(subject=Calibrated(bundle="absent"), device="cpu", runtime=RuntimeName.TORCH)
    with pytest.raises(InputError, match=r"there is no bundle 'absent'.*--no-memory"):
        peak_of(contender, threads=1, source=None, batch=1)


@pytest.mark.slow
def test_scaling_is_measured_on_every_axis(tmp_path, hasty, monkeypatch):
    monkeypatch.setattr(scaling, "lasting", lambda act: Lasting(act=act, n_repeats=1))
    out = tmp_path / "bench.json"
    done = runner.invoke(app, [*SMALL, "--rounds", "1", "--scaling", "--out", str(out)])
    assert done.exit_code == 0, done.output
    exponents = {one["varied"]: one["exponent"] for one in json.loads(out.read_text())["scaling"]}
    assert exponents.keys() == {"images", "prototypes", "labels", "image size"}
    # A hundred times the labels must not cost ten times as much, nor sixteen times the images as little as twice.
    assert exponents["labels"] < 0.5
    assert exponents["images"] > 0.25
