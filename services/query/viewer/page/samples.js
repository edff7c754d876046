// Images of nobody are loaded into an empty archive, where it runs for a look.

import { BASE, askJson, storeObjects } from "./archive.js";
import { Job } from "./jobs.js";
import { refresh } from "./page.js";
import { COUNT, STUDIES, samples } from "./phantoms.js";

const LOOK_EVERY = 300; // ms
const LOOKS = 40;

export async function loadSamples() {
  const stop = new AbortController();
  const job = new Job("Samples", () => stop.abort());
  let stored = 0;
  try {
    for (const objects of samples(new Date())) {
      await storeObjects(objects, stop.signal);
      stored += objects.length;
      job.set({ part: stored / COUNT, note: `${stored} of ${COUNT} images` });
    }
    await whenFound(stop.signal);
    await refresh(); // all at once, and not one now and the others as news
    job.end("done", `${COUNT} images of ${STUDIES.length} studies`);
  } catch (error) {
    job.end(error.name === "AbortError" ? "cancelled" : "failed", error.name === "AbortError" ? `${stored} images` : error.message);
  }
}

async function whenFound(signal) {
  const asked = `${BASE}/studies/count?StudyInstanceUID=${STUDIES.join(",")}`;
  for (let look = 0; look < LOOKS && !signal.aborted; look += 1) {
    if ((await askJson(asked, { signal })).count >= STUDIES.length) return;
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY));
  }
}
