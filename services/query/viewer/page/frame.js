// The frame of every place: the rail, the header with the search box, and the row of filters beneath it.

import { signOut, token } from "./archive.js";
import { h, say } from "./dom.js";
import { icon } from "./icons.js";
import { choose, follow as visitLink, go, list, refresh, store } from "./page.js";
import { chip, without } from "./search.js";
import { choosingColumns } from "./study-table.js";

// A place is shown to those who `may` see it, by a part of the state.
export const PLACES = [
  { id: "studies", name: "Studies", icon: "studies", href: "/" },
  { id: "worklist", name: "Worklist", icon: "worklist", href: "/worklist", may: "mayWorklist" },
  { id: "shares", name: "Shares", icon: "share", href: "/shares", may: "mayShare" },
  { id: "audit", name: "Audit", icon: "audit", href: "/audit", may: "mayOperate" },
  { id: "operations", name: "Operations", icon: "operations", href: "/operations", may: "mayOperate" },
];

const TOGETHER = 40; // ms
const THEMES = { system: "dark", light: "light", dark: "dark" };
const NEXT = { system: "light", light: "dark", dark: "system" };

export function applyTheme(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

class GantryRail extends HTMLElement {
  connectedCallback() {
    const place = (one) => h("a", { href: one.href, class: "place", onclick: one.id === "studies" ? (event) => this.toList(event) : visitLink },
      icon(one.icon), h("span", {}, one.name));
    this.links = new Map(PLACES.map((one) => [one, place(one)]));
    this.theme = h("button", { type: "button", class: "place", onclick: () => choose("theme", NEXT[store.state.theme]) });
    const act = (name, symbol, action) => h("button", { type: "button", class: "place", onclick: action }, icon(symbol), h("span", {}, name));
    this.emergency = act("Emergency", "warning", () => store.set({ emergency: {} }));
    this.emergency.hidden = true;
    this.emergency.setAttribute("aria-label", "Emergency access …");
    store.on(["mayOverride"], ({ mayOverride }) => { this.emergency.hidden = !mayOverride; });
    this.append(
      h("a", { href: "/", class: "mark", "aria-label": "Gantry, all studies", onclick: (event) => this.toList(event, true) }, icon("mark")),
      h("div", { class: "places" }, ...this.links.values()),
      h("div", { class: "below" },
        act("Upload", "upload", () => store.set({ choosing: Symbol("files") })), this.theme, this.emergency, act("Keys", "help", () => store.set({ help: Symbol("help") }))));
    store.on(["theme"], () => this.showTheme());
    store.on(["place", "mayOperate", "mayWorklist", "mayShare"], () => this.showPlace());
    this.showTheme();
    this.showPlace();
  }

  toList(event, all = false) {
    if (event.ctrlKey || event.metaKey || event.button) return;
    event.preventDefault();
    go({ look: "", study: "", series: "", ...(all ? { q: "" } : {}) }, { push: true });
  }

  showPlace() {
    for (const [{ id, may }, link] of this.links) {
      const here = store.state.place === id;
      link.hidden = Boolean(may) && !store.state[may] && !here;
      if (here) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  }

  showTheme() {
    const { theme } = store.state;
    applyTheme(theme);
    this.theme.replaceChildren(icon(theme === "system" ? "system" : THEMES[theme]), h("span", {}, "Theme"));
    this.theme.setAttribute("aria-label", `Theme: ${theme}. Change to ${NEXT[theme]}`);
    this.theme.title = `Theme: ${theme}`;
  }
}

class GantryHeader extends HTMLElement {
  connectedCallback() {
    this.input = h("input", {
      type: "search", id: "search", name: "q", autocomplete: "off", spellcheck: "false", enterkeyhint: "search",
      "aria-label": "Search studies", placeholder: "Name, ID, date, modality …", value: store.state.q,
    });
    this.out = h("button", { type: "button", class: "plain", onclick: signOut }, icon("key"), h("span", {}, "Sign out"));
    const form = h("form", { role: "search", class: "search" }, icon("search"), this.input, h("kbd", { "aria-hidden": "true" }, "/"));
    this.name = h("p", { class: "archive" });
    this.who = h("span", { class: "signed-in" });
    this.append(this.name, form, h("div", { class: "who" }, this.who, this.out));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.ask();
      document.querySelector("study-table").focusRow(0);
    });
    this.input.addEventListener("input", () => this.typed());
    store.on(["q"], ({ q }) => {
      clearTimeout(this.timer);
      if (this.input.value.trim() !== q) this.input.value = q;
    });
    store.on(["settings", "version", "who"], () => this.show());
    this.show();
  }

  // A letter is asked for at once, and what was asked before it is called off. Letters that come faster than anybody
  // types (a key that is held down) wait for the last of them.
  typed() {
    const before = this.last;
    this.last = performance.now();
    clearTimeout(this.timer);
    if (this.last - before < TOGETHER) this.timer = setTimeout(() => this.ask(), TOGETHER);
    else this.ask();
  }

  ask() {
    clearTimeout(this.timer);
    const q = this.input.value.trim();
    if (q !== store.state.q || store.state.study || store.state.place !== "studies") go({ q, study: "", series: "", look: "" });
  }

  show() {
    say(this.name, store.state.settings.aeTitle || "Gantry");
    const { who } = store.state;
    this.out.hidden = !token() && !who;
    this.who.hidden = !who;
    say(this.who, who?.name || "");
  }
}

const PRESETS = [["Today", "today"], ["Yesterday", "yesterday"], ["7 days", "7 days"]];

class FilterRow extends HTMLElement {
  connectedCallback() {
    this.presets = h("div", { class: "presets", role: "group", "aria-label": "Dates and modality" });
    this.chips = h("ul", { class: "chips", "aria-label": "What was understood" });
    this.total = h("p", { class: "total", role: "status", "aria-live": "polite" });
    this.pill = h("button", { type: "button", class: "pill", hidden: true, onclick: () => this.showNew() });
    this.menu = h("div", { class: "menu", hidden: true });
    this.button = h("button", { type: "button", class: "plain", "aria-expanded": "false", "aria-haspopup": "true", onclick: () => this.toggle(this.menu.hidden) }, icon("columns"), h("span", {}, "View"));
    this.append(this.presets, this.chips, this.pill, this.total, h("div", { class: "holder" }, this.button, this.menu));
    this.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || this.menu.hidden) return;
      event.stopPropagation();
      this.toggle(false);
      this.button.focus();
    });
    document.addEventListener("pointerdown", (event) => { if (!this.menu.hidden && !event.target.closest(".holder")) this.toggle(false); });
    store.on(["terms", "modality", "version", "fresh"], () => this.show());
    this.show();
  }

  show() {
    const { terms, modality, fresh } = store.state;
    const date = terms.find((term) => term.kind === "date");
    const preset = ([name, words]) => {
      const on = date?.source.toLowerCase() === words;
      return this.presetButton(name, on, () => this.toggleTerm("date", on ? "" : words));
    };
    const found = terms.find((term) => term.kind === "modality");
    const mine = found?.value || modality;
    const own = this.presetButton(`My modality: ${mine}`, Boolean(found), () => this.toggleTerm("modality", found ? "" : mine.toLowerCase()));
    own.classList.add("own");
    own.disabled = !mine; // its place is there before: nothing moves when a modality is typed
    this.refill(this.presets, `${date?.source} ${mine} ${Boolean(found)}`, () => [...PRESETS.map(preset), own]);
    this.refill(this.chips, terms.map((term) => term.source).join("\n") + list.alike + (list.pageError?.message || ""), () => [...terms.map((term) => this.chip(terms, term)), ...this.note()]);
    if (found && found.value !== modality) choose("modality", found.value);
    say(this.total, this.totalText());
    this.pill.hidden = !fresh.size;
    say(this.pill, `${fresh.size} new`);
  }

  // Replace what is there only where it is to be something else: focus stays.
  refill(element, key, make) {
    if (element.dataset.key === key) return;
    const inside = element.contains(document.activeElement) ? [...element.querySelectorAll("button")].indexOf(document.activeElement) : -1;
    element.dataset.key = key;
    element.replaceChildren(...make());
    if (inside >= 0) (element.querySelectorAll("button")[inside] || document.getElementById("search")).focus();
  }

  presetButton(name, on, action) {
    return h("button", { type: "button", class: "preset", "aria-pressed": String(on), onclick: action }, name);
  }

  chip(terms, term) {
    const [kind, value] = chip(term);
    const remove = h("button", { type: "button", "aria-label": `Remove ${kind} ${value}`, onclick: () => go({ q: without(terms, term) }) }, icon("close"));
    return h("li", { class: "term" }, h("span", { class: "second" }, kind), h("span", {}, value), remove);
  }

  note() {
    const said = list.pageError ? `Some rows cannot be loaded (${list.pageError.message}); they are asked for again` : list.alike ? "No name begins so; these sound alike" : "";
    return said ? [h("li", { class: "note", role: "status" }, said)] : [];
  }

  // Other words in place of all terms of a kind.
  toggleTerm(kind, words) {
    const rest = store.state.terms.filter((term) => term.kind !== kind).map((term) => term.source).join(" ");
    go({ q: [rest, words].filter(Boolean).join(" ") });
  }

  totalText() {
    if (!list.ready || list.error) return "";
    const many = list.total.toLocaleString("en");
    if (!list.exact) return `${many}+ studies`;
    return list.total === 1 ? "1 study" : `${many} studies`;
  }

  async showNew() {
    await refresh();
    document.querySelector("study-table").focusRow(0);
  }

  toggle(open) {
    this.menu.hidden = !open;
    this.button.setAttribute("aria-expanded", String(open));
    if (!open) return;
    const density = (name, words) => h("label", {}, h("input", { type: "radio", name: "density", value: name, checked: store.state.density === name, onchange: () => choose("density", name) }), words);
    this.menu.replaceChildren(
      h("fieldset", {}, h("legend", {}, "Columns"), ...choosingColumns()),
      h("fieldset", {}, h("legend", {}, "Rows"), density("compact", "Compact"), density("normal", "Normal"), density("touch", "Large")));
    this.menu.querySelector("input").focus();
  }
}

customElements.define("gantry-rail", GantryRail);
customElements.define("gantry-header", GantryHeader);
customElements.define("filter-row", FilterRow);
