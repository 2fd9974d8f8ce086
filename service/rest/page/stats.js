/** `/v1/stats` in the terms of this page. What a server does not say is null. */

/** Times in milliseconds, rates a second; `history` has the images of each of the last seconds, the latest last. */
export function statsOf(body) {
  const waiting = body.queue?.waiting ?? null;
  const computing = body.queue?.computing ?? null;
  return {
    imageRate: body.images_per_second ?? null,
    requestRate: body.requests_per_second ?? null,
    refusalRate: body.rejected_per_second ?? null,
    history: Array.isArray(body.images_by_second) ? body.images_by_second : [],
    waiting,
    computing,
    inHand: waiting === null && computing === null ? null : (waiting ?? 0) + (computing ?? 0),
    p50: inMilliseconds(body.latency_seconds?.p50),
    p99: inMilliseconds(body.latency_seconds?.p99),
    decisions: body.verdicts ?? {},
    drift: Object.entries(body.drift ?? {}).map(([bundle, entry]) => ({
      bundle,
      evidence: entry.evidence ?? null,
      threshold: entry.threshold ?? null,
      nImages: entry.n_images ?? null,
      isAlarmed: entry.is_alarmed === true,
    })),
  };
}

function inMilliseconds(seconds) {
  return typeof seconds === "number" ? 1000 * seconds : null;
}
