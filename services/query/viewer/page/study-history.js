// What was decided about a study: holds on it and its patient, and what was corrected, when, by whom and why. What stands
// can be taken back.

import { askJson, dictionary, isAbsent, studyPath } from "./archive.js";
import { linesOf } from "./correcting.js";
import { change } from "./corrections.js";
import { TAG, nameParts, text } from "./dicom.js";
import { h } from "./dom.js";
import { icon } from "./icons.js";
import { askWhy, run } from "./operations.js";
import { refresh, store, uidOf } from "./page.js";

const moment = (at) => new Date(at / 1000).toISOString().slice(0, 16).replace("T", " ");
const WORDS = { study: "Study corrected", series: "Series corrected", patient: "Patient corrected", merge: "Merged into another patient" };

class StudyHistory extends HTMLElement {
  // Show the history of a study, as long as `signal` lets it. Resolves to how many corrections there are.
  async show(uid, signal) {
    this.replaceChildren();
    const [history, words] = await Promise.all([
      askJson(`${studyPath(uid)}/history`, { signal }).catch((error) => (isAbsent(error) || error.name === "AbortError" ? null : Promise.reject(error))),
      dictionary().catch(() => ({})),
    ]);
    if (signal.aborted) return 0;
    const names = (tag) => words[tag] || tag;
    const made = (history?.corrections || []).toReversed();
    this.replaceChildren(made.length ? h("ol", { class: "times" }, ...made.map((one) => this.line(uid, one, names))) : h("p", { class: "second" }, "Nothing of this study was corrected"));
    return made.length;
  }

  line(uid, one, names) {
    const values = one.values ? linesOf(one, names).map(({ name, value }) => h("div", { class: "second" }, `${name}: ${value}`)) : [h("div", { class: "second" }, "The values were erased")];
    const gone = one.withdrawn && h("div", { class: "second" }, `Taken back ${moment(one.withdrawn.at)} by ${one.withdrawn.by}: ${one.withdrawn.reason}`);
    const mayUndo = store.state.mayCorrect && !one.withdrawn && one.values && ["study", "series"].includes(one.of);
    const button = mayUndo && h("button", { type: "button", onclick: () => this.takeBack(uid, one.correction) }, "Take back");
    return h("li", {}, h("span", { class: "moment" }, moment(one.at)), h("div", {}, h("div", {}, `${WORDS[one.of]} by ${one.by}: ${one.reason}`), ...values, gone || null, button || null));
  }

  async takeBack(uid, correction) {
    await change(`${studyPath(uid)}/corrections/${correction}`, "Taken back on the page", null, "DELETE").catch((error) => this.prepend(h("p", { role: "alert", class: "problem" }, error.message)));
    this.dispatchEvent(new CustomEvent("corrected", { bubbles: true }));
    await refresh();
  }
}

customElements.define("study-history", StudyHistory);

// ---- holds: nothing of a study, or of any study of its patient, is deleted while one stands

const PLACING = ["A trial", "A complaint", "A court's order", "Teaching"];
const RELEASING = ["The trial is over", "The case is closed", "Placed by mistake"];

const nameOf = (study) => nameParts(study, TAG.PatientName).main || text(study, TAG.PatientID) || uidOf(study);

export function release(uid, hold, reason) {
  const asked = new URLSearchParams({ reason, hold });
  return askJson(`${studyPath(uid)}/holds?${asked}`, { method: "DELETE" });
}

// Ask why, and place a hold on each of some studies or their patients. Resolves to whether something was placed.
export async function placeHolds(studies) {
  const why = await askWhy({
    title: studies.length === 1 ? "Hold this study?" : `Hold ${studies.length} studies?`, named: studies.slice(0, 5).map(nameOf), name: "Place the hold", reasons: PLACING,
    choices: [["study", studies.length === 1 ? "This study" : "These studies"], ["patient", "All studies of the patient, and those that come later"]],
    words: "Nothing of what is held is deleted or collected, whoever asks, until the hold is released.",
  });
  if (!why) return false;
  let placed = false;
  for (const study of studies) {
    const uid = uidOf(study);
    const post = () => askJson(`${studyPath(uid)}/holds?${new URLSearchParams({ reason: why.reason })}`, { method: "POST", body: JSON.stringify({ on: why.choice }), type: "application/json" });
    const made = await run(`Hold: ${nameOf(study)}`, post, () => (why.choice === "patient" ? "The patient is held, with all studies" : "The study is held"), (done) => release(uid, done.hold, "Undone on the page"));
    placed ||= Boolean(made);
  }
  dispatchEvent(new CustomEvent("decided"));
  return placed;
}

// Ask why, and release one hold by `act(reason)`.
export async function releaseHold(words, act) {
  const why = await askWhy({ title: "Release this hold?", named: [words], name: "Release", reasons: RELEASING, words: "What it held can be deleted again, unless another hold or a rule keeps it." });
  const made = why && (await run("A hold is released", () => act(why.reason), () => "Released"));
  if (made) dispatchEvent(new CustomEvent("decided"));
  return Boolean(made);
}

class StudyHolds extends HTMLElement {
  connectedCallback() {
    this.listener = () => this.uid && this.show(this.uid, this.signal);
    addEventListener("decided", this.listener);
    this.ended = store.on(["mayHold"], this.listener);
  }

  disconnectedCallback() {
    removeEventListener("decided", this.listener);
    this.ended();
  }

  // Show them, as long as `signal` lets it, and tell how many there are by a "holds" event.
  async show(uid, signal) {
    Object.assign(this, { uid, signal });
    const answer = await askJson(`${studyPath(uid)}/holds`, { signal }).catch((error) => (isAbsent(error) || error.name === "AbortError" ? null : { holds: [], error }));
    if (signal.aborted) return;
    const holds = answer?.holds || [];
    const offered = answer && store.state.mayHold ? h("button", { type: "button", onclick: () => this.place() }, icon("hold"), "Place a hold …") : null;
    this.replaceChildren(...[answer?.error && h("p", { role: "alert", class: "second" }, `Whether it is held cannot be told: ${answer.error.message}`),
      holds.length ? h("ol", { class: "times" }, ...holds.map((one) => this.line(one))) : null, offered].filter(Boolean));
    this.dispatchEvent(new CustomEvent("holds", { bubbles: true, detail: holds.length }));
  }

  line(one) {
    const words = `${one.on === "patient" ? "The patient is held" : "Held"}${one.by === null ? "" : ` by ${one.by}: ${one.reason}`}`;
    const button = store.state.mayHold && h("button", { type: "button", onclick: () => this.giveBack(one, words) }, "Release");
    return h("li", {}, h("span", { class: "moment" }, moment(one.at)), h("div", {}, h("div", {}, words), button || null));
  }

  async place() {
    await placeHolds([store.state.shown]);
  }

  async giveBack({ hold }, words) {
    await releaseHold(words, (reason) => release(this.uid, hold, reason));
  }
}

customElements.define("study-holds", StudyHolds);
