// What the sections of Operations have in common: an address to show, a wait that moves nothing, an error in words, tables.

import { BASE, askJson } from "./archive.js";
import { h } from "./dom.js";
import { icon } from "./icons.js";
import { follow } from "./page.js";

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
    h("h3", { class: "large" }, icon("error"), closed ? "Operations are not open to you" : "This cannot be shown"),
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
