// The place Operations: its sections, each with an address, and each a module that comes when it is looked at.

import { h, say } from "./dom.js";
import { follow, learnPermissions, store, visit } from "./page.js";

// `make` names the element of a section; `load` brings it.
const SECTIONS = [
  { id: "health", name: "Health", element: "op-health", load: () => import("./op-health.js") },
  { id: "where", name: "Where is my study?", element: "op-where", load: () => import("./op-where.js") },
  { id: "conflicts", name: "Conflicts", element: "op-conflicts", load: () => import("./op-conflicts.js") },
  { id: "letters", name: "Dead letters", element: "op-letters", load: () => import("./op-letters.js") },
  { id: "holds", name: "Holds", element: "op-holds", load: () => import("./op-holds.js") },
  { id: "retention", name: "Retention", element: "op-retention", load: () => import("./op-retention.js") },
  { id: "peers", name: "Peers", element: "op-peers", load: () => import("./op-peers.js") },
];
const BASE = "/operations";

class OperationsPlace extends HTMLElement {
  connectedCallback() {
    this.links = new Map(SECTIONS.map(({ id, name }) => [id, h("a", { href: `${BASE}/${id}`, onclick: follow }, h("span", {}, name), h("span", { class: "badge", hidden: true }))]));
    this.nav = h("nav", { class: "sections", "aria-label": "Operations" }, ...this.links.values());
    this.body = h("div", { class: "section" });
    this.append(this.nav, this.body);
    this.addEventListener("count", ({ target, detail }) => this.count(SECTIONS.find(({ element }) => element === target.localName)?.id, detail));
    store.on(["place", "at"], () => this.show());
    this.addEventListener("counts", ({ detail }) => Object.entries(detail).forEach(([id, many]) => this.count(id, many)));
    addEventListener("decided", () => this.refresh());
    this.show();
  }

  show() {
    const heading = document.getElementById("place");
    if (store.state.place !== "operations") {
      if (heading.textContent !== "Studies") document.title = "Studies · Gantry";
      say(heading, "Studies");
      return;
    }
    say(heading, "Operations");
    const url = new URL(store.state.at, location.href);
    const [, , wanted = "", ...rest] = url.pathname.split("/");
    const section = SECTIONS.find(({ id }) => id === wanted);
    if (!section) {
      visit(`${BASE}/${SECTIONS[0].id}`, { push: false });
      return;
    }
    for (const [id, link] of this.links) {
      if (id === section.id) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    this.links.get(section.id).scrollIntoView({ block: "nearest", inline: "nearest" });
    document.title = `${section.name} · Operations · Gantry`;
    this.open(section, rest.map(decodeURIComponent), url.searchParams);
  }

  async open(section, path, asked) {
    await Promise.all([section.load(), learnPermissions()]);
    if (store.state.place !== "operations" || location.pathname.split("/")[2] !== section.id) return;
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
    say(badge, many > 999 ? "999+" : String(many));
  }

  refresh() {
    if (store.state.place === "operations") this.element?.again?.();
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

const styles = h("link", { rel: "stylesheet", href: "/viewer/page/operations.css" });
styles.addEventListener("load", () => customElements.define("operations-place", OperationsPlace), { once: true });
document.head.append(styles);
