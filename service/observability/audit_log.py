"""One line of the log for each verdict: who asked, with what, and what the answer was. Never the image."""

import logging
from collections.abc import Iterable
from typing import Any

from detector.verdict import Verdict
from service.observability.logs import AUDIT
from service.runtime import ServedBundle

DIGEST_DIGITS = 16

logger = logging.getLogger(AUDIT)


def write_verdicts(
    verdicts: Iterable[tuple[int, Verdict, str]], bundle: ServedBundle, *, request_id: str, key_id: str, source: str
) -> None:
    """Write (position, verdict, digest of the judged pixels) of images of one request."""
    if not logger.isEnabledFor(logging.INFO):
        return
    shared = {
        "request_id": request_id,
        "key_id": key_id,
        "source": source,
        "bundle": bundle.name,
        "bundle_digest": bundle.digest,
    }
    for index, verdict, digest in verdicts:
        _write(shared | {"index": index, "image": digest[:DIGEST_DIGITS]} | _answer(verdict, bundle))


def _answer(verdict: Verdict, bundle: ServedBundle) -> dict[str, Any]:
    return {
        "decision": verdict.decision.value,
        "p_value": verdict.p_value,
        "false_positive_rate": verdict.false_positive_rate,
        "label": verdict.label,
        "label_name": bundle.labels[verdict.label],
        "suspected_label": verdict.suspected_label,
    }


def _write(fields: dict[str, Any]) -> None:
    # What `logger.info` does, but for looking up the line of code, which takes most of its time.
    logger.handle(logger.makeRecord(AUDIT, logging.INFO, "", 0, "verdict", (), None, extra=fields))
