import dataclasses
import json

import pytest
from PIL import Image
from rich.console import Console

from detector.types import no_progress
from detector.verdict import Decision, Outcome, Verdict
from service import detection
from service.bundles import ClassifierChoice, OpenedDetector
from service.detection import exit_code, in_words, judge_files, run_detection
from service.options import FailOn
from service.records import error_record, verdict_record

LABELS = ("cat", "dog")


class RedIsAdversarial:
    """Flags an image by its red channel, 255 adversarial and 128 undecided, and counts what it is given."""

    def __init__(self):
        self.batches = []

    def inspect(self, images):
        self.batches.append(len(images))
        assert images.max() <= 1
        return [self.verdict(round(float(image[0].mean()) * 255)) for image in images]

    def verdict(self, red):
        decision = {255: Decision.ADVERSARIAL, 128: Decision.UNDECIDED}.get(red, Decision.CLEAN)
        undecided = decision is Decision.UNDECIDED
        return Verdict(
            decision=decision,
            label=1,
            score=None if undecided else red / 255,
            p_value=None if undecided else 0.5,
            false_positive_rate=0.05,
            barrier=None if undecided else 1.5,
            prototype=None if undecided else 0,
            suspected_label=0 if decision is Decision.ADVERSARIAL else None,
            outcome=Outcome.NON_FINITE if undecided else Outcome.DECIDED,
            profile=() if undecided else (0.0, 1.5),
        )


@pytest.fixture
def stand_in(colour, monkeypatch):
    detector = RedIsAdversarial()
    opened = OpenedDetector(detector=detector, preprocessing=colour, labels=LABELS)

    def open_detector(*arguments, **options):
        return opened

    monkeypatch.setattr(detection, "open_detector", open_detector)
    return opened


@pytest.fixture
def files(tmp_path):
    for name, red in (("clean", 0), ("attacked", 255), ("strange", 128)):
        Image.new("RGB", (8, 8), (red, 0, 0)).save(tmp_path / f"{name}.png")
    (tmp_path / "broken.png").write_text("no picture")
    return tmp_path


def detect(files, names, fail_on=None, json=True):
    return run_detection(
        [files / name for name in names],
        bundle="any",
        choice=ClassifierChoice(),
        false_positive_rate=0.05,
        fail_on=fail_on,
        json=json,
    )


@pytest.mark.usefixtures("stand_in")
class TestExitCodes:
    @pytest.mark.parametrize(
        ("names", "fail_on", "expected"),
        [
            (["clean.png"], None, 0),
            (["clean.png"], FailOn.ADVERSARIAL, 0),
            (["clean.png", "attacked.png"], None, 0),
            (["clean.png", "attacked.png"], FailOn.ADVERSARIAL, 3),
            (["strange.png"], None, 2),
            (["strange.png"], FailOn.ADVERSARIAL, 3),
            (["broken.png", "clean.png"], None, 2),
            (["broken.png", "attacked.png"], FailOn.ADVERSARIAL, 2),
        ],
    )
    def test_it_follows_from_the_worst_file(self, files, names, fail_on, expected):
        assert detect(files, names, fail_on) == expected


@pytest.mark.usefixtures("stand_in")
class TestJson:
    def test_there_is_one_line_a_file_in_order_and_a_bad_file_does_not_stop_the_others(self, files, capsys):
        names = ["clean.png", "broken.png", "absent.png", "attacked.png"]
        detect(files, names)
        out, err = capsys.readouterr()
        records = [json.loads(line) for line in out.splitlines()]
        assert [record["path"] for record in records] == [str(files / name) for name in names]
        assert [record["decision"] for record in records] == ["clean", "undecided", "undecided", "adversarial"]
        assert [record["error"] is None for record in records] == [True, False, False, True]
        assert records[2]["error"] == "No such file or directory; give the path of an image file"
        assert records[3]["label_name"] == "dog"
        assert records[3]["suspected_label_name"] == "cat"
        assert err == ""

    def test_it_holds_no_nan(self, files, capsys):
        detect(files, ["strange.png"])
        record = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
        assert (record["score"], record["outcome"]) == (None, "non_finite")


def test_files_are_judged_in_batches_and_stay_in_order(files, stand_in):
    names = ["clean.png", "attacked.png", "broken.png", "clean.png", "attacked.png"]
    steps = []
    records = list(
        judge_files(
            [files / name for name in names], stand_in, progress=lambda *step: steps.append(step[1:]), batch_size=2
        )
    )
    assert [record["decision"] for record in records] == [
        "clean",
        "adversarial",
        "undecided",
        "clean",
        "adversarial",
    ]
    assert stand_in.detector.batches == [2, 1, 1]
    assert steps == [(2, 5), (4, 5), (5, 5)]


def test_a_batch_of_bad_files_alone_never_reaches_the_detector(files, stand_in):
    list(judge_files([files / "broken.png"], stand_in, progress=no_progress))
    assert stand_in.detector.batches == []


def test_people_read_the_decision_the_labels_and_the_figures():
    record = verdict_record("a[b].png", RedIsAdversarial().verdict(255), LABELS)
    line = in_words(record).plain
    assert line == "a[b].png  adversarial  dog, perhaps truly cat  score 1  p-value 0.5  barrier 1.5 nats"


def test_people_read_that_an_image_left_early():
    left = dataclasses.replace(
        RedIsAdversarial().verdict(0), outcome=Outcome.LEFT_EARLY, score=-2.0, p_value=0.9, barrier=None
    )
    line = in_words(verdict_record("a.png", left, LABELS)).plain
    assert line == "a.png  clean  dog  score -2  p-value 0.9  left early"


def test_people_read_what_is_wrong_with_a_file(capsys):
    Console(soft_wrap=True).print(in_words(error_record("a\x1b.png", "the file is empty")))
    assert capsys.readouterr().out == "a�.png  undecided  the file is empty\n"


def test_no_files_are_no_failure():
    assert exit_code([], FailOn.ADVERSARIAL) == 0
