// Studies are rejected (IHE IOCM): a rejection note of each is stored as any object is, and what it names is hidden.

import { ArchiveError, searchAll, storeObjects } from "./archive.js";
import { each, namesOf, plural, restore } from "./deletions.js";
import { TAG, text } from "./dicom.js";
import { h } from "./dom.js";
import { plural as counted } from "./operations.js";
import { leave, refresh, store, uidOf } from "./page.js";
import { CODES, named, refusal, rejectionNote, uidOfBytes } from "./rejecting.js";

const MOST_INSTANCES = 20_000;
const PAGE = 1000;

const listOf = (studies) => h("ul", { class: "named" }, ...namesOf(studies).map((name) => h("li", {}, name)));

// Ask why, and reject these studies.
export function rejectStudies(studies) {
  openDialog(plural(studies.length), [listOf(studies)], (value, words) => reject(plural(studies.length), studies, value, words, (path) => searchAll(`${path}/instances?limit=${PAGE}`)));
}

// Ask which series or images of the study in a view, and why.
export function rejectParts(view) {
  const { current: study, all = [], stack, chosen } = view;
  const image = stack.frames[stack.at]?.instance.split("/").pop();
  const number = image && text((view.instances || []).find((one) => text(one, TAG.SOPInstanceUID) === image), TAG.InstanceNumber);
  const rows = all.map((one) => {
    const uid = text(one, TAG.SeriesInstanceUID);
    const here = uid === chosen;
    const name = [text(one, TAG.SeriesNumber), text(one, TAG.SeriesDescription) || "Series"].filter(Boolean).join(" · ");
    const images = h("input", { type: "text", placeholder: "all, or 1-3, 7", maxLength: 200, autocomplete: "off", "aria-label": `Images of series ${name}` });
    const box = h("input", { type: "checkbox", checked: here, onchange: () => { images.hidden = !box.checked; } });
    images.hidden = !box.checked;
    const only = here && number ? h("button", { type: "button", onclick: () => { box.checked = true; images.hidden = false; images.value = number; } }, `Only image ${number}`) : null;
    return { uid, name, box, images, line: h("li", {}, h("label", { class: "choice" }, box, `${name}, ${text(one, TAG.Modality)}, ${counted(Number(text(one, TAG.NumberOfSeriesRelatedInstances)), "image")}`), images, only) };
  });
  const problem = h("p", { class: "problem", role: "alert" });
  const what = [listOf([study]), h("ul", { class: "parts", role: "group", "aria-label": "Series" }, ...rows.map(({ line }) => line)), problem];
  openDialog("series or images", what, (value, words) => rejectSome(view, study, rows, value, words), (event) => {
    problem.textContent = rows.some(({ box }) => box.checked) ? "" : "Nothing is chosen.";
    if (problem.textContent) event.preventDefault();
  });
}

async function rejectSome(view, study, rows, value, words) {
  const whenDone = async () => {
    const uid = uidOf(study);
    const left = await view.study(uid).catch(() => study);
    if (!left) leave([uid]);
    else if (view.uid === uid && view.isConnected) view.show(uid, left, view.chosen);
  };
  const chosen = async (path) => {
    const found = [];
    for (const { uid, name, images } of rows.filter(({ box }) => box.checked)) {
      try {
        found.push(...named(await searchAll(`${path}/series/${encodeURIComponent(uid)}/instances?limit=${PAGE}`), images.value));
      } catch (error) {
        throw new Error(`series ${name}: ${error.message}`);
      }
    }
    return found;
  };
  await reject("parts of a study", [study], value, words, chosen, whenDone);
}

// `check` may keep the dialog open. Afterwards `act(code, words)`.
function openDialog(title, what, act, check = null) {
  const choice = (value, at) => h("label", { class: "choice" }, h("input", { type: "radio", name: "reject-code", value, checked: !at, required: true }), CODES[value].name);
  const words = h("input", { id: "reject-words", type: "text", maxLength: 200, autocomplete: "off" });
  const dialog = h("dialog", { id: "reject", "aria-labelledby": "reject-title" });
  dialog.append(h("form", { method: "dialog", onsubmit: check }, h("h2", { id: "reject-title" }, `Reject ${title}?`), ...what,
    h("div", { role: "radiogroup", "aria-label": "Why", class: "choices" }, ...store.state.mayReject.map(choice)), h("label", {}, "In words, for who looks into it later", words),
    h("p", { class: "second" }, "A rejection note says so in the study, and other systems that read it hide the images, too. Here nobody finds them any more, but by a view for quality assurance."),
    h("div", { class: "row-of-buttons" }, h("button", { type: "button", onclick: () => dialog.close("") }, "Cancel"), h("button", { class: "danger", value: "reject" }, "Reject"))));
  dialog.addEventListener("close", () => {
    const chosen = dialog.querySelector("input[name=reject-code]:checked").value;
    dialog.remove();
    if (dialog.returnValue === "reject") act(chosen, words.value.trim());
  });
  document.body.append(dialog);
  dialog.showModal();
  dialog.querySelector("input").focus();
}

// `instancesOf(path)` resolves to what is rejected of a study. Undo revokes what these notes hide, and nothing that was
// rejected before.
async function reject(title, studies, value, words, instancesOf, whenDone = null) {
  const notes = new Map();
  const { job, done } = await each(`Rejection of ${title}`, studies, async (path, study) => notes.set(study, await storeNote(await instancesOf(path), study, value, words)));
  const refused = studies.length - done.length;
  job.end(refused ? (done.length ? "warning" : "failed") : "done", `${whenDone && done.length ? counted(notes.get(done[0]).many, "image") : plural(done.length)} rejected${refused ? `, ${refused} not` : ""}`);
  const undo = async () => {
    await restore(job, done, (study) => `?${new URLSearchParams({ note: notes.get(study).uid })}`);
    whenDone?.();
  };
  if (done.length && store.state.mayDelete) job.set({ undo });
  if (!whenDone) leave(done.map(uidOf));
  await refresh();
  if (done.length) whenDone?.();
}

async function storeNote(instances, study, value, words) {
  if (!instances.length) throw new Error("it has no images any more");
  if (instances.length > MOST_INSTANCES) throw new Error(`it has more than ${MOST_INSTANCES} images`);
  const newUid = () => uidOfBytes(crypto.getRandomValues(new Uint8Array(16)));
  const note = rejectionNote(study, instances, value, words, new Date(), newUid);
  try {
    await storeObjects([note]);
  } catch (error) {
    throw error instanceof ArchiveError ? inWords(error) : error;
  }
  return { uid: text(note, TAG.SOPInstanceUID), many: instances.length };
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
