// Follows the archive's feed of changes, for as long as the page is open.

import { BASE, authorization } from "./archive.js";
import { eventReader } from "./events.js";

const LONGEST = 30000;

// Calls `onStudy({StudyInstanceUID, …})` for each study that became searchable. Ends by itself where the archive has no
// feed; comes again, later and later, where the connection breaks. `onState` hears "live", "waiting" or "none".
export async function followStudies(onStudy, onState, signal) {
  let cursor = "";
  let wait = 1000;
  while (!signal.aborted) {
    try {
      const headers = { Accept: "text/event-stream", ...authorization(), ...(cursor ? { "Last-Event-ID": cursor } : {}) };
      const response = await fetch(`${BASE}/changes/studies`, { headers, signal });
      if ([404, 405, 406, 501].includes(response.status) || response.status === 400) return onState("none");
      if (!response.ok) throw new Error(`status ${response.status}`);
      onState("live");
      wait = 1000;
      await readAll(response.body, ({ id, event, data }) => {
        cursor = id || cursor;
        if (event === "study") onStudy(JSON.parse(data));
      });
    } catch (error) {
      if (error.name === "AbortError") return undefined;
    }
    onState("waiting");
    await new Promise((resolve) => setTimeout(resolve, wait));
    wait = Math.min(wait * 2, LONGEST);
  }
  return undefined;
}

export async function readAll(body, onEvent) {
  const feed = eventReader(onEvent);
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    feed(value);
  }
}
