"""What an early exit saves and what it costs: a bundle with one against the bundle that it was added to.

Clean images are those of the set that neither bundle's calibration has seen; attacks are torchattacks', none of which
it used, and count where they succeed. Both detectors judge the same images, so that differences are paired: each
bootstrap resample draws clean and attacked images once for both. Times are taken in alternating rounds on the clean
images, of which as many leave as of a user's.

    python tests/benchmarks/early_exit.py --images test.npz --skip 100 --attacked 200 --out early-exit.json
    python tests/benchmarks/early_exit.py --images test.npz --adaptive selective-0.01 --attacks '' --rounds 0
"""

import argparse
import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from detector.calibration.splits import without_digests
from detector.detector import Detector
from detector.evaluation.adaptive import ADAPTIVE, AdaptiveRun, SkippedAdaptive, run_adaptive
from detector.evaluation.attacked import SkippedAttack, run_attack
from detector.evaluation.attacks.suites import specs_named
from detector.evaluation.metrics import auroc, rate_estimate
from detector.first_look import FirstLook
from detector.passes import predicted_labels
from detector.types import Images, LabelledImages, to_pixels
from service.bench.timing import alternate, median_ratio
from service.bundles import ClassifierChoice, open_detector
from service.imagesets import load_image_set
from service.progress import progress_bars

ATTACKS = "fgsm-8,pgd-2,pgd-8,cw-0,deepfool,square-8"
RATES = (0.01, 0.05)
N_RESAMPLES = 1000


@torch.no_grad()
def judged(detector: Detector, images: Images) -> tuple[np.ndarray, np.ndarray]:
    """Score of each image, and whether it left early."""
    found = [detector.straight(part) for part in torch.split(images, detector.images_per_step)]
    scores = torch.cat([evidence.scores for evidence in found]).double().cpu().numpy()
    return scores, torch.cat([evidence.has_left for evidence in found]).cpu().numpy()


def difference(clean: tuple[np.ndarray, ...], attacked: tuple[np.ndarray, ...], seed: int) -> dict[str, Any]:
    """AUROC of both detectors, full first, and what the second gains, with its 95 % bootstrap interval."""
    random, gains = np.random.default_rng(seed), []
    for _ in range(N_RESAMPLES):
        rows, others = (random.integers(0, len(one[0]), len(one[0])) for one in (clean, attacked))
        full, early = (auroc(a[rows], b[others]) for a, b in zip(clean, attacked, strict=True))
        gains.append(early - full)
    full, early = (auroc(a, b) for a, b in zip(clean, attacked, strict=True))
    low, high = np.quantile(gains, [0.025, 0.975])
    return {"full": full, "early": early, "gain": early - full, "interval": [float(low), float(high)]}


def unseen(data: LabelledImages, detector: Detector) -> tuple[LabelledImages, LabelledImages]:
    """Images that calibration has not seen: those classified correctly, and the others."""
    fresh = without_digests(data, detector.bundle.used_digests)
    is_correct = predicted_labels(detector.classifier, to_pixels(fresh.images)) == fresh.labels
    return fresh[is_correct.nonzero()[:, 0]], fresh[(~is_correct).nonzero()[:, 0]]


def times(detectors: dict[str, Detector], images: Images, rounds: int, progress: Any) -> dict[str, Any]:
    """Images a second of each detector in each round, and how many times as fast the early one is."""
    acts = {name: functools.partial(detector.inspect, images) for name, detector in detectors.items()}
    seconds = alternate(acts, rounds, progress)
    rates = {name: [len(images) / one for one in each] for name, each in seconds.items()}
    return {"images_per_second": rates, "times_as_fast": median_ratio(seconds["full"], seconds["early"])}


def expected_cost(detector: Detector, has_left: np.ndarray) -> float:
    """Forward passes an image, so many of which left."""
    early = detector.straight_paths.early_exit
    if early is None:
        return float(detector.bundle.forward_equivalents)
    first = FirstLook(profiler=detector.straight_paths.profiler, looks=early.looks).forward_equivalents
    share = float(has_left.mean())
    return share * first + (1 - share) * detector.bundle.forward_equivalents


def measure(
    detectors: dict[str, Detector],
    clean: LabelledImages,
    wrong: LabelledImages,
    asked: argparse.Namespace,
    progress: Any,
) -> dict[str, Any]:
    """Everything but the times."""
    early = detectors["early"]
    on_clean = {name: judged(detector, to_pixels(clean.images)) for name, detector in detectors.items()}
    left = {"clean": on_clean["early"][1], "misclassified": judged(early, to_pixels(wrong.images))[1]}
    flagged: dict[str, Any] = {}
    for name, detector in detectors.items():
        p_values = detector.bundle.conformal.p_values(torch.from_numpy(on_clean[name][0]))
        hits = {rate: int((p_values <= rate).sum()) for rate in RATES}
        flagged[name] = {rate: vars(rate_estimate(n, len(clean))) for rate, n in hits.items()}
    attacks: dict[str, Any] = {}
    for spec in specs_named(asked.attacks) if asked.attacks else ():
        sources = clean[asked.skip : asked.skip + asked.attacked]
        made = run_attack(spec, early.classifier, sources, seed=asked.seed, chunk=64, progress=progress)
        if isinstance(made, SkippedAttack):
            attacks[spec.name] = {"skipped": made.reason}
            continue
        scores = {name: judged(detector, made.images) for name, detector in detectors.items()}
        found = difference(
            *(tuple(part[name][0] for name in ("full", "early")) for part in (on_clean, scores)), asked.seed
        )
        attacks[spec.name] = {"images": len(made.images), **found, "left": float(scores["early"][1].mean())}
    return {
        "clean": len(clean),
        "attacks": attacks,
        "adaptive": evaded(detectors, clean, asked, progress),
        "left": {name: float(rows.mean()) for name, rows in left.items()},
        "flagged": flagged,
        "forward_equivalents": {name: expected_cost(detector, left["clean"]) for name, detector in detectors.items()},
        "forward_equivalents_in_record": early.bundle.expected_forward_equivalents,
    }


def evaded(detectors: dict[str, Detector], clean: LabelledImages, asked: argparse.Namespace, progress: Any) -> Any:
    """What attackers who know everything, each detector's early exit too, get past it at a nominal 5 %."""
    names = [name for name in asked.adaptive.split(",") if name]
    found: dict[str, Any] = {}
    for spec in (spec for spec in ADAPTIVE if spec.name in names):
        runs = {
            name: run_adaptive(spec, detector, clean[asked.skip :], seed=asked.seed, progress=progress)
            for name, detector in detectors.items()
        }
        if any(isinstance(run, SkippedAdaptive) for run in runs.values()):
            continue
        rows = {name: {"evaded": vars(run.figures.evaded[0.05]), "n": run.figures.n} for name, run in runs.items()}
        rows["early"]["left"] = float(judged(detectors["early"], runs["early"].images)[1].mean())
        # Who finds the roads apart may take either: what passes the full evidence may pass the early one, too.
        either = np.any([passed(detectors["early"], run) for run in runs.values()], axis=0)
        rows["early"]["either"] = vars(rate_estimate(int(either.sum()), len(either)))
        found[spec.name] = rows
    return found


def passed(detector: Detector, run: AdaptiveRun) -> np.ndarray:
    """Which images pass as the label that the attack was after, at 5 %."""
    verdicts = detector.inspect(run.images)
    pairs = zip(verdicts, run.targets.tolist(), strict=True)
    return np.array([one.label == target and (one.p_value or 0.0) > RATES[-1] for one, target in pairs])


def show(found: dict[str, Any]) -> None:
    """A table of the attacks, and a line on everything else."""
    table = Table("attack", "images", "AUROC full", "early", "difference (95 %)", "left")
    for name, row in found["attacks"].items():
        if "skipped" in row:
            table.add_row(name, row["skipped"])
            continue
        low, high = row["interval"]
        gain = f"{row['gain']:+.4f} ({low:+.4f} to {high:+.4f})"
        table.add_row(name, str(row["images"]), f"{row['full']:.4f}", f"{row['early']:.4f}", gain, f"{row['left']:.3f}")
    console = Console(width=110)
    console.print(table)
    console.print_json(data={name: value for name, value in found.items() if name != "attacks"})


def main() -> None:
    """Measure, print and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", default="cifar10-resnet20-early")
    parser.add_argument("--full", default="cifar10-resnet20")
    parser.add_argument("--images", required=True)
    parser.add_argument("--attacks", default=ATTACKS)
    parser.add_argument(
        "--adaptive", default="", help="attackers who know the detectors, as isthmus evaluate names them"
    )
    parser.add_argument("--attacked", type=int, default=300)
    parser.add_argument("--skip", type=int, default=0, help="clean images before the first that is attacked")
    parser.add_argument("--rounds", type=int, default=5, help="0 takes no times")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    opened = {
        name: open_detector(bundle, false_positive_rate=0.05, choice=ClassifierChoice())
        for name, bundle in (("full", asked.full), ("early", asked.bundle))
    }
    detectors = {name: one.detector for name, one in opened.items()}
    with progress_bars() as progress:
        data = load_image_set(asked.images, opened["early"].preprocessing, labels=opened["early"].labels)
        clean, wrong = unseen(data, detectors["early"])
        found = measure(detectors, clean, wrong, asked, progress)
        if asked.rounds:
            found |= times(detectors, to_pixels(clean.images), asked.rounds, progress)
    show(found)
    if asked.out:
        asked.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
