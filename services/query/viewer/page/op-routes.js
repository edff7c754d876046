// The section Routes of Operations: where studies are sent on to, what waits and why, and what a person decides about it.

import { askJson } from "./archive.js";
import { h, uidButton } from "./dom.js";
import { OPERATIONS, Section, act, ago, link, moment, nothing, plural, run, state, table } from "./operations.js";

const PAGE = 50;
const LATE_US = 3600e6;

// How a destination does: [state, words]. Pure.
export function health({ waiting, oldest, failed, why }, now = Date.now()) {
  if (failed) return ["error", `${failed.toLocaleString("en")} failed`];
  if (!waiting) return ["ok", "nothing waits"];
  return [why || now * 1000 - oldest > LATE_US ? "warning" : "busy", `the oldest since ${ago(oldest, now).replace(" ago", "")}`];
}

// When it is tried next, as people say it. Pure.
export function next(at, now = Date.now()) {
  const seconds = Math.round(at / 1e6 - now / 1000);
  if (!at || seconds <= 0) return "now";
  return seconds < 90 ? `in ${plural(seconds, "second")}` : seconds < 5400 ? `in ${plural(Math.round(seconds / 60), "minute")}` : moment(at);
}

// What a route did: [state, words]. Pure.
export function words(one) {
  const withheld = one.withheld ? `, ${plural(one.withheld, "instance")} withheld` : "";
  if (one.state === "failed") return ["error", one.failed ? `failed, ${plural(one.failed, "instance")} not taken` : "failed"];
  if (one.state === "cancelled") return ["busy", one.by ? `given up by ${one.by}` : "given up"];
  if (one.state === "delivered") return ["warning", `delivered${withheld}`];
  return [one.attempts ? "warning" : "busy", one.state];
}

const address = (asked) => `/operations/routes${asked.toString() ? `?${asked}` : ""}`;

class RoutesSection extends Section {
  title_ = "Routes";

  async load(path, asked, signal) {
    const ended = asked.get("state") === "ended";
    const destination = asked.get("destination") || "";
    const offset = Number(asked.get("offset")) || 0;
    const found = await askJson(`${OPERATIONS}/routes?${new URLSearchParams({ state: ended ? "ended" : "waiting", destination, limit: PAGE, offset })}`, { signal });
    this.dispatchEvent(new CustomEvent("count", { bubbles: true, detail: found.failed }));
    if (!found.destinations.length) return [nothing("Nothing was sent on in the last 30 days", "Rules of routing send complete studies on; a C-MOVE that is interrupted is finished as a route, too.")];
    const to = (more) => address(new URLSearchParams({ ...(ended ? { state: "ended" } : {}), ...(destination ? { destination } : {}), ...more }));
    const other = ended
      ? link(address(new URLSearchParams(destination ? { destination } : {})), "What waits", { class: "button" })
      : link(address(new URLSearchParams({ state: "ended", ...(destination ? { destination } : {}) })), "What failed or was given up", { class: "button" });
    const count = h("span", { class: "second", role: "status" }, `${plural(found.count, "route")} ${ended ? "of 30 days failed, were given up, or withheld something" : found.count === 1 ? "waits" : "wait"}${destination ? `, to ${destination}` : ""}`);
    return [
      this.destinations(found.destinations, destination),
      h("p", { class: "op-line" }, count, other, destination ? link(address(new URLSearchParams(ended ? { state: "ended" } : {})), "Of all destinations") : null),
      found.routes.length ? this.routes(found.routes, ended) : nothing(ended ? "Nothing failed" : "Nothing waits"),
      offset || found.next !== null ? h("nav", { class: "pages", "aria-label": "Pages" }, offset ? link(to({ offset: Math.max(0, offset - PAGE) }), "Back", { class: "button" }) : null, found.next === null ? null : link(to({ offset: found.next }), "On", { class: "button" })) : null];
  }

  destinations(destinations, chosen) {
    const rows = destinations.map((one) => [
      link(address(new URLSearchParams({ destination: one.destination })), one.destination, { class: "row-link", ...(one.destination === chosen ? { "aria-current": "true" } : {}) }),
      state(...health(one)), one.waiting.toLocaleString("en"), one.delivered_in_a_day.toLocaleString("en"),
      one.delivered_at ? h("span", { title: moment(one.delivered_at) }, ago(one.delivered_at)) : h("span", { class: "second" }, "not in 30 days"), one.why,
      h("span", { class: "op-buttons" },
        one.failed ? h("button", { type: "button", "aria-label": `Send again what failed to ${one.destination}`, onclick: () => this.decide("retry", { destination: one.destination }) }, `Send ${one.failed.toLocaleString("en")} again`) : null),
    ]);
    const columns = [{ name: "Destination" }, { name: "State" }, { name: "Waiting", number: true }, { name: "Delivered in a day", number: true, phone: false }, { name: "Last delivered", phone: false }, { name: "Why", wide: true, phone: false }, { name: "" }];
    return h("section", { class: "op-part" }, table("Destinations", columns, rows));
  }

  routes(routes, ended) {
    const rows = routes.map((one) => [
      h("span", { title: moment(ended ? one.ended_at : one.at) }, ago(ended ? one.ended_at : one.at)),
      one.study ? link(`/operations/where?${new URLSearchParams({ term: one.study })}`, one.study, { class: "row-link uid-link" }) : uidButton(one.step),
      h("span", { title: one.kind === "objects" ? null : one.kind }, one.kind === "objects" ? one.destination : `${one.destination} (${one.kind})`), one.rule || (one.requestor ? `C-MOVE of ${one.requestor}` : ""),
      state(...words(one)), one.left === null ? "" : `${one.left.toLocaleString("en")} of ${one.asked.toLocaleString("en")}`,
      ...(ended ? [] : [next(one.next_at)]), one.why,
      ended
        ? (one.state === "delivered" ? "" : h("button", { type: "button", onclick: () => this.decide("retry", { routes: [one.route] }) }, "Send again"))
        : h("button", { type: "button", class: "plain", onclick: () => this.decide("cancel", { routes: [one.route] }) }, "Give up"),
    ]);
    const columns = [{ name: ended ? "Ended" : "Since" }, { name: "Study or step", mono: true }, { name: "To" }, { name: "Because of", phone: false }, { name: "State" }, { name: "Left", number: true, phone: false }, ...(ended ? [] : [{ name: "Tried next", phone: false }]), { name: "Why", wide: true }, { name: "" }];
    return table(ended ? "Routes that ended" : "Routes that wait", columns, rows);
  }

  async decide(verb, body) {
    const [title, done] = verb === "retry" ? ["Sending again", (made) => `${plural(made.requested.length, "route")} requested`] : ["A route is given up", () => "Given up"];
    // What was given up can be sent again: that is its undo.
    const undo = verb === "cancel" ? (made) => act("routes/retry", { body: { routes: made.cancelled } }) : null;
    await run(title, () => act(`routes/${verb}`, { body }), done, undo);
    this.again();
  }
}

customElements.define("op-routes", RoutesSection);
