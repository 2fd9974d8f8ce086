/** The ways an image comes in: chosen, dropped anywhere on the page, or pasted. */

const MOST_AT_ONCE = 64;

/** `onFiles` gets the files; `onTrouble` a sentence, or null when the last one no longer holds. */
export function wireIntake({ input, zone, onFiles, onTrouble }) {
  function take(list) {
    const files = [...list];
    onTrouble(null);
    if (files.length === 0) return;
    if (files.length > MOST_AT_ONCE) {
      onTrouble(`Of ${files.length} files the first ${MOST_AT_ONCE} are taken; for whole folders there are audits.`);
    }
    onFiles(files.slice(0, MOST_AT_ONCE));
  }

  input.addEventListener("change", () => {
    take(input.files);
    // The same file may be chosen twice.
    input.value = "";
  });
  wireDrop(zone, take, onTrouble);
  addEventListener("paste", (event) => {
    const files = event.clipboardData?.files ?? [];
    if (files.length === 0) return;
    event.preventDefault();
    take(files);
  });
}

function wireDrop(zone, take, onTrouble) {
  const holdsFiles = (event) => event.dataTransfer?.types.includes("Files") ?? false;
  let depth = 0;
  function over(change) {
    depth = Math.max(0, depth + change);
    zone.classList.toggle("over", depth > 0);
  }

  addEventListener("dragenter", (event) => holdsFiles(event) && over(1));
  addEventListener("dragleave", (event) => holdsFiles(event) && over(-1));
  addEventListener("dragover", (event) => {
    // Else the browser would leave the page and open what is dropped.
    event.preventDefault();
    event.dataTransfer.dropEffect = holdsFiles(event) ? "copy" : "none";
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    over(-depth);
    const files = event.dataTransfer?.files ?? [];
    if (files.length === 0) onTrouble("Nothing was taken: drop image files, not links or text.");
    else take(files);
  });
}
