// Studies are deleted, for a reason, and brought back as long as the tray shows the deletion.

import { ask, studyPath } from "./archive.js";
import { TAG, day, nameParts, text } from "./dicom.js";
import { h, say } from "./dom.js";
import { Job } from "./jobs.js";
import { leave, refresh, uidOf } from "./page.js";

const LONGEST_REASON = 200;
const MOST_NAMED = 5;
const REASONS = ["Sent twice", "Sent for the wrong patient", "Poor quality", "Test images"];
export const plural = (many) => `${many} ${many === 1 ? "study" : "studies"}`;

export function nameOf(study) {
  const parts = [nameParts(study, TAG.PatientName).main || text(study, TAG.PatientID), day(text(study, TAG.StudyDate)), text(study, TAG.StudyDescription)];
  return parts.filter(Boolean).join(" · ") || uidOf(study);
}

// The studies that a dialog is about, as lines.
export function namesOf(studies) {
  const more = studies.length - MOST_NAMED;
  return [...studies.slice(0, MOST_NAMED).map(nameOf), ...(more > 0 ? [`and ${more} more`] : [])];
}

class DeleteDialog extends HTMLElement {
  connectedCallback() {
    this.heading = h("h2", { id: "delete-title" });
    this.named = h("ul", { class: "named" });
    this.reason = h("input", { id: "delete-reason", type: "text", required: true, maxLength: LONGEST_REASON, autocomplete: "off" });
    this.reason.setAttribute("list", "delete-reasons");
    this.dialog = h("dialog", { id: "delete", "aria-labelledby": "delete-title" }, h("form", { method: "dialog" }, this.heading, this.named,
      h("label", {}, "Reason", this.reason), h("datalist", { id: "delete-reasons" }, ...REASONS.map((value) => h("option", { value }))),
      h("p", { class: "second" }, "It is kept for ever with the deletion: no patient's name belongs in it. Deleted studies can be restored until the archive's grace time is over."),
      h("div", { class: "row-of-buttons" }, h("button", { type: "button", onclick: () => this.dialog.close("") }, "Cancel"), h("button", { class: "danger", value: "delete" }, "Delete"))));
    this.append(this.dialog);
    this.dialog.addEventListener("close", () => {
      if (this.dialog.returnValue === "delete") remove(this.studies, this.reason.value.trim());
    });
  }

  open(studies) {
    this.studies = studies;
    say(this.heading, `Delete ${plural(studies.length)}?`);
    this.named.replaceChildren(...namesOf(studies).map((name) => h("li", {}, name)));
    this.reason.value = "";
    this.dialog.returnValue = "";
    this.dialog.showModal();
    this.reason.focus();
  }
}

// Delete studies one after another; those that cannot be deleted say why.
export async function remove(studies, reason) {
  const asked = `?${new URLSearchParams({ reason })}`;
  const { job, done } = await each(`Deletion of ${plural(studies.length)}`, studies, (path) => ask(`${path}${asked}`, { method: "DELETE", accept: "*/*" }));
  const refused = studies.length - done.length;
  job.end(refused ? (done.length ? "warning" : "failed") : "done", `${plural(done.length)} deleted${refused ? `, ${refused} not` : ""}`);
  if (done.length) job.set({ undo: () => restore(job, done) });
  leave(done.map(uidOf));
  await refresh();
}

// `asked(study)` is the query of its address.
export async function restore(deletion, studies, asked = () => "") {
  deletion.set({ undo: null });
  const { job, done } = await each(`Restoration of ${plural(studies.length)}`, studies, (path, study) => ask(`${path}/restore${asked(study)}`, { method: "POST", accept: "*/*" }));
  const refused = studies.length - done.length;
  job.end(refused ? "warning" : "done", `${plural(done.length)} restored${refused ? `, ${refused} not` : ""}`);
  await refresh();
}

export async function each(title, studies, act) {
  const stop = new AbortController();
  const job = new Job(title, () => stop.abort());
  const lines = studies.map((study) => ({ name: nameOf(study), state: "waiting", note: "" }));
  job.set({ lines, part: 0 });
  const done = [];
  for (const [at, study] of studies.entries()) {
    if (stop.signal.aborted) {
      Object.assign(lines[at], { state: "cancelled", note: "not done" });
      continue;
    }
    try {
      await act(studyPath(uidOf(study)), study);
      done.push(study);
      Object.assign(lines[at], { state: "done", note: "" });
    } catch (error) {
      Object.assign(lines[at], { state: "failed", note: error.message });
    }
    job.set({ part: (at + 1) / studies.length, note: `${at + 1} of ${studies.length}` });
  }
  return { job, done };
}

customElements.define("delete-dialog", DeleteDialog);
