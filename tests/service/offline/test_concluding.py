import dataclasses
from types import SimpleNamespace

import pytest

from service.offline.concluding import done_document, exit_code, write_words
from service.options import AuditFailOn


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sum:
    """Of a summary what is said at the end."""

    n_adversarial: int = 3
    n_undecided: int = 2
    n_discoveries: int = 1
    n_judged: int = 1205
    n_left_early: int = 0

    @property
    def counts(self):
        return SimpleNamespace(
            n_images=1234,
            n_clean=1200,
            n_adversarial=self.n_adversarial,
            n_undecided=self.n_undecided,
            n_unreadable=29,
            n_judged=self.n_judged,
            n_left_early=self.n_left_early,
            n_flagged=self.n_adversarial + self.n_undecided,
        )

    @property
    def discoveries(self):
        return SimpleNamespace(
            n=self.n_discoveries,
            false_discovery_rate=0.1,
            n_tested=1203,
            n_needed=83,
            smallest_p_value=1 / 145,
            n_at_smallest=9,
        )

    unreadable = (SimpleNamespace(n=29, error="the file is empty", examples=("a.png",)),)
    agreement = SimpleNamespace(compared=SimpleNamespace(of=0))
    comparison = SimpleNamespace(adversarial=SimpleNamespace(value=3 / 1203), lowest=0.0171, highest=0.0929)

    def as_document(self):
        return {"schema": 1}


@pytest.mark.parametrize(
    ("fail_on", "summary", "code"),
    [
        (None, Sum(), 0),
        (AuditFailOn.FLAGGED, Sum(), 3),
        (AuditFailOn.FLAGGED, Sum(n_adversarial=0), 3),
        (AuditFailOn.FLAGGED, Sum(n_adversarial=0, n_undecided=0), 0),
        (AuditFailOn.DISCOVERIES, Sum(), 3),
        (AuditFailOn.DISCOVERIES, Sum(n_discoveries=0), 0),
        (AuditFailOn.UNREADABLE, Sum(), 3),
        (None, Sum(n_judged=0), 2),
    ],
)
def test_the_command_fails_only_on_what_it_was_asked_to(fail_on, summary, code) -> None:
    assert exit_code(summary, fail_on) == code


def test_the_last_words_say_how_many_images_left_early(tmp_path, capsys) -> None:
    write_words(Sum(n_left_early=700), tmp_path)
    first, *_ = capsys.readouterr().out.splitlines()
    assert first == "1,234 images: 1,200 clean (700 left early), 3 adversarial, 2 undecided, 29 unreadable"


def test_the_last_words_set_what_was_flagged_beside_what_clean_images_give(tmp_path, capsys) -> None:
    write_words(Sum(), tmp_path)
    assert capsys.readouterr().out == (
        "1,234 images: 1,200 clean, 3 adversarial, 2 undecided, 29 unreadable\n"
        "  29 unreadable: the file is empty (such as a.png)\n"
        "none of the labels that the source gives is a label of the classifier: is this the right bundle? Images of "
        "another kind are flagged without any attack\n"
        "0.25% were judged adversarial; clean images that the classifier gets right would give 1.71% to 9.29%\n"
        "1 discovery at a false-discovery rate of 0.1\n"
        f"{tmp_path / 'report.html'}\n"
    )


def test_where_nothing_stands_out_it_is_said_what_it_would_take(tmp_path, capsys) -> None:
    write_words(Sum(n_discoveries=0), tmp_path)
    assert (
        "0 discoveries at a false-discovery rate of 0.1: among 1,203 images it takes 83 with the smallest p-value that "
        "the bundle can give (0.0069); here: 9\n"
    ) in capsys.readouterr().out


def test_a_program_gets_the_summary_as_the_last_event(tmp_path) -> None:
    assert done_document(Sum(), tmp_path) == {"event": "done", "out": str(tmp_path), "schema": 1}
