// Retention: which studies the rules would let go by a day, as a list. Nothing is deleted here.

import { askJson } from "./archive.js";
import { h } from "./dom.js";
import { OPERATIONS, Section, link, nothing, plural, state, table } from "./op-section.js";
import { visit } from "./page.js";

const PAGE = 50;
const UNITS = { y: "year", m: "month", d: "day" };

// Bytes in the unit that people read. Pure.
export function size(bytes) {
  if (bytes === null || bytes === undefined) return "";
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let at = 0;
  let value = bytes;
  while (value >= 999.5 && at < units.length - 1) [value, at] = [value / 1000, at + 1];
  return `${at && value < 9.95 ? value.toFixed(1) : Math.round(value)} ${units[at]}`;
}

// A rule in words. Pure.
export function ruleWords(rule) {
  const keep = rule.keep === "forever" ? "for ever" : `for ${plural(Number(rule.keep.slice(0, -1)), UNITS[rule.keep.at(-1)])}`;
  const since = { study: "from the Study Date", receipt: "from its receipt", access: "from its last access" }[rule.since];
  const which = [...rule.where, rule.sources.length && `from ${rule.sources.join(", ")}`, rule.younger_than && `patients under ${rule.younger_than}`].filter(Boolean).join(", ") || "all studies";
  return `${which}: kept ${keep}${rule.keep === "forever" ? "" : ` ${since}`}, then ${rule.then === "delete" ? "deleted" : "free to be deleted by a person"}`;
}

class RetentionSection extends Section {
  title_ = "Retention";

  connectedCallback() {
    super.connectedCallback();
    if (this.input) return;
    this.input = h("input", { type: "date", id: "retention-by", required: true, onchange: () => this.ask() });
    this.head.append(h("label", { class: "op-field", for: "retention-by" }, "What would go by", this.input));
  }

  ask() {
    if (this.input.value) visit(`/operations/retention?${new URLSearchParams({ by: this.input.value })}`);
  }

  async load(path, asked, signal) {
    const [by, cursor] = [asked.get("by") || "", asked.get("cursor") || ""];
    const found = await askJson(`${OPERATIONS}/retention?${new URLSearchParams({ limit: PAGE, ...(by ? { by } : {}), ...(cursor ? { cursor } : {}) })}`, { signal });
    if (document.activeElement !== this.input) this.input.value = found.by;
    const rules = h("details", { class: "op-rules", open: found.rules.length < 4 }, h("summary", {}, plural(found.rules.length, "rule")), h("dl", { class: "op-facts" }, ...found.rules.map((rule) => h("div", {}, h("dt", {}, rule.name), h("dd", {}, ruleWords(rule))))));
    if (!found.rules.some((rule) => rule.then === "delete")) {
      return [nothing("Nothing goes by itself", "No rule in lifecycle.retention says then: delete."), found.rules.length ? rules : null];
    }
    const rows = found.studies.map((one) => [
      link(`/?${new URLSearchParams({ study: one.study })}`, one.study, { class: "row-link uid-link" }), one.rule, one.until, one.instances.toLocaleString("en"), size(one.bytes),
      one.holds ? state("warning", "held, stays") : state("ok", "goes"),
    ]);
    const columns = [{ name: "Study Instance UID", mono: true, wide: true }, { name: "Rule" }, { name: "Kept until" }, { name: "Images", number: true, phone: false }, { name: "Size", number: true, phone: false }, { name: "State" }];
    const page = (more, words) => link(`/operations/retention?${new URLSearchParams({ by: found.by, ...more })}`, words, { class: "button" });
    const looked = `${found.studies.length} of ${plural(found.examined, "study", "studies")} that ${found.examined === 1 ? "was" : "were"} looked at${found.next ? "; there are more to look at" : ""}`;
    return [rules, h("p", { class: "second", role: "status" }, `By ${found.by}: ${looked}. This is a list; nothing is deleted here.`),
      rows.length ? table("What retention would let go", columns, rows) : nothing("Nothing of these goes by then"),
      found.next || cursor ? h("nav", { class: "pages", "aria-label": "Pages" }, cursor ? page({}, "First") : null, found.next ? page({ cursor: found.next }, "After") : null) : null];
  }
}

customElements.define("op-retention", RetentionSection);
