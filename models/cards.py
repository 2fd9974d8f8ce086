"""Training cards: what a weight file was trained on, with which settings, and how well it does."""

import datetime
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from models.errors import ModelError, one_line
from models.files import replace_atomically


class TrainingCard(BaseModel):
    """The measured result of one training run.

    Attributes:
        accuracy: share of the test images that the weights in the file get right.
        robust_accuracy: share of the first thousand test images that they get right after 20 steps of PGD within the
            radius of their adversarial training; None where there was none.
        settings: of training, as `TrainingSettings`.
        train_digest, test_digest: sha256 over pixels and labels of the images.
        sha256: of the weight file.
        training_seconds: in all, if it was interrupted and resumed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    accuracy: float
    n_train: int
    n_test: int
    settings: dict[str, Any]
    seed: int
    train_digest: str
    test_digest: str
    sha256: str
    torch: str
    training_seconds: float
    date: datetime.date
    robust_accuracy: float | None = None


def read_card(path: Path) -> TrainingCard:
    """Read a card.

    Raises:
        ModelError: it is missing or damaged.
    """
    try:
        return TrainingCard.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"there is no training card {path}") from error
    except (ValidationError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is not a training card: {one_line(error)}") from error


def write_card(card: TrainingCard, path: Path) -> None:
    """Write a card as JSON."""
    with replace_atomically(path) as temporary:
        temporary.write_text(json.dumps(card.model_dump(mode="json"), indent=2) + "\n", encoding="utf-8")
