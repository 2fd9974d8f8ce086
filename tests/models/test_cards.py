import datetime
from pathlib import Path

import pytest

from models.cards import TrainingCard, read_card, write_card
from models.errors import ModelError

CARD = TrainingCard(
    name="digits",
    accuracy=0.5,
    n_train=3,
    n_test=2,
    settings={"epochs": 1, "flip": False, "peak_learning_rate": 0.1},
    seed=0,
    train_digest="a",
    test_digest="b",
    sha256="c",
    torch="2",
    training_seconds=1.5,
    date=datetime.date(2024, 2, 29),
)


def test_a_card_survives_its_file(tmp_path: Path) -> None:
    write_card(CARD, tmp_path / "card.json")
    read = read_card(tmp_path / "card.json")
    assert read == CARD
    assert [type(value) for value in read.settings.values()] == [int, bool, float]


def test_a_missing_card_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no training card .*card.json"):
        read_card(tmp_path / "card.json")


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "Invalid JSON"), (b"{}", "name: missing"), (b"\xff", "card.json is not a")]
)
def test_a_damaged_card_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "card.json").write_bytes(content)
    with pytest.raises(ModelError, match=message):
        read_card(tmp_path / "card.json")
