import json
from types import SimpleNamespace

import pytest

from detector.bundle import Bundle
from detector.early_exit import EarlyExitSettings, Look
from detector.types import ImageError
from service import early_exit as module
from service.bundles import SHIPPED_BUNDLES, ClassifierChoice
from service.early_exit import EarlyExitRequest, in_words, run_early_exit, settings_of
from service.errors import InputError


def request(tmp_path, **changes):
    given = {"bundle": "digits", "choice": ClassifierChoice(device="cpu"), "held_out": "digits:held-out"}
    return EarlyExitRequest(**(given | {"out": tmp_path / "out"} | changes))


def test_what_is_not_asked_for_stays_as_it_is(tmp_path):
    assert settings_of(request(tmp_path)) == EarlyExitSettings()
    asked = settings_of(request(tmp_path, looks=("smoothed",), batches=20))
    assert (asked.looks, asked.batches) == ((Look.SMOOTHED,), 20)


def test_a_folder_that_is_no_bundle_is_refused_before_any_work(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="exists and is not a bundle"):
        run_early_exit(request(tmp_path, bundle="no such bundle"), json=False)


@pytest.mark.parametrize("look", ["auxiliary", "smoothed"])
def test_a_look_that_the_bundle_does_not_have_is_refused_before_any_work(tmp_path, look):
    with pytest.raises(InputError, match=f"calibrated without what --look {look} asks for"):
        run_early_exit(request(tmp_path, looks=(look,)), json=True)


def test_other_images_than_those_of_the_calibration_are_refused(tmp_path):
    with pytest.raises(ImageError, match="give the held-out images of its calibration"):
        run_early_exit(request(tmp_path, held_out="digits:train"), json=False)
    assert not (tmp_path / "out").exists()


def test_a_bundle_without_an_early_exit_has_nothing_to_say_about_it():
    with pytest.raises(ValueError, match="no early exit to speak of"):
        in_words(Bundle.load(SHIPPED_BUNDLES / "digits"))


def test_the_figures_are_said_in_words():
    record = SimpleNamespace(
        leaving_share=0.75, proxies_leaving=0.01, forward_equivalents=3.75, auroc=0.99, auroc_without=0.991
    )
    bundle = SimpleNamespace(record=SimpleNamespace(early_exit=record), forward_equivalents=9)
    assert in_words(bundle) == (
        "75.0% of clean images and 1.0% of proxies leave early; 3.75 forward passes a clean image instead of 9; AUROC "
        "of clean images against proxies 0.9900 instead of 0.9910"
    )


def test_the_bundle_is_written_with_what_was_found_and_the_digest_of_what_it_was_added_to(
    tmp_path, monkeypatch, capsys
):
    seen = {}

    def found(trainee, settings, fitting, *, seed, added_to):
        seen.update(vars(trainee), settings=settings, fitting=fitting, seed=seed, added_to=added_to)
        record = trainee.bundle.record
        notes = (*record.notes, "An early exit was tried and left out: it does not pay.")
        measured = record.measured | {"early_exit_kept": 0.0}
        return trainee.bundle.replaced(record=record.model_copy(update={"measured": measured, "notes": notes}))

    monkeypatch.setattr(module, "with_early_exit", found)
    run_early_exit(request(tmp_path, seed=3), json=False)
    said = " ".join(capsys.readouterr().out.split())
    assert "it does not pay." in said
    assert Bundle.load(tmp_path / "out").record.measured["early_exit_kept"] == 0.0
    assert (seen["seed"], len(seen["added_to"])) == (3, 64)
    sizes = [len(seen[name]) for name in ("learning", "validation", "trial")]
    assert sum(sizes) == int(seen["bundle"].record.measured["learning_images"])
    run_early_exit(request(tmp_path), json=True)
    assert json.loads(capsys.readouterr().out)["measured"]["early_exit_kept"] == 0.0
