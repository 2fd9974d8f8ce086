import { isReady } from "./api.js";
import { InspectView } from "./inspect.js";
import { LiveView } from "./live.js";
import { wireTabs } from "./tabs.js";

const POLL_MILLISECONDS = 5000;

const live = new LiveView();
new InspectView().start();
wireTabs(document.querySelector("[role=tablist]"), (panel) => live.setShown(panel === "live"));
watchServer(document.getElementById("server"));

/** Say in the corner whether the server takes requests, and ask again from time to time while the page is seen. */
async function watchServer(line) {
  const [state, text] = await serverState();
  // Set only when it changes: it is read out each time.
  if (line.dataset.state !== state) {
    line.dataset.state = state;
    line.textContent = text;
  }
  setTimeout(() => whenSeen(() => watchServer(line)), POLL_MILLISECONDS);
}

async function serverState() {
  try {
    return (await isReady()) ? ["ready", "ready"] : ["busy", "not ready yet"];
  } catch {
    return ["away", "not reachable"];
  }
}

function whenSeen(act) {
  if (document.visibilityState === "visible") act();
  else document.addEventListener("visibilitychange", () => whenSeen(act), { once: true });
}
