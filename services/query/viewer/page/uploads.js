// Files and folders into the archive by STOW-RS (PS3.18 10.5), some files a request.

import { ArchiveError, BASE, authorization, search, token, tokenAgain } from "./archive.js";
import { TAG, text } from "./dicom.js";
import { Job } from "./jobs.js";
import { store } from "./page.js";
import { batches, instanceUid, isDicom, outcomes } from "./part10.js";

const HEAD = 4096;
const plural = (many, word) => `${many} ${word}${many === 1 ? "" : "s"}`;

class Stopped extends Error {}

// Send files; resolves when all is said and done.
export async function upload(files, whenStored) {
  if (!files.length) return;
  const stop = new AbortController();
  const job = new Job(`Upload of ${plural(files.length, "file")}`, () => stop.abort());
  job.set({ note: "Reading", part: 0 });
  const tally = new Map();
  const all = await Promise.all(files.map(head));
  job.set({ lines: all });
  for (const line of all) if (line.state === "skipped") note(tally, line);
  const good = all.filter((line) => line.state === "waiting");
  const total = good.reduce((sum, line) => sum + line.size, 0) || 1;
  let sent = 0;
  for (const batch of batches(good)) {
    if (stop.signal.aborted) break;
    await carry(batch, stop.signal, (bytes) => {
      progress(batch, bytes);
      job.set({ part: (sent + bytes) / total, note: `${words(tally) || "Sending"} · ${Math.round((100 * (sent + bytes)) / total)} %` });
    });
    batch.forEach((line) => note(tally, line));
    sent += batch.reduce((sum, line) => sum + line.size, 0);
    whenStored();
  }
  finish(job, tally, good, stop.signal.aborted);
}

function finish(job, tally, good, stopped) {
  if (stopped) {
    for (const line of good) if (line.state === "waiting") Object.assign(line, { state: "cancelled", note: "not sent" });
  }
  const failed = [...tally].some(([outcome]) => outcome === "refused" || outcome === "conflict");
  job.end(stopped ? "cancelled" : failed ? "warning" : "done", [words(tally), stopped ? "cancelled" : ""].filter(Boolean).join(", ") || "Nothing to store");
}

function words(tally) {
  return [...tally].map(([outcome, many]) => `${many} ${outcome}`).join(", ");
}

function note(tally, line) {
  if (line.outcome) tally.set(line.outcome, (tally.get(line.outcome) || 0) + 1);
}

async function head(file) {
  const line = { file, name: file.webkitRelativePath || file.name, size: file.size, uid: "", state: "waiting", note: "" };
  try {
    const bytes = new Uint8Array(await file.slice(0, HEAD).arrayBuffer());
    if (file.name === "DICOMDIR" || !isDicom(bytes)) Object.assign(line, { state: "skipped", outcome: "left out", note: "no DICOM object" });
    else line.uid = instanceUid(bytes);
  } catch {
    Object.assign(line, { state: "failed", outcome: "refused", note: "the file cannot be read" });
  }
  return line;
}

// Progress within a request, by file: they go out one behind the other.
function progress(batch, bytes) {
  let before = 0;
  for (const line of batch) {
    const part = Math.min(Math.max((bytes - before) / (line.size || 1), 0), 1);
    line.note = part >= 1 ? "sent" : part > 0 ? `${Math.round(part * 100)} %` : "";
    before += line.size;
  }
}

// One request, and what became of each of its files.
async function carry(batch, signal, onProgress) {
  try {
    const known = await alreadyThere(batch, signal);
    const before = token();
    let answer = await send(batch, signal, onProgress);
    if (answer.status === 401) {
      await tokenAgain(before);
      answer = await send(batch, signal, onProgress);
    }
    const document = parsed(answer);
    outcomes(document, batch, known).forEach(({ outcome, reason }, at) => {
      const todo = outcome !== "conflict" ? null : store.state.mayOperate ? { href: `/operations/conflicts/${batch[at].uid}`, words: "Compare, and decide" } : { words: "Who runs the archive decides" };
      Object.assign(batch[at], { outcome, todo, state: todo ? "warning" : reason ? "failed" : "done", note: reason ? `${outcome}: ${reason}` : outcome });
    });
  } catch (error) {
    const stopped = error instanceof Stopped || error.name === "AbortError";
    for (const line of batch) Object.assign(line, stopped ? { state: "cancelled", note: "cancelled" } : { state: "failed", outcome: "refused", note: error.message });
  }
}

function parsed(answer) {
  try {
    const document = JSON.parse(answer.responseText);
    if (document && typeof document === "object") return document;
  } catch {
    // Words, then.
  }
  throw new ArchiveError(answer.status, answer.responseText.trim().slice(0, 200));
}

// Which of these objects the archive has already.
async function alreadyThere(batch, signal) {
  const uids = batch.map((line) => line.uid).filter(Boolean);
  if (!uids.length) return new Set();
  const { items } = await search(`${BASE}/instances?SOPInstanceUID=${uids.join(",")}&limit=${uids.length * 2}`, signal).catch(() => ({ items: [] }));
  return new Set(items.map((item) => text(item, TAG.SOPInstanceUID)));
}

function send(batch, signal, onProgress) {
  const boundary = `gantry-${crypto.getRandomValues(new Uint32Array(4)).join("-")}`;
  const parts = batch.flatMap(({ file }) => [`--${boundary}\r\nContent-Type: application/dicom\r\n\r\n`, file, "\r\n"]);
  const request = new XMLHttpRequest();
  return new Promise((resolve, reject) => {
    request.open("POST", `${BASE}/studies`);
    request.setRequestHeader("Content-Type", `multipart/related; type="application/dicom"; boundary=${boundary}`);
    request.setRequestHeader("Accept", "application/dicom+json");
    request.setRequestHeader("Prefer", "report-conflicts");
    for (const [name, value] of Object.entries(authorization())) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (event) => onProgress(event.loaded));
    request.addEventListener("load", () => resolve(request));
    request.addEventListener("error", () => reject(new Error("the connection broke")));
    request.addEventListener("abort", () => reject(new Stopped()));
    signal.addEventListener("abort", () => request.abort(), { once: true });
    request.send(new Blob([...parts, `--${boundary}--\r\n`]));
  });
}

// ---- what was dropped

// All files of what was dropped, those in folders too.
export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files];
  return (await Promise.all(entries.map(filesOf))).flat();
}

async function filesOf(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return found;
    for (const one of some) found.push(...(await filesOf(one)));
  }
}
