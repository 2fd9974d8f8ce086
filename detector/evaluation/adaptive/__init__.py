"""Attacks that know the detector: they look for images that fool the classifier and are not flagged either.

What an attacker is given is everything but the random numbers that a detector draws by its key. Every attack is
targeted, so that it can say what the classifier will name and follow the detector's score for that label
(Bryniarski et al. 2021, arXiv 2106.15023; Tramèr et al. 2020, arXiv 2002.08347).
"""

from detector.evaluation.adaptive.figures import AdaptiveFigures, AdaptiveRun, SkippedAdaptive
from detector.evaluation.adaptive.joint import AdaptiveAttack, Defended, Joint, Undefended
from detector.evaluation.adaptive.run import run_adaptive
from detector.evaluation.adaptive.specs import ADAPTIVE, AdaptiveSpec

__all__ = [
    "ADAPTIVE",
    "AdaptiveAttack",
    "AdaptiveFigures",
    "AdaptiveRun",
    "AdaptiveSpec",
    "Defended",
    "Joint",
    "SkippedAdaptive",
    "Undefended",
    "run_adaptive",
]
