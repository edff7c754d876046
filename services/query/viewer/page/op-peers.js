// Peers: who is configured, when it called last and what went wrong; who was refused; and whether a peer answers.

import { askJson } from "./archive.js";
import { copy, h } from "./dom.js";
import { OPERATIONS, Section, act, ago, moment, nothing, plural, state, table } from "./op-section.js";
import { store } from "./page.js";

// What to write into the policy so that a caller gets in; null for a title that is none. Pure.
export function allowing({ ae_title: title, address }) {
  return /^[\x20-\x5b\x5d-\x7e]{1,16}$/.test(title) && title.trim() && /^[0-9a-f.:]+$/i.test(address) ? `- {ae_title: ${JSON.stringify(title)}, host: ${JSON.stringify(address)}, may: [echo, store]}` : null;
}

class PeersSection extends Section {
  title_ = "Peers";

  async load(path, asked, signal) {
    const found = await askJson(`${OPERATIONS}/peers`, { signal });
    return [this.peers(found), this.refused(found)];
  }

  peers({ peers, ours }) {
    if (!peers.length) return nothing("No peer is configured, and none called", "Peers are those of the policy file: AE title, address, and what each may.");
    const rows = peers.map((one) => [
      one.known ? h("span", { title: `may ${one.may.join(", ") || "nothing"}` }, one.ae_title) : h("span", {}, one.ae_title, " ", h("span", { class: "second" }, "not configured")),
      one.known ? [one.host && `${one.host}${one.port ? `:${one.port}` : ""}`, ...one.from].filter(Boolean).join(", ") : one.address,
      one.at ? h("span", { title: `${moment(one.at)} from ${one.address}: ${one.outcome}` }, ago(one.at)) : h("span", { class: "second" }, "not in 14 days"),
      one.error ? h("span", { title: moment(one.error_at) }, `${one.error} `, h("span", { class: "second" }, ago(one.error_at))) : "",
      one.known && one.port ? h("span", { class: "op-buttons" }, h("output", { class: "second" }), h("button", { type: "button", class: "row-link", "aria-label": `Test ${one.ae_title}`, onclick: (event) => this.test(one, event.currentTarget) }, "Test")) : "",
    ]);
    return h("section", { class: "op-part" }, h("p", { class: "second", role: "status" }, `${plural(peers.filter((one) => one.known).length, "configured peer")}; we are ${ours}`),
      table("Peers", [{ name: "AE title" }, { name: "Address", phone: false }, { name: "Last contact" }, { name: "Last error", wide: true }, { name: "" }], rows));
  }

  refused({ refused }) {
    const head = h("h3", {}, "Refused callers, 14 days");
    if (!refused.length) return h("section", { class: "op-part" }, head, nothing("Nobody was refused", "What the front door rejects itself is in its log."));
    const rows = refused.map((one) => {
      const line = allowing(one);
      const unknown = line && /not known/.test(one.why);
      const offered = unknown ? h("button", { type: "button", class: "row-link", title: `${line}: into the policy file, below peers`, onclick: (event) => copy(event.currentTarget, line) }, "Copy a rule") : "";
      return [one.ae_title || h("span", { class: "second" }, "(none)"), one.address, one.called, one.why, one.times, h("span", { title: moment(one.at) }, ago(one.at)), offered];
    });
    return h("section", { class: "op-part" }, head, table("Refused callers", [{ name: "Calling" }, { name: "From" }, { name: "Called", phone: false }, { name: "Why", wide: true }, { name: "Times", number: true, phone: false }, { name: "Last" }, { name: "" }], rows),
      h("p", { class: "second" }, "“Copy a rule” copies a line for the policy file (peers_file): look at what it allows, then put it below peers. It is read again by itself."));
  }

  async test(peer, button) {
    const output = button.previousElementSibling;
    button.disabled = true;
    output.replaceChildren("calling …");
    try {
      const found = await act(`peers/${encodeURIComponent(peer.ae_title)}/echo`);
      output.replaceChildren(found.ok ? state("ok", `answers (${Math.round(found.seconds * 1000)} ms)`) : state("error", found.why));
      output.title = `called from ${found.called_from}`;
    } catch (error) {
      output.replaceChildren(state("error", error.message));
    }
    button.disabled = false;
    if (store.state.place === "operations" && document.activeElement === document.body) button.focus();
  }
}

customElements.define("op-peers", PeersSection);
