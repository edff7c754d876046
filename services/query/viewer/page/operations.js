// What the sections of Operations and Worklist have in common: a wait that moves nothing, an error in words, tables, a
// reason that is asked for.

import { BASE, askJson } from "./archive.js";
import { h, say } from "./dom.js";
import { icon } from "./icons.js";
import { Job } from "./jobs.js";
import { follow, store } from "./page.js";

const AGAIN_AFTER = 20_000;
export const OPERATIONS = `${BASE}/operations`;

export const plural = (many, word, words = `${word}s`) => `${Number(many).toLocaleString("en")} ${many === 1 ? word : words}`;

// Microseconds since the epoch, as the commands write them.
export const moment = (at) => (at ? `${new Date(at / 1000).toISOString().slice(0, 19).replace("T", " ")}Z` : "");

// How long ago, in the largest unit that says something.
export function ago(at, now = Date.now()) {
  const seconds = Math.max(0, Math.round(now / 1000 - at / 1e6));
  for (const [name, size] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (seconds >= size) return `${plural(Math.floor(seconds / size), name)} ago`;
  }
  return seconds < 5 ? "just now" : `${plural(seconds, "second")} ago`;
}

// POST to operations; `reason` is kept with what is done.
export function act(path, { reason = "", body } = {}) {
  const asked = reason ? `?${new URLSearchParams({ reason })}` : "";
  return askJson(`${OPERATIONS}/${path}${asked}`, { method: "POST", body: JSON.stringify(body || {}), type: "application/json" });
}

export const SYMBOLS = { ok: "check", busy: "busy", warning: "warning", error: "error" };

// A state that differs by shape too.
export function state(kind, ...words) {
  return h("span", { class: "op-state", data: { state: kind } }, icon(SYMBOLS[kind]), h("span", {}, ...words));
}

export function link(href, text, more = {}) {
  return h("a", { href, onclick: follow, ...more }, text);
}

// `columns` are {name, number, wide, mono, phone}; a row is a list of cells, of which one holds a `.row-link`.
export function table(name, columns, rows) {
  const kind = ({ number, wide, mono, phone }) => [number && "number", wide && "wide", mono && "mono", phone === false && "not-on-phone"].filter(Boolean).join(" ") || null;
  const heads = columns.map((column) => h("th", { scope: "col", class: kind(column) }, column.name || h("span", { class: "spoken" }, "Actions")));
  const lines = rows.map((cells) => h("tr", {}, ...cells.map((cell, at) => h("td", { class: kind(columns[at]) }, ...[cell].flat()))));
  // Somebody without a mouse scrolls it by its links; without any it has the keyboard itself.
  const alone = !lines.some((line) => line.querySelector("a, button"));
  return h("div", { class: "op-table", ...(alone ? { tabIndex: 0, role: "group", "aria-label": name } : {}) }, h("table", { "aria-label": name }, h("thead", {}, h("tr", {}, ...heads)), h("tbody", {}, ...lines)));
}

export function nothing(title, ...words) {
  return h("div", { class: "op-nothing", role: "status" }, h("h3", {}, icon("check"), title), ...words.map((text) => h("p", { class: "second" }, text)));
}

function failed(error, again) {
  const closed = error.status === 403;
  return h("div", { class: "message", role: "alert" },
    h("h3", { class: "large" }, icon("error"), closed ? "This is not open to you" : "This cannot be shown"),
    h("p", {}, `The answer: ${error.message}`),
    closed ? null : h("ul", { class: "choices" }, h("li", {}, h("button", { type: "button", onclick: again }, "Ask again"))));
}

const waiting = () => h("div", { class: "op-waiting", "aria-hidden": "true" }, ...Array.from({ length: 8 }, () => h("i")));

// A section draws its head once, and what its address says into `this.body`.
export class Section extends HTMLElement {
  connectedCallback() {
    if (this.body) return;
    this.head = h("header", { class: "op-head" }, h("h2", { tabIndex: -1 }, this.title_));
    this.body = h("div", { class: "op-body" });
    this.append(this.head, this.body);
    this.running = new AbortController();
  }

  close() {
    this.running?.abort();
    clearInterval(this.timer);
  }

  // What others change is asked for again as long as somebody is at this place. Nobody's place in a list is taken away.
  renewWhileAt(place) {
    this.timer = setInterval(() => {
      if (store.state.place === place && !document.hidden && !this.contains(document.activeElement) && !document.querySelector("dialog[open]")) this.again?.();
    }, AGAIN_AFTER);
  }

  // Show what `load(path, asked, signal)` resolves to: elements. The last address wins; what is shown stays until then.
  async show(path, asked) {
    this.running.abort();
    this.running = new AbortController();
    const { signal } = this.running;
    const key = path.join("/");
    if (this.shown !== key) this.body.replaceChildren(waiting());
    this.shown = key;
    this.setAttribute("aria-busy", "true");
    let made;
    try {
      made = await this.load(path, asked, signal);
    } catch (error) {
      if (error.name === "AbortError") return;
      made = [failed(error, () => this.show(path, asked))];
    }
    if (signal.aborted) return;
    this.removeAttribute("aria-busy");
    this.body.replaceChildren(...[made].flat().filter(Boolean));
    this.again = () => this.show(path, asked);
  }
}

// Bytes in the unit that people read. Pure.
export function size(bytes) {
  if (bytes === null || bytes === undefined) return "";
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let at = 0;
  let value = bytes;
  while (value >= 999.5 && at < units.length - 1) [value, at] = [value / 1000, at + 1];
  return `${at && value < 9.95 ? value.toFixed(1) : Math.round(value)} ${units[at]}`;
}

// ---- why something is changed for good, and what was changed, in the tray, with its undo

const LONGEST_REASON = 200;
let dialog = null;

// Resolves to {reason, choice}, or null where somebody thinks again. `named` are lines that say what it is about,
// `choices` are [value, words], of which the first is chosen.
export function askWhy({ title, named = [], words, name, danger = false, reasons = [], choices = [] }) {
  dialog?.remove();
  const reason = h("input", { id: "op-reason", type: "text", required: true, maxLength: LONGEST_REASON, autocomplete: "off" });
  reason.setAttribute("list", "op-reasons");
  const choice = ([value, text], at) => h("label", { class: "choice" }, h("input", { type: "radio", name: "op-choice", value, checked: !at }), text);
  const chosen = choices.length ? h("div", { role: "radiogroup", "aria-label": title, class: "choices" }, ...choices.map(choice)) : null;
  const go = h("button", { class: danger ? "danger" : "primary", value: "go" }, name);
  dialog = h("dialog", { id: "op-why", "aria-labelledby": "op-why-title" }, h("form", { method: "dialog" },
    h("h2", { id: "op-why-title" }, title), named.length ? h("ul", { class: "named" }, ...named.map((line) => h("li", {}, line))) : null,
    chosen, h("label", {}, "Reason", reason), h("datalist", { id: "op-reasons" }, ...reasons.map((value) => h("option", { value }))),
    h("p", { class: "second" }, `${words} The reason is kept for ever: no patient's name belongs in it.`),
    h("div", { class: "row-of-buttons" }, h("button", { type: "button", onclick: () => dialog.close("") }, "Cancel"), go)));
  document.body.append(dialog);
  dialog.showModal();
  reason.focus();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "go" ? { reason: reason.value.trim(), choice: dialog.querySelector("input:checked")?.value || "" } : null), { once: true }));
}

// Do something as a job: `act` resolves to what was made, `words(made)` says it; `undo(made)`, if any, takes it back.
export async function run(title, act, words, undo = null) {
  const job = new Job(title);
  try {
    const made = await act();
    job.end("done", `${words(made)}${made?.settled === false ? "; the index follows" : ""}`);
    if (undo) job.set({ undo: () => takeBack(job, () => undo(made)) });
    return made;
  } catch (error) {
    job.end("failed", error.message);
    return null;
  }
}

async function takeBack(job, back) {
  job.set({ undo: null });
  try {
    await back();
    job.end("done", "Taken back");
  } catch (error) {
    job.end("warning", `Not taken back: ${error.message}`);
  }
  dispatchEvent(new CustomEvent("decided"));
}
