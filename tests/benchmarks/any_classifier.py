"""Classifiers of every make on the digits: how well a small bundle tells their attacks, over several trainings.

What is measured is what `tests/end_to_end/test_any_classifier.py` asserts, and with its settings: eight batches of
proxies and one real prototype a label, so that it takes seconds; these are no figures of what a bundle can reach.

    python tests/benchmarks/any_classifier.py --trainings 4
"""

import argparse
import importlib.util
import sys
import tempfile
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from detector.calibration.splits import split_held_out
from detector.verdict import Decision

TEST = Path(__file__).parents[1] / "end_to_end" / "test_any_classifier.py"


def test_module() -> ModuleType:
    found = importlib.util.spec_from_file_location("any_classifier_test", TEST)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    # Dataclasses look up the module that they are written in.
    sys.modules[found.name] = module
    found.loader.exec_module(module)
    return module


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trainings", type=int, default=4, help="seeds that each classifier is trained from")
    n_trainings = parser.parse_args().trainings
    torch.set_num_threads(1)
    test, console = test_module(), Console(width=120)
    references, held_out = test.digits()
    reserved = split_held_out(held_out, references, test.SETTINGS.shares, test.SETTINGS.seed).reserved
    columns = ("classifier", "accuracy", "AUROC of PGD", "flagged of PGD", "flagged of clean", "clean images")
    table = Table(*columns, title=f"{n_trainings} trainings; PGD, L∞ 0.15, 20 steps; false-positive rate {test.RATE}")
    for kind in test.KINDS:
        rows = []
        for seed in range(n_trainings):
            with tempfile.TemporaryDirectory() as name, console.status(f"{kind.factory}, training {seed}"):
                folder = Path(name)
                spec = test.written(folder, kind, seed)
                detector = test.calibrated(spec, folder / "bundle", references, held_out)
                clean, attacked = test.judged(detector, reserved)
            shares = [np.mean([v.decision is Decision.ADVERSARIAL for v in verdicts]) for verdicts in (attacked, clean)]
            accuracy = detector.bundle.record.measured["accuracy"]
            rows.append((accuracy, test.auroc(test.scores(clean), test.scores(attacked)), *shares, len(clean)))
        lowest, highest = np.min(rows, 0), np.max(rows, 0)
        spans = [f"{low:.3g} to {high:.3g}" for low, high in zip(lowest, highest, strict=True)]
        table.add_row(kind.factory, *spans)
        console.print(kind.factory, *spans, sep="   ")
    console.print(table)


if __name__ == "__main__":
    main()
