// All holds that stand, on studies and on patients, by whom, when and why; released from here.

import { askJson } from "./archive.js";
import { h } from "./dom.js";
import { icon } from "./icons.js";
import { OPERATIONS, Section, act, link, moment, nothing, plural, table } from "./op-section.js";
import { releaseHold } from "./holds.js";
import { store, visit } from "./page.js";

const PAGE = 25;

class HoldsSection extends Section {
  title_ = "Holds";

  connectedCallback() {
    super.connectedCallback();
    if (this.input) return;
    this.input = h("input", { type: "search", id: "holds-term", autocomplete: "off", spellcheck: "false", maxLength: 64, placeholder: "Patient ID or Study Instance UID" });
    this.head.append(h("form", { role: "search", class: "op-search", "aria-label": "Holds", onsubmit: (event) => this.submit(event) },
      h("label", { for: "holds-term", class: "spoken" }, "Patient ID or Study Instance UID"), icon("search"), this.input, h("button", {}, "Find")));
  }

  submit(event) {
    event.preventDefault();
    const term = this.input.value.trim();
    visit(`/operations/holds${term ? `?${new URLSearchParams({ term })}` : ""}`);
  }

  async load(path, asked, signal) {
    const term = asked.get("term") || "";
    const after = asked.get("after") || "";
    if (this.input.value.trim() !== term) this.input.value = term;
    const found = await askJson(`${OPERATIONS}/holds?${new URLSearchParams({ limit: PAGE, ...(term ? { term } : {}), ...(after ? { after } : {}) })}`, { signal });
    if (!found.holds.length) {
      return [term ? nothing("No hold stands on it", `Asked for: ${term}.`) : nothing("Nothing is held", "A hold on a study or a patient is placed from the study list or from the study: nothing of it is deleted or collected until it is released.")];
    }
    const rows = found.holds.map((one) => [
      one.study_instance_uid ? link(`/?${new URLSearchParams({ study: one.study_instance_uid })}`, one.study_instance_uid, { class: "row-link uid-link" }) : h("span", { title: "Holds on patients are kept as a digest, which names nobody: ask by a Patient ID" }, `A patient (${one.holder.split(":").pop().slice(0, 8)})`),
      one.on, moment(one.at), one.by ?? "not found", one.reason ?? "not found",
      store.state.mayHold ? h("button", { type: "button", onclick: () => this.release(one) }, "Release") : "",
    ]);
    const columns = [{ name: "Held", mono: true }, { name: "On", phone: false }, { name: "Since" }, { name: "By", phone: false }, { name: "Reason", wide: true }, { name: "" }];
    const count = `${plural(found.holds.length, "hold")}${found.next ? " on this page" : ""}`;
    const next = found.next ? link(`/operations/holds?${new URLSearchParams({ after: found.next })}`, "After", { class: "button" }) : null;
    const first = after ? link("/operations/holds", "First", { class: "button" }) : null;
    return [h("p", { class: "second", role: "status" }, count), table("Holds", columns, rows), next || first ? h("nav", { class: "pages", "aria-label": "Pages" }, first, next) : null];
  }

  async release({ holder, hold, on, by, reason }) {
    const words = `On a ${on}${by ? `, by ${by}: ${reason}` : ""}`;
    if (await releaseHold(words, (why) => act("holds/release", { reason: why, body: { holder, hold } }))) this.again();
  }
}

customElements.define("op-holds", HoldsSection);
