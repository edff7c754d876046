// The places beside the studies, each with sections that have addresses. The sections themselves come when they are looked at.

import { h, say } from "./dom.js";
import { follow, learnPermissions, store, visit } from "./page.js";

// `element` names the element of a section; `load` brings it.
const archive = () => import("./op-archive.js");
const studies = () => import("./op-studies.js");
const routes = () => import("./op-routes.js");
const worklist = () => import("./worklist.js");
const OPERATIONS = [
  { id: "health", name: "Health", element: "op-health", load: archive },
  { id: "where", name: "Where is my study?", element: "op-where", load: studies },
  { id: "conflicts", name: "Conflicts", element: "op-conflicts", load: studies },
  { id: "letters", name: "Dead letters", element: "op-letters", load: archive },
  { id: "routes", name: "Routes", element: "op-routes", load: routes },
  { id: "holds", name: "Holds", element: "op-holds", load: studies },
  { id: "retention", name: "Retention", element: "op-retention", load: studies },
  { id: "peers", name: "Peers", element: "op-peers", load: archive },
];
const WORKLIST = [
  { id: "orders", name: "Orders", element: "wl-orders", load: worklist },
  { id: "workitems", name: "Workitems", element: "wl-workitems", load: () => import("./workitems.js") },
  { id: "new", name: "New order", element: "wl-new", load: worklist, may: "mayOrder" },
];
const SHARES = [{ id: "links", name: "Links", element: "shares-links", load: () => import("./shares.js") }];
const AUDIT = [{ id: "records", name: "Records", element: "audit-records", load: () => import("./audit.js") }];
const PLACES = { operations: { name: "Operations", sections: OPERATIONS }, worklist: { name: "Worklist", sections: WORKLIST }, shares: { name: "Shares", sections: SHARES }, audit: { name: "Audit", sections: AUDIT } };

class OtherPlace extends HTMLElement {
  connectedCallback() {
    this.nav = h("nav", { class: "sections" });
    this.links = new Map();
    this.body = h("div", { class: "section" });
    this.append(this.nav, this.body);
    this.addEventListener("count", ({ target, detail }) => this.count(this.sections?.find(({ element }) => element === target.localName)?.id, detail));
    store.on(["place", "at"], () => this.show());
    this.addEventListener("counts", ({ detail }) => Object.entries(detail).forEach(([id, many]) => this.count(id, many)));
    addEventListener("decided", () => this.refresh());
    this.show();
  }

  show() {
    const heading = document.getElementById("place");
    const { place } = store.state;
    if (place === "studies") {
      if (heading.textContent !== "Studies") document.title = "Studies · Gantry";
      say(heading, "Studies");
      return;
    }
    const { name, sections } = PLACES[place];
    say(heading, name);
    const url = new URL(store.state.at, location.href);
    const [, , wanted = "", ...rest] = url.pathname.split("/");
    const section = sections.find(({ id }) => id === wanted);
    if (!section) {
      visit(`/${place}/${sections[0].id}`, { push: false });
      return;
    }
    if (this.sections !== sections) this.draw(place, name, sections);
    for (const [id, link] of this.links) {
      if (id === section.id) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    this.links.get(section.id).scrollIntoView({ block: "nearest", inline: "nearest" });
    document.title = `${section.name} · ${name} · Gantry`;
    this.open(place, section, rest.map(decodeURIComponent), url.searchParams);
  }

  draw(place, name, sections) {
    this.sections = sections;
    this.links = new Map(sections.map((one) => [one.id, h("a", { href: `/${place}/${one.id}`, onclick: follow }, h("span", {}, one.name), h("span", { class: "badge", hidden: true }))]));
    this.nav.setAttribute("aria-label", name);
    this.nav.replaceChildren(...this.links.values());
    this.element?.close();
    this.element = null;
    this.body.replaceChildren();
  }

  async open(place, section, path, asked) {
    await Promise.all([section.load(), learnPermissions()]);
    for (const { id, may } of this.sections) this.links.get(id).hidden = Boolean(may) && !store.state[may];
    if (store.state.place !== place || location.pathname.split("/")[2] !== section.id) return;
    if (this.element?.localName !== section.element) {
      this.element?.close();
      this.element = document.createElement(section.element);
      this.body.replaceChildren(this.element);
      this.body.scrollTop = 0;
    }
    this.element.show(path, asked);
  }

  // How many there are of what a section lists.
  count(id, many) {
    const badge = this.links.get(id)?.querySelector(".badge");
    if (!badge) return;
    badge.hidden = !many;
    say(badge, many > 999 ? "999+" : String(many || ""));
  }

  refresh() {
    if (store.state.place !== "studies") this.element?.again?.();
  }

  // The row before or after the one that has the keyboard.
  step(by) {
    const rows = [...this.body.querySelectorAll(".row-link")];
    const at = rows.indexOf(document.activeElement);
    rows[Math.min(Math.max(at < 0 ? 0 : at + by, 0), rows.length - 1)]?.focus();
  }

  // From a detail to its list, and from there to the studies.
  leave() {
    const back = this.body.querySelector("a.back");
    if (back) back.click();
    else document.querySelector("gantry-rail .place").click();
  }
}

// Begin with the place, once its styles are there.
export function begin() {
  if (document.getElementById("op-styles")) return;
  document.head.append(h("link", { id: "op-styles", rel: "stylesheet", href: new URL("operations.css", import.meta.url), onload: () => customElements.define("other-place", OtherPlace) }));
}
