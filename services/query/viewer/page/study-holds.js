// The holds on a study and its patient, on the study itself.

import { askJson, isAbsent, studyPath } from "./archive.js";
import { h } from "./dom.js";
import { icon } from "./icons.js";
import { store } from "./page.js";

const moment = (at) => new Date(at / 1000).toISOString().slice(0, 16).replace("T", " ");

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
    const button = store.state.mayHold && h("button", { type: "button", onclick: () => this.release(one, words) }, "Release");
    return h("li", {}, h("span", { class: "moment" }, moment(one.at)), h("div", {}, h("div", {}, words), button || null));
  }

  async place() {
    await (await import("./holds.js")).placeHolds([store.state.shown]);
  }

  async release({ hold }, words) {
    const { release, releaseHold } = await import("./holds.js");
    await releaseHold(words, (reason) => release(this.uid, hold, reason));
  }
}

customElements.define("study-holds", StudyHolds);
