/** The service as this page calls it, below the page's own folder: a proxy may have put it there. */

// Not left to the browser: it would copy a password out of the address bar, and then refuse to ask there.
const FOLDER = location.origin + location.pathname.replace(/[^/]*$/, "");
const LONGEST_WAIT = 10;
const ATTEMPTS = 4;

/** An answer that is no success; the message is the server's own sentence. */
export class ApiError extends Error {
  constructor(message, { status = 0, retryAfter = null, requestId = null } = {}) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
    this.requestId = requestId;
  }

  get isBusy() {
    return this.status === 429 || this.status === 503;
  }
}

async function call(address, options = {}) {
  let response;
  try {
    response = await fetch(FOLDER + address, { cache: "no-store", credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The server cannot be reached.");
  }
  const body = await bodyOf(response);
  if (response.ok && body !== undefined) return body;
  throw new ApiError(body?.error ? String(body.error) : `The server answered ${response.status} and gave no reason.`, {
    status: response.status,
    retryAfter: seconds(response.headers.get("Retry-After")),
    requestId: response.headers.get("X-Request-ID"),
  });
}

async function bodyOf(response) {
  try {
    return await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    return undefined;
  }
}

function seconds(header) {
  const value = header === null ? Number.NaN : Number(header);
  return Number.isFinite(value) && value >= 0 ? value : null;
}

export async function getBundles() {
  const body = await call("v1/bundles");
  return Array.isArray(body) ? body : (body.bundles ?? []);
}

/** One image, judged; waits and asks again while the server is busy. `onWait` hears for how many seconds. */
export async function detect(file, { bundle, falsePositiveRate, signal, onWait }) {
  const query = new URLSearchParams({ bundle, false_positive_rate: String(falsePositiveRate), pictures: "true" });
  for (let attempt = 1; ; attempt += 1) {
    const body = new FormData();
    body.append("files", file, file.name || "pasted image");
    try {
      return await call(`v1/detect?${query}`, { method: "POST", body, signal });
    } catch (error) {
      if (!(error instanceof ApiError && error.isBusy) || attempt === ATTEMPTS) throw error;
      const wait = Math.min(error.retryAfter ?? 1, LONGEST_WAIT);
      onWait(wait);
      await pause(wait, signal);
    }
  }
}

function pause(wait, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 1000 * wait);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    }, { once: true });
  });
}

export function sendFeedback(report) {
  const headers = { "Content-Type": "application/json" };
  return call("v1/feedback", { method: "POST", headers, body: JSON.stringify(report) });
}

export function getStats(signal) {
  return call("v1/stats", { signal });
}

/** Whether the server takes requests; false while it warms up or drains. */
export async function isReady() {
  try {
    return (await call("v2/health/ready")).ready !== false;
  } catch (error) {
    if (error instanceof ApiError && error.status === 503) return false;
    throw error;
  }
}
