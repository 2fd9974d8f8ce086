"""Whole audits through the command line, on pictures of digits and with the shipped bundle of them."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from typer.testing import CliRunner

from service.cli import app
from service.offline.folder.audit_folder import AuditFolder
from service.offline.judging.worker import ShardWorker

N_IMAGES = 60
"""In shards of 16, 32 and 14, two of the images being none."""

DIFFERING = ("run.json", "audit.lock", "timings")


def write_digits(folder: Path, n_images: int) -> None:
    digits = load_digits()
    for index in range(n_images):
        scan = index % len(digits.images)
        place = folder / str(digits.target[scan])
        place.mkdir(parents=True, exist_ok=True)
        pixels = (digits.images[scan] * (255 / 16)).round().astype(np.uint8)
        Image.fromarray(pixels).save(place / f"{index:04}.png")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    write_digits(folder, N_IMAGES)
    # Inverted, these are no digits that the classifier has met.
    for index in range(4):
        pixels = np.asarray(Image.open(next(folder.glob(f"*/{index:04}.png"))))
        Image.fromarray(255 - pixels).save(folder / "0" / f"inverted-{index}.png")
    (folder / "3" / "broken.png").write_text("no image")
    (folder / "3" / "empty.jpg").touch()
    (folder / "notes.txt").write_text("no image, and not called one")
    return folder


def audit(images: Path, out: Path, *options: str):
    arguments = ["--bundle", "digits", "--images", str(images), "--out", str(out), "--device", "cpu"]
    return CliRunner().invoke(app, ["audit", *arguments, "--shard-size", "32", *options])


def tree(out: Path) -> dict[str, bytes]:
    """Everything that is the same in every run."""
    files = (path for path in sorted(out.rglob("*")) if path.is_file())
    names = ((path, path.relative_to(out)) for path in files)
    return {str(name): path.read_bytes() for path, name in names if name.parts[0] not in DIFFERING}


@pytest.fixture(scope="module")
def calm(pictures, tmp_path_factory):
    """An audit that nothing happened to, and what it said as JSON lines."""
    out = tmp_path_factory.mktemp("calm") / "audit"
    done = audit(pictures, out, "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    return out, [json.loads(line) for line in done.stdout.splitlines()]


def results(out: Path) -> list[dict[str, object]]:
    return [row for path in sorted((out / "results").iterdir()) for row in pq.read_table(path).to_pylist()]


def test_every_image_has_one_row_in_the_order_of_the_source(calm, pictures) -> None:
    out, _ = calm
    rows = results(out)
    names = sorted(path.relative_to(pictures) for path in pictures.rglob("*") if path.suffix in (".png", ".jpg"))
    assert [row["path"] for row in rows] == [str(name) for name in names]
    assert len(list((out / "results").iterdir())) == 3
    assert sum(row["label_name"] == row["path"].split("/")[0] for row in rows) > 0.9 * N_IMAGES
    unreadable = {row["path"]: row["error"] for row in rows if row["outcome"] is None}
    assert set(unreadable) == {"3/broken.png", "3/empty.jpg"}
    assert unreadable["3/empty.jpg"].startswith("the file is empty")


def test_the_summary_counts_what_the_rows_say(calm) -> None:
    out, _ = calm
    counts, decisions = (
        json.loads((out / "summary.json").read_text())["counts"],
        [row["decision"] for row in results(out)],
    )
    assert (counts["n_images"], counts["n_unreadable"]) == (N_IMAGES + 6, 2)
    assert counts["n_adversarial"] == decisions.count("adversarial")
    assert json.loads((out / "listing.json").read_text())["skipped"] == {".txt": 1}
    assert "<html" in (out / "report.html").read_text()
    [run] = json.loads((out / "run.json").read_text())["runs"]
    assert run["images_judged"] == N_IMAGES + 6


def test_a_program_is_told_of_each_shard_and_at_the_end_of_everything(calm) -> None:
    out, events = calm
    assert sorted(event["shard"] for event in events if event["event"] == "shard") == [0, 1, 2]
    last_progress = [event for event in events if event["event"] == "progress"][-1]
    assert (last_progress["images_done"], last_progress["images_listed"]) == (N_IMAGES + 6,) * 2
    assert last_progress["is_listed"]
    done = events[-1]
    assert (done["event"], done["out"]) == ("done", str(out))
    assert done["counts"] == json.loads((out / "summary.json").read_text())["counts"]


def test_the_same_command_again_judges_nothing_and_changes_nothing(calm, pictures, tmp_path, monkeypatch) -> None:
    out = tmp_path / "audit"
    shutil.copytree(calm[0], out)
    monkeypatch.setattr(ShardWorker, "judge", None)
    again = audit(pictures, out, "--fail-on", "flagged")
    assert again.exit_code == 3
    assert "going on with the audit" in again.stderr
    assert tree(out) == tree(calm[0])


def test_an_audit_that_is_whole_is_verified_and_a_damaged_one_is_not(calm, tmp_path) -> None:
    assert CliRunner().invoke(app, ["audit", "--verify", str(calm[0])]).exit_code == 0
    out = tmp_path / "audit"
    shutil.copytree(calm[0], out)
    file = out / "results" / "00000001.parquet"
    file.write_bytes(file.read_bytes()[:-100])
    damaged = CliRunner().invoke(app, ["audit", "--verify", str(out)])
    assert damaged.exit_code == 2
    assert "results/00000001.parquet" in damaged.stdout


def stopping(monkeypatch, error: BaseException) -> None:
    """The second shard that is written fails."""
    write, written = AuditFolder.write, []

    def failing(folder, shard):
        written.append(shard.number)
        if len(written) == 2:
            raise error
        write(folder, shard)

    monkeypatch.setattr(AuditFolder, "write", failing)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (OSError(errno.ENOSPC, "No space left on device", "results/00000001.parquet"), 2, "No space left on device"),
    ],
)
def test_what_ends_a_run_is_one_line_and_the_next_run_ends_as_if_nothing_had_happened(
    calm, pictures, tmp_path, error, code, said
) -> None:
    out = tmp_path / "audit"
    with pytest.MonkeyPatch.context() as monkeypatch:
        stopping(monkeypatch, error)
        stopped = audit(pictures, out)
    assert stopped.exit_code == code
    line = stopped.stderr.splitlines()[-1]
    assert said in line
    assert line.endswith(f"what is judged is kept in {out}: the same command goes on from there")
    assert len(list((out / "done").iterdir())) == 1
    assert not (out / "summary.json").exists()

    assert audit(pictures, out).exit_code == 0
    assert tree(out) == tree(calm[0])
    first, second = json.loads((out / "run.json").read_text())["runs"]
    assert first["ended"] is None
    assert 0 < second["images_judged"] < N_IMAGES + 6


def test_another_rate_is_another_audit(calm, pictures) -> None:
    refused = audit(pictures, calm[0], "--false-positive-rate", "0.01")
    assert refused.exit_code == 2
    assert "false positive rate: was 0.05, is 0.01" in refused.stderr


def test_what_an_audit_writes_is_not_audited(pictures) -> None:
    refused = audit(pictures, pictures / "audit")
    assert (refused.exit_code, (pictures / "audit").exists()) == (2, False)
    assert "the audit would find its own files" in refused.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--images", "pictures"],
        ["--out", "audit"],
        ["--verify", "audit", "--images", "pictures"],
        ["--images", "nowhere", "--out", "audit", "--bundle", "digits"],
        ["--images", ".", "--out", "audit", "--false-discovery-rate", "1"],
    ],
)
def test_a_command_that_makes_no_sense_leaves_nothing_behind(arguments, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused = CliRunner().invoke(app, ["audit", *arguments])
    assert refused.exit_code == 2
    assert refused.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_process_that_is_asked_to_end_ends_soon_and_goes_on_later(number, tmp_path) -> None:
    pictures, out = tmp_path / "pictures", tmp_path / "audit"
    write_digits(pictures, 4000)
    command = [str(Path(sys.executable).with_name("isthmus")), "audit", "--bundle", "digits", "--device", "cpu"]
    command += ["--images", str(pictures), "--shard-size", "64", "--json"]
    # Jobs in the background of a shell, such as a test run may be, ignore Ctrl-C, and so do their children.
    asked = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    heed = lambda: signal.signal(number, signal.SIG_DFL)  # noqa: E731
    with subprocess.Popen([*command, "--out", str(out)], preexec_fn=heed, **asked) as process:  # noqa: PLW1509
        assert process.stdout is not None
        assert any(b'"shard"' in line for line in process.stdout)
        process.send_signal(number)
        _, said = process.communicate(timeout=180)
    assert process.returncode == 130
    assert said.startswith(b"interrupted; what is judged is kept in")
    n_done = len(list((out / "done").iterdir()))
    assert 0 < n_done < 64
    for folder in (out, tmp_path / "calm"):
        subprocess.run([*command, "--out", str(folder)], check=True, capture_output=True, env=os.environ)
    assert tree(out) == tree(tmp_path / "calm")
