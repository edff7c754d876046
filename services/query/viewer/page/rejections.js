// Studies are rejected (IHE IOCM): a rejection note of each is stored as any object is, and what it names is hidden.

import { ArchiveError, searchAll, storeObjects } from "./archive.js";
import { each, nameOf, plural, restore } from "./deletions.js";
import { h } from "./dom.js";
import { leave, refresh, store, uidOf } from "./page.js";
import { CODES, refusal, rejectionNote, uidOfBytes } from "./rejecting.js";

const MOST_NAMED = 5;
const MOST_INSTANCES = 20_000;
const PAGE = 1000;

// Ask why, and reject these studies.
export function rejectStudies(studies) {
  const codes = store.state.mayReject;
  const choice = (value, at) => h("label", { class: "choice" }, h("input", { type: "radio", name: "reject-code", value, checked: !at, required: true }), CODES[value].name);
  const words = h("input", { id: "reject-words", type: "text", maxLength: 200, autocomplete: "off" });
  const dialog = h("dialog", { id: "reject", "aria-labelledby": "reject-title" });
  const more = studies.length - MOST_NAMED;
  dialog.append(h("form", { method: "dialog" }, h("h2", { id: "reject-title" }, `Reject ${plural(studies.length)}?`),
    h("ul", { class: "named" }, ...studies.slice(0, MOST_NAMED).map((study) => h("li", {}, nameOf(study))), more > 0 ? h("li", {}, `and ${more} more`) : null),
    h("div", { role: "radiogroup", "aria-label": "Why", class: "choices" }, ...codes.map(choice)), h("label", {}, "In words, for who looks into it later", words),
    h("p", { class: "second" }, "A rejection note says so in the study, and other systems that read it hide the images, too. Here nobody finds them any more, but by a view for quality assurance."),
    h("div", { class: "row-of-buttons" }, h("button", { type: "button", onclick: () => dialog.close("") }, "Cancel"), h("button", { class: "danger", value: "reject" }, "Reject"))));
  dialog.addEventListener("close", () => {
    const chosen = dialog.querySelector("input[name=reject-code]:checked").value;
    dialog.remove();
    if (dialog.returnValue === "reject") reject(studies, chosen, words.value.trim());
  });
  document.body.append(dialog);
  dialog.showModal();
  dialog.querySelector("input").focus();
}

async function reject(studies, value, words) {
  const { job, done } = await each(`Rejection of ${plural(studies.length)}`, studies, (path, study) => storeNote(path, study, value, words));
  const refused = studies.length - done.length;
  job.end(refused ? (done.length ? "warning" : "failed") : "done", `${plural(done.length)} rejected${refused ? `, ${refused} not` : ""}`);
  if (done.length && store.state.mayDelete) job.set({ undo: () => restore(job, done) });
  leave(done.map(uidOf));
  await refresh();
}

async function storeNote(path, study, value, words) {
  const instances = await searchAll(`${path}/instances?limit=${PAGE}`);
  if (!instances.length) throw new Error("it has no images any more");
  if (instances.length > MOST_INSTANCES) throw new Error(`it has more than ${MOST_INSTANCES} images`);
  const newUid = () => uidOfBytes(crypto.getRandomValues(new Uint8Array(16)));
  const note = rejectionNote(study, instances, value, words, new Date(), newUid);
  try {
    await storeObjects([note]);
  } catch (error) {
    throw error instanceof ArchiveError ? inWords(error) : error;
  }
}

function inWords(error) {
  let words = "";
  try {
    words = refusal(JSON.parse(error.said));
  } catch {
    // It is a line already.
  }
  return words ? new Error(words) : error;
}
