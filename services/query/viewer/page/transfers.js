// Studies out of the archive: as ZIP files to this machine, or to another AE by C-MOVE.

import { BASE, ask, askJson, studyPath, token } from "./archive.js";
import { namesOf, plural } from "./deletions.js";
import { TAG, nameParts, text } from "./dicom.js";
import { h, saveBlob } from "./dom.js";
import { Job } from "./jobs.js";
import { store, uidOf } from "./page.js";

const EVERY = 1000;

// A file name that says whose study it is, without characters that a file system refuses.
export function fileName(study) {
  const parts = [nameParts(study, TAG.PatientName).main, text(study, TAG.PatientID), text(study, TAG.StudyDate), text(study, TAG.ModalitiesInStudy)];
  const name = parts.filter(Boolean).join(" ").replaceAll(/[^\p{L}\p{N} ._-]/gu, "").trim();
  return `${name.slice(0, 120) || uidOf(study)}.zip`;
}

// One study without a token is the browser's own download, which can be as large as it likes; otherwise one after another.
export async function download(studies) {
  if (!studies.length) return;
  if (studies.length === 1 && !token()) {
    const link = h("a", { href: `${studyPath(uidOf(studies[0]))}?accept=application/zip`, download: fileName(studies[0]) });
    document.body.append(link);
    link.click();
    link.remove();
    return;
  }
  await fetchZips(`Download of ${plural(studies.length)}`, studies, fileName, "");
}

// Copies that name nobody, by a profile of the archive. The names of their files name nobody either.
export async function deidentify(studies) {
  const profiles = store.state.mayDeidentify;
  if (!studies.length || !profiles.length) return;
  const { askWhy } = await import("./operations.js");
  const why = await askWhy({ title: `De-identify ${plural(studies.length)}`, named: namesOf(studies), name: "Download copies", reasons: ["Teaching", "Research"], choices: profiles.map((name) => [name, `Profile ${name}`]),
    words: "Copies are downloaded, nothing here is changed. What cannot be de-identified is left out: README.TXT in each file says why. Nobody looks at pixels." });
  if (why) await fetchZips(`De-identified copies of ${plural(studies.length)}`, studies, (_, at) => `deidentified-${why.choice}-${at + 1}.zip`, `/deidentified?${new URLSearchParams({ profile: why.choice, reason: why.reason })}`);
}

async function fetchZips(title, studies, nameOf, path) {
  const stop = new AbortController();
  const job = new Job(title, () => stop.abort());
  const lines = studies.map((study, at) => ({ name: nameOf(study, at), state: "waiting", note: "" }));
  job.set({ lines, part: 0 });
  let done = 0;
  for (const [at, study] of studies.entries()) {
    if (stop.signal.aborted) break;
    done += await fetchZip(studyPath(uidOf(study)) + path, lines[at], stop.signal, (note) => job.set({ note: `${at + 1} of ${studies.length}: ${note}`, part: at / studies.length }));
  }
  const failed = lines.filter((line) => line.state === "failed").length;
  job.end(stop.signal.aborted ? "cancelled" : failed ? "warning" : "done", `${done} downloaded${failed ? `, ${failed} failed` : ""}`);
}

async function fetchZip(path, line, signal, onProgress) {
  try {
    const response = await ask(path, { accept: "application/zip", signal });
    const chunks = [];
    let bytes = 0;
    for (const reader = response.body.getReader(); ;) {
      const { done, value } = await reader.read();
      if (done) break;
      chunks.push(value);
      bytes += value.length;
      onProgress(`${(bytes / 1e6).toFixed(1)} MB`);
    }
    saveBlob(new Blob(chunks, { type: "application/zip" }), line.name);
    Object.assign(line, { state: "done", note: `${(bytes / 1e6).toFixed(1)} MB` });
    return 1;
  } catch (error) {
    Object.assign(line, error.name === "AbortError" ? { state: "cancelled", note: "cancelled" } : { state: "failed", note: error.message });
    return 0;
  }
}

// Each study to a destination, with what C-MOVE says of its sub-operations.
export async function send(studies, { aeTitle }) {
  const stop = new AbortController();
  const job = new Job(`${plural(studies.length)} to ${aeTitle}`, () => stop.abort());
  const lines = studies.map((study) => ({ name: fileName(study).slice(0, -4), state: "waiting", note: "" }));
  job.set({ lines, part: 0 });
  for (const [at, study] of studies.entries()) {
    if (stop.signal.aborted) break;
    await transfer(study, aeTitle, lines[at], stop.signal, (part) => job.set({ part: (at + part) / studies.length, note: lines[at].note }));
  }
  const failed = lines.filter((line) => line.state === "failed").length;
  const sent = lines.filter((line) => line.state === "done").length;
  job.end(stop.signal.aborted ? "cancelled" : failed ? "failed" : "done", `${plural(sent)} sent${failed ? `, ${failed} not` : ""}`);
}

async function transfer(study, destination, line, signal, onProgress) {
  let id = "";
  try {
    const body = JSON.stringify({ destination });
    ({ id } = await askJson(`${studyPath(uidOf(study))}/send`, { method: "POST", body, type: "application/json", signal }));
    for (;;) {
      const at = await askJson(`${BASE}/transfers/${encodeURIComponent(id)}`, { signal });
      const done = at.completed + at.failed + at.warning;
      const all = done + at.remaining;
      Object.assign(line, { note: `${done} of ${all} images${at.failed ? `, ${at.failed} failed` : ""}` });
      onProgress(all ? done / all : 0);
      if (at.state !== "running") {
        Object.assign(line, { state: at.state === "done" && !at.failed ? "done" : "failed", note: at.error ? `${line.note}: ${at.error}` : line.note });
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, EVERY));
      signal.throwIfAborted();
    }
  } catch (error) {
    if (error.name !== "AbortError") {
      Object.assign(line, { state: "failed", note: error.message });
      return;
    }
    Object.assign(line, { state: "cancelled", note: "cancelled" });
    if (id) ask(`${BASE}/transfers/${encodeURIComponent(id)}`, { method: "DELETE", accept: "application/json" }).catch(() => {});
  }
}
