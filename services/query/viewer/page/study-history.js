// What was corrected of a study, when, by whom and why; what stands can be taken back.

import { askJson, dictionary, isAbsent, studyPath } from "./archive.js";
import { linesOf } from "./correcting.js";
import { change } from "./corrections.js";
import { h } from "./dom.js";
import { refresh, store } from "./page.js";

const WORDS = { study: "Study corrected", series: "Series corrected", patient: "Patient corrected", merge: "Merged into another patient" };
const moment = (at) => new Date(at / 1000).toISOString().slice(0, 16).replace("T", " ");

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
