// What takes a while: uploads, downloads, transfers. Each is a line in the tray, with its progress and how it ended.

import { h, say } from "./dom.js";
import { icon } from "./icons.js";
import { follow } from "./page.js";

const jobs = new Set();
let tray = null;
const SYMBOLS = { busy: "busy", done: "check", warning: "warning", failed: "error", cancelled: "close" };
const MOST_LINES = 300;
const isBad = ({ state }) => state === "failed" || state === "warning";

// A job: `title`; `note` says how far it is; `part` is from 0 to 1, or null where nobody knows; `state` is one of
// SYMBOLS; `lines` are {name, state, note, todo}, of which `todo` is {words, href}; `cancel` ends it; `undo`, once it ended, takes it back.
export class Job {
  constructor(title, cancel = null) {
    Object.assign(this, { title, cancel, note: "", part: null, state: "busy", lines: [], undo: null });
    jobs.add(this);
    tray?.draw();
  }

  set(parts) {
    Object.assign(this, parts);
    tray?.soon();
  }

  end(state, note) {
    this.set({ state, note, cancel: null, part: 1 });
  }
}

class JobTray extends HTMLElement {
  connectedCallback() {
    tray = this;
    this.lines = new Map();
    this.setAttribute("role", "region");
    this.setAttribute("aria-label", "Transfers");
    this.draw();
  }

  soon() {
    this.asked ||= setTimeout(() => {
      this.asked = 0;
      this.draw();
    }, 60);
  }

  draw() {
    this.hidden = !jobs.size;
    for (const [job, line] of this.lines) {
      if (jobs.has(job)) continue;
      line.remove();
      this.lines.delete(job);
    }
    for (const job of jobs) {
      if (!this.lines.has(job)) {
        this.lines.set(job, this.make(job));
        this.append(this.lines.get(job));
      }
      this.fill(job, this.lines.get(job));
    }
  }

  make(job) {
    const close = h("button", { type: "button", class: "plain", onclick: () => (job.cancel ? job.cancel() : this.dismiss(job)) });
    const undo = h("button", { type: "button", class: "undo", hidden: true, onclick: () => job.undo?.() }, "Undo");
    undo.setAttribute("aria-label", `Undo: ${job.title}`);
    const bar = h("progress", { max: 1, "aria-label": job.title });
    return h("section", { class: "job" }, h("span", { class: "symbol" }), h("div", { class: "job-text" }, h("strong", {}, job.title), h("p", { role: "status" }), undo), close, bar,
      h("details", { hidden: true }, h("summary", {}, "Details"), h("ul", {})));
  }

  fill(job, line) {
    const [symbol, words, button, bar, details] = line.children;
    if (line.dataset.state !== job.state) symbol.replaceChildren(icon(SYMBOLS[job.state]));
    line.dataset.state = job.state;
    say(words.querySelector("p"), job.note);
    words.lastChild.hidden = !job.undo;
    const act = job.cancel ? "Cancel" : "Dismiss";
    button.setAttribute("aria-label", `${act}: ${job.title}`);
    if (button.textContent !== act) say(button, act);
    if (job.part === null) bar.removeAttribute("value");
    else bar.value = job.part;
    details.hidden = !job.lines.length;
    if (job.lines.some(isBad) && !details.dataset.shown) {
      details.open = true;
      details.dataset.shown = "yes";
    }
    this.fillLines(job, details.lastChild);
  }

  // Problems first, and no more lines than somebody reads.
  fillLines(job, element) {
    const shown = [...job.lines.filter(isBad), ...job.lines.filter((one) => !isBad(one))].slice(0, MOST_LINES);
    const key = shown.map((one) => `${one.name}\t${one.state}\t${one.note}`).join("\n");
    if (element.dataset.key === key) return;
    element.dataset.key = key;
    element.replaceChildren(...shown.map((one) => h("li", { data: { state: one.state } },
      h("span", { class: "file", title: one.name }, one.name), h("span", { class: "second" }, one.note), one.todo && (one.todo.href ? h("a", { href: one.todo.href, onclick: follow }, one.todo.words) : h("span", { class: "what-to-do" }, one.todo.words)))));
  }

  dismiss(job) {
    jobs.delete(job);
    this.draw();
    if (!document.activeElement || document.activeElement === document.body) document.querySelector("study-table")?.focusRow();
  }
}

customElements.define("job-tray", JobTray);
