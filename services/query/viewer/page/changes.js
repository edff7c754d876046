// Follows the archive's feed of changes, for as long as the page is open.

import { BASE, authorization } from "./archive.js";

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
      // Nobody is known by what this page has. That is so until somebody uses it: he signs in, or the session goes on.
      if (response.status === 401) await new Promise((resolve) => addEventListener("pointerdown", resolve, { once: true }));
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

// A text/event-stream, as it arrives. Pure. https://html.spec.whatwg.org/multipage/server-sent-events.html
// Feed it text; it calls `onEvent({id, event, data})` for each event that is whole, and `onRetry(milliseconds)`.
export function eventReader(onEvent, onRetry = () => {}) {
  let buffer = "";
  let id = "";
  let event = "";
  let data = [];

  const line = (written) => {
    if (!written) {
      if (data.length) onEvent({ id, event: event || "message", data: data.join("\n") });
      event = "";
      data = [];
      return;
    }
    const found = /^([^:]*)(?:: ?(.*))?$/s.exec(written);
    const [field, value] = [found[1], found[2] || ""];
    if (field === "data") data.push(value);
    else if (field === "event") event = value;
    else if (field === "id" && !value.includes("\0")) id = value;
    else if (field === "retry" && /^\d+$/.test(value)) onRetry(Number(value));
  };

  return (text) => {
    buffer += text;
    // A carriage return at the end may be half of a line's end.
    const lines = buffer.split(/\r\n|\n|\r(?!$)/);
    buffer = lines.pop();
    lines.forEach(line);
  };
}
