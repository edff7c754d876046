// Where is my study? What `gantry where` says, with what to do about it.

import { askJson } from "./archive.js";
import { h, say, uidButton } from "./dom.js";
import { icon } from "./icons.js";
import { OPERATIONS, Section, link, plural, state } from "./op-section.js";
import { visit } from "./page.js";

const HEADINGS = { received: "Received", indexed: "Indexed", committed: "Committed", happened: "Happened", held: "Held", delivered: "Delivered", failed: "Failed" };

// The four stations of a study: [name, state, words]. Pure.
export function stations(account) {
  const sum = (list, name) => list.reduce((total, one) => total + one[name], 0);
  const received = sum(account.arrivals, "instances");
  const owed = account.commitments.filter((one) => !one.reported_at).length;
  const refused = account.commitments.filter((one) => one.reported_at && (one.failed || !one.delivered)).length;
  const sent = sum(account.deliveries, "completed");
  const unsent = sum(account.deliveries, "failed");
  const indexed = account.dead.length ? ["error", `${account.dead.length} failed`]
    : account.unread ? ["busy", `${account.unread} to come`]
      : account.lost ? ["error", `${account.lost} lost`]
        : account.searchable ? ["ok", `${account.searchable} found`] : ["warning", account.deleted ? "deleted" : "none"];
  return [
    ["Received", received ? "ok" : "warning", received ? plural(received, "instance") : "not known"],
    ["Searchable", ...indexed],
    ["Committed", refused ? "error" : owed ? "busy" : account.commitments.length ? "ok" : "", refused ? "not all" : owed ? "report owed" : account.commitments.length ? "reported" : "not asked"],
    ["Delivered", unsent ? "warning" : sent ? "ok" : "", unsent ? `${unsent} were not` : sent ? plural(sent, "instance") : "to nobody"],
  ];
}

class WhereSection extends Section {
  title_ = "Where is my study?";

  connectedCallback() {
    super.connectedCallback();
    if (this.input) return;
    this.input = h("input", { type: "search", id: "where-term", name: "term", autocomplete: "off", spellcheck: "false", maxLength: 64, placeholder: "Accession number, Patient ID or UID" });
    const form = h("form", { role: "search", class: "op-search", "aria-label": "Where is my study?", onsubmit: (event) => this.submit(event) },
      h("label", { for: "where-term", class: "spoken" }, "Accession number, Patient ID, or UID of a study, a series or an instance"),
      icon("search"), this.input, h("button", { class: "primary" }, "Find"));
    this.head.append(form);
  }

  submit(event) {
    event.preventDefault();
    const term = this.input.value.trim();
    visit(`/operations/where${term ? `?${new URLSearchParams({ term })}` : ""}`);
  }

  async load(path, asked, signal) {
    const term = asked.get("term") || "";
    if (this.input.value.trim() !== term) this.input.value = term;
    if (!term) {
      this.input.focus();
      return [h("p", { class: "op-hint" }, "Ask by an accession number, a Patient ID, or the UID of a study, a series or an instance: from whom it came and when, whether it can be found, who asked for commitment, what became of it and who got it.")];
    }
    const found = await askJson(`${OPERATIONS}/where?${new URLSearchParams({ term })}`, { signal });
    const count = h("p", { class: "second", role: "status" }, found.more ? `The first ${found.accounts.length} studies; ask by a UID or an accession number for others` : plural(found.accounts.length, "study", "studies"));
    return found.accounts.length ? [count, ...found.accounts.map((one) => this.account(one))] : [this.unknown(term, found)];
  }

  unknown(term, { behind, dead }) {
    return h("div", { class: "message", role: "status" }, h("h3", { class: "large" }, "Nothing is known of it"),
      h("p", {}, `No study, series or instance has ${term} as its UID, accession number or Patient ID.`),
      h("ul", { class: "op-list" },
        behind ? h("li", {}, `The index is ${plural(behind, "record")} behind the log: it may be among these. `, h("button", { type: "button", onclick: () => this.again() }, "Ask again")) : null,
        dead ? h("li", {}, `${plural(dead, "instance")} could not be made searchable: it may be one of them.`) : null,
        h("li", {}, "Did its sender reach the archive?")));
  }

  account(account) {
    const uid = account.study_instance_uid;
    const open = account.searchable ? link(`/?${new URLSearchParams({ study: uid })}`, "Open the study", { class: "button row-link" }) : null;
    const groups = Map.groupBy(account.told, (line) => line.of);
    const facts = [...groups].map(([of, lines]) => h("div", {}, h("dt", {}, HEADINGS[of] || of), ...lines.map((line) => h("dd", {}, line.fact))));
    const todo = account.advice.length ? h("div", { class: "op-todo", role: "note" }, icon("warning"), h("ul", {}, ...account.advice.map((step) => h("li", {}, `${step} `, step.includes("gantry conflicts") ? link("/operations/conflicts", "Conflicts") : step.includes("gantry dlq") ? link("/operations/letters", "Dead letters") : null)))) : null;
    return h("section", { class: "op-card", "aria-label": `Study ${uid}` },
      h("div", { class: "op-card-head" }, uidButton(uid), open),
      h("ol", { class: "stations" }, ...stations(account).map(([name, kind, words]) => h("li", {}, h("span", { class: "second" }, name), kind ? state(kind, words) : h("span", { class: "op-state" }, words)))),
      todo, h("dl", { class: "op-facts" }, ...facts));
  }
}

customElements.define("op-where", WhereSection);
