// A study or its patient is corrected, and patients are merged, for a reason; the tray takes it back.

import { BASE, askJson, search, studyPath } from "./archive.js";
import { FIELDS, changed, fieldsOf, identity, patientsOf } from "./correcting.js";
import { TAG, nameParts, text } from "./dicom.js";
import { h, say } from "./dom.js";
import { run } from "./operations.js";
import { refresh, store, uidOf } from "./page.js";

const LONGEST_REASON = 200;
const REASONS = ["Misspelt", "Wrong patient was chosen", "Wrong order", "Registered twice"];
const JSON_TYPE = "application/json";
const buttons = (dialog, id, name) => h("div", { class: "row-of-buttons" }, h("button", { type: "button", onclick: () => dialog().close("") }, "Cancel"), h("button", { class: "primary", value: id }, name));

function reasonField(id) {
  const input = h("input", { id: `${id}-reason`, type: "text", required: true, maxLength: LONGEST_REASON, autocomplete: "off" });
  input.setAttribute("list", `${id}-reasons`);
  return { input, parts: [h("label", {}, "Reason", input), h("datalist", { id: `${id}-reasons` }, ...REASONS.map((value) => h("option", { value })))] };
}

class CorrectDialog extends HTMLElement {
  connectedCallback() {
    this.heading = h("h2", { id: "correct-title" }, "Correct");
    this.problem = h("p", { role: "alert", class: "problem" });
    this.inputs = Object.fromEntries(FIELDS.map(({ id, name, hint, longest }) => [id, h("input", { id: `correct-${id}`, type: "text", autocomplete: "off", maxLength: longest, placeholder: hint })]));
    const scope = (value, words, checked) => h("label", { class: "choice" }, h("input", { type: "radio", name: "correct-scope", value, checked, onchange: () => this.scoped() }), words);
    this.scopes = h("div", { role: "radiogroup", "aria-label": "What is corrected", class: "choices" }, scope("study", "This study", true), scope("patient", "The patient, in all studies", false));
    const { input, parts } = reasonField("correct");
    this.reason = input;
    this.dialog = h("dialog", { id: "correct", "aria-labelledby": "correct-title" }, h("form", { method: "dialog" }, this.heading, this.scopes,
      h("div", { class: "fields" }, ...FIELDS.map(({ id, name }) => h("label", { data: { field: id } }, name, this.inputs[id]))), ...parts,
      h("p", { class: "second" }, "What was received stays as it is. Everybody sees what is corrected here, and it can be taken back."), this.problem,
      buttons(() => this.dialog, "correct", "Correct")));
    this.append(this.dialog);
    this.dialog.querySelector("form").addEventListener("submit", (event) => this.submit(event));
  }

  open(study) {
    this.study = study;
    this.before = fieldsOf(study);
    for (const { id } of FIELDS) this.inputs[id].value = this.before[id];
    this.learnMark(study);
    this.scopes.querySelector("input[value=study]").checked = true;
    this.scopes.querySelector("input[value=patient]").disabled = !this.before.patientId;
    this.scoped();
    this.reason.value = "";
    say(this.problem, "");
    this.dialog.showModal();
    this.inputs.name.focus();
  }

  get ofPatient() {
    return this.scopes.querySelector("input:checked").value === "patient";
  }

  scoped() {
    for (const { id, patient } of FIELDS) this.inputs[id].disabled = this.ofPatient && !patient;
    this.inputs.confidential.disabled = !this.marked;
  }

  // Whether a study is confidential is in no list; the field waits until it is known, and is not there for who may not
  // decide it.
  async learnMark(study) {
    const { mayMark } = store.state;
    this.marked = false;
    this.querySelector("[data-field=confidential]").hidden = !mayMark;
    if (!mayMark) return;
    const tag = FIELDS.at(-1).tag;
    const { items } = await search(`${BASE}/studies?StudyInstanceUID=${uidOf(study)}&includefield=${tag}`).catch(() => ({ items: [] }));
    if (this.study !== study || !items.length) return;
    this.before.confidential = this.inputs.confidential.value = fieldsOf(items[0]).confidential;
    this.marked = true;
    this.scoped();
  }

  submit(event) {
    if (event.submitter?.value !== "correct") return;
    const after = Object.fromEntries(FIELDS.map(({ id }) => [id, this.inputs[id].value]));
    const { values, problem } = changed(this.study, this.before, after, this.ofPatient);
    say(this.problem, problem);
    if (problem) {
      event.preventDefault();
      return;
    }
    correct(this.study, values, this.reason.value.trim(), this.ofPatient);
  }
}

// Correct a study, or its patient; the tray says how it went.
async function correct(study, values, reason, ofPatient) {
  const patient = identity(study);
  const post = ofPatient
    ? () => change(`${BASE}/patients/corrections`, reason, { patient, values })
    : () => change(`${studyPath(uidOf(study))}/corrections`, reason, values);
  const back = ofPatient
    ? (made) => change(`${BASE}/patients/withdrawals`, "Undone on the page", { patient, correction: made.correction })
    : (made) => change(`${studyPath(uidOf(study))}/corrections/${made.correction}`, "Undone on the page", null, "DELETE");
  await decide(`Correction of ${nameOf(study)}`, post, back, ofPatient ? "The patient is corrected, in all studies" : "The study is corrected");
}

class MergeDialog extends HTMLElement {
  connectedCallback() {
    this.list = h("div", { role: "radiogroup", "aria-label": "The patient that stays", class: "choices" });
    this.words = h("p", { class: "second" });
    this.go = buttons(() => this.dialog, "merge", "Merge");
    const { input, parts } = reasonField("merge");
    this.reason = input;
    this.dialog = h("dialog", { id: "merge", "aria-labelledby": "merge-title" }, h("form", { method: "dialog" },
      h("h2", { id: "merge-title" }, "Merge two patients"), h("p", {}, "Which one stays?"), this.list, ...parts, this.words, this.go));
    this.append(this.dialog);
    this.dialog.addEventListener("close", () => this.closed());
  }

  open(studies) {
    this.patients = patientsOf(studies);
    this.list.replaceChildren(...this.patients.map(({ study, key }, at) => h("label", { class: "choice" }, h("input", { type: "radio", name: "merge-into", value: key, checked: !at, required: true }),
      h("span", {}, nameOf(study)), h("span", { class: "second" }, [text(study, TAG.PatientID), text(study, TAG.IssuerOfPatientID)].filter(Boolean).join(" · ")))));
    say(this.words, "All studies of the other patient, also those that come later, are shown with the ID and the name of the one that stays. It can be taken back.");
    this.reason.value = "";
    this.dialog.returnValue = "";
    this.dialog.showModal();
    this.reason.focus();
  }

  closed() {
    const key = this.dialog.querySelector("input:checked")?.value;
    if (this.dialog.returnValue !== "merge" || !key) return;
    const into = this.patients.find((one) => one.key === key);
    merge(this.patients.find((one) => one.key !== key).study, into.study, this.reason.value.trim());
  }
}

async function merge(prior, surviving, reason) {
  const patient = identity(prior);
  const post = () => change(`${BASE}/patients/merges`, reason, { patient, into: identity(surviving) });
  const back = (made) => change(`${BASE}/patients/withdrawals`, "Undone on the page", { patient, correction: made.correction });
  await decide(`Merge of ${nameOf(prior)} into ${nameOf(surviving)}`, post, back, "The patients are one");
}

// Both ways the list shows what is so then.
async function decide(title, post, back, words) {
  await run(title, post, () => words, (made) => back(made).finally(refresh));
  await refresh();
}

// Ask the archive for a change; `body` is sent as JSON.
export function change(path, reason, body, method = "POST") {
  const sent = body === null ? {} : { body: JSON.stringify(body), type: JSON_TYPE };
  return askJson(`${path}?${new URLSearchParams({ reason })}`, { method, ...sent });
}

function nameOf(study) {
  return nameParts(study, TAG.PatientName).main || text(study, TAG.PatientID) || "(no name)";
}

customElements.define("correct-dialog", CorrectDialog);
customElements.define("merge-dialog", MergeDialog);
