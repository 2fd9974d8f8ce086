/** Questions to the server, below the page's own folder; the message of an error is the server's own sentence. */

const FOLDER = location.origin + location.pathname.replace(/[^/]*$/, "");

export function addressOf(path, parameters = {}) {
  const known = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const query = new URLSearchParams(known).toString();
  return `${FOLDER}v1/${path}${query ? `?${query}` : ""}`;
}

export async function ask(path, parameters = {}, signal = undefined) {
  let response;
  try {
    response = await fetch(addressOf(path, parameters), { cache: "no-store", credentials: "omit", signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("isthmus view does not answer; it may have been stopped.");
  }
  const body = await response.json().catch(() => null);
  if (response.ok && body !== null) return body;
  throw new Error(body?.error ? String(body.error) : `The server answered ${response.status} and gave no reason.`);
}
