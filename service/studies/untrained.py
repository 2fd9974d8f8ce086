"""Whether inputs of one label are joined by paths of low loss in networks that were never trained."""

import dataclasses

from detector.types import ProgressCallback
from models.registry import registered
from service.errors import InputError
from service.studies.report import StudyReport, StudyRequest
from service.studies.untrained_networks import Reading
from service.studies.untrained_report import findings_of, plots_of, table_of, untrained_data
from service.studies.untrained_searching import MAIN, OTHERS, Searched, UntrainedSettings, search_condition

CLASSIFIER = "cifar10-resnet20"
PAIRS_PER_NETWORK = 12


def run(request: StudyRequest, progress: ProgressCallback) -> StudyReport:
    """Search between optimised inputs of untrained networks; `limit` counts pairs of the first condition.

    Raises:
        InputError: images are given, which this study makes itself, or fewer than two pairs are asked for.
        ModelError: the classifier is not registered.
    """
    require_nothing_given(request)
    return study_untrained(request.classifier or CLASSIFIER, settings_for(request.limit), request.seed, progress)


def require_nothing_given(request: StudyRequest) -> None:
    """Refuse image sets and devices, for studies that make their inputs on the CPU.

    Raises:
        InputError: one is given.
    """
    given = {"--train": request.train, "--held-out": request.held_out, "--device": request.device}
    unused = [name for name, value in given.items() if value not in (None, "cpu")]
    if unused:
        raise InputError(f"this study makes its own inputs, on the CPU; leave {' and '.join(unused)} out")


def settings_for(n_pairs: int | None) -> UntrainedSettings:
    """Settings for about so many pairs, a dozen a network.

    Raises:
        InputError: fewer than two.
    """
    if n_pairs is None:
        return UntrainedSettings()
    if n_pairs < 2:
        raise InputError(f"--limit {n_pairs} leaves nothing to compare; ask for at least 2 pairs")
    return UntrainedSettings(networks=-(-n_pairs // PAIRS_PER_NETWORK), pairs=min(n_pairs, PAIRS_PER_NETWORK))


def study_untrained(name: str, settings: UntrainedSettings, seed: int, progress: ProgressCallback) -> StudyReport:
    """The study on the registered classifier of this name, its weights as they are first drawn.

    Raises:
        InputError: under some condition no input reaches the low loss that it asks for.
    """
    entry = registered(name)
    found = [search_condition(entry, condition, settings, seed, progress) for condition in (*MAIN, *OTHERS)]
    for one in found:
        if not len(one.networks):
            raise InputError(f"no input of {name} reached a loss of {one.condition.low:g} nats; try another --seed")
    return StudyReport(
        name="untrained",
        title="Paths through untrained networks",
        lead=(
            f"Networks with the architecture of {name} and random weights were given pairs of inputs, each optimised "
            "from noise, in its frequencies, until its cross-entropy to one label was low. The straight path between "
            "the two was then bent by one round of bypass after another. A pair counts as joined where no point "
            f"measured on its path is above {settings.joined:g} nats; guessing costs ln 10 = 2.3."
        ),
        facts=_facts(name, found),
        findings=findings_of(found, settings.joined, seed),
        plots=plots_of(found, settings.joined),
        tables=(table_of(found, settings.joined),),
        data={
            "seed": seed,
            "settings": dataclasses.asdict(settings),
            "conditions": untrained_data(found, settings.joined, seed),
        },
    )


def _facts(name: str, found: list[Searched]) -> tuple[tuple[str, str], ...]:
    raw = {one.condition.reading: one for one in found}
    initial, normalised = raw[Reading.INITIAL], raw[Reading.NORMALISED]
    return (
        ("architecture", f"{name}, untrained"),
        ("pairs", str(sum(len(one.networks) for one in found))),
        ("pairs whose ends could not be made", str(sum(one.n_dropped for one in found))),
        (
            "spread of the raw logits over noise",
            f"{initial.spread:.4f} as first drawn, {normalised.spread:.3f} normalised",
        ),
        ("lowest raw loss of an end", f"{initial.least_raw_loss:.2f} nats as first drawn"),
        ("cost", f"{sum(one.forward_equivalents for one in found):,} forward equivalents"),
    )
