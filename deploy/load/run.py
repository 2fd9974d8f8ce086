"""Load a deployed isthmus as strangers do, and say whether it kept its promises.

First the capacity is found in a closed loop, then images come at 0.5, 1 and 2 times that rate as a Poisson process:
nothing waits for an answer before it sends the next. Needs Python and nothing else.

    python deploy/load/run.py --url https://isthmus.example.org --key-file keys --images images --out load.json

Exit codes: 0 every mark is met; 1 one is missed; 2 bad input, or this client was too slow to judge.
"""

import argparse
import datetime
import math
import resource
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from isthmus_load.errors import UsageError
from isthmus_load.inputs import detect_requests, read_images, read_keys
from isthmus_load.marks import Limits, Verdict
from isthmus_load.report import as_json, as_lines, write_json
from isthmus_load.session import Plan, run_session
from isthmus_load.wire import Target

EXIT_CODES = {Verdict.PASSED: 0, Verdict.FAILED: 1, Verdict.INCONCLUSIVE: 2}
EXIT_BAD_INPUT = 2


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one sentence."""

    def error(self, message: str) -> NoReturn:
        """Say it and leave."""
        raise UsageError(message)


def positive(kind: Callable[[str], float]) -> Callable[[str], float]:
    """A reader of numbers above 0."""

    def read(text: str) -> float:
        value = kind(text)
        if not 0 < value < math.inf:
            raise argparse.ArgumentTypeError(f"must be a number above 0, not {text}")
        return value

    read.__name__ = kind.__name__
    return read


def parser() -> Parser:
    """The options."""
    options = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    add, defaults = options.add_argument, Limits()
    add("--url", required=True, help="of the service; a path before /v1 and /v2 is kept")
    add("--images", required=True, type=Path, metavar="FOLDER", help="image files to send, the first 512")
    add("--key-file", type=Path, metavar="FILE", help="keys, ID:KEY a line; requests take them in turn")
    add("--certificates", metavar="FILE", help="PEM file of authorities to believe besides the system's")
    add("--bundle", help="a served bundle; by default the service's first")
    add("--rate", type=positive(float), help="take this as the capacity, images a second, instead of measuring it")
    add("--factors", type=positive(float), nargs="+", default=[0.5, 1.0, 2.0], help="of the capacity, a stage each")
    add("--seconds", type=positive(float), default=60.0, help="of each stage (60)")
    add("--clients", type=positive(int), default=64, help="of the closed loop; 64 for each replica (64)")
    add("--capacity-seconds", type=positive(float), default=30.0, help="of the closed loop (30)")
    add("--images-per-request", type=positive(int), default=1, help="more for rates beyond one client's means (1)")
    add("--answer-seconds", type=positive(float), default=10.0, help="the service's --request-seconds (10)")
    add("--goodput", type=positive(float), default=defaults.goodput, help=f"least share ({defaults.goodput:g})")
    add("--refused-ms", type=positive(float), default=defaults.refused_ms, help=f"({defaults.refused_ms:g})")
    add("--liveness-ms", type=positive(float), default=defaults.liveness_ms, help=f"({defaults.liveness_ms:g})")
    add("--client-ms", type=positive(float), default=defaults.client_ms, help=f"({defaults.client_ms:g})")
    add("--seed", type=int, default=0, help="one seed gives one schedule (0)")
    add("--out", type=Path, metavar="FILE.json", help="the report")
    return options


def run(words: Sequence[str]) -> int:
    """Load the service as asked; the exit code."""
    given = parser().parse_args(words)
    if given.out is not None and not given.out.resolve().parent.is_dir():
        raise UsageError(f"--out {given.out}: there is no such folder")
    target = Target.of(given.url, given.certificates)
    images, keys = read_images(given.images), read_keys(given.key_file)
    requests = detect_requests(target, images, keys, bundle=given.bundle, n=given.images_per_request)
    plan = Plan(
        rate=given.rate,
        factors=given.factors,
        seconds=given.seconds,
        clients=given.clients,
        capacity_seconds=given.capacity_seconds,
        images_per_request=given.images_per_request,
        answer_seconds=given.answer_seconds,
        seed=given.seed,
    )
    limits = Limits(
        goodput=given.goodput,
        refused_ms=given.refused_ms,
        liveness_ms=given.liveness_ms,
        client_ms=given.client_ms,
    )
    begun = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    outcome = run_session(target, requests, plan, limits, say)
    for line in as_lines(outcome):
        say(line)
    if given.out is not None:
        write_json(as_json(outcome, plan, limits, url=given.url, begun=begun), given.out)
    return EXIT_CODES[outcome.verdict]


def allow_many_connections() -> None:
    """As many open files as this user may have: a service that hangs is asked on ever more connections."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def say(line: str) -> None:
    """A line for people."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Run, and leave with the exit code."""
    allow_many_connections()
    try:
        sys.exit(run(sys.argv[1:]))
    except UsageError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(EXIT_BAD_INPUT)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
