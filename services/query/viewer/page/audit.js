// The place Audit: who saw a patient or a study, and what else is on record, with all of one record, and a file of it.

import { askJson } from "./archive.js";
import { h, saveBlob, uidButton } from "./dom.js";
import { icon } from "./icons.js";
import { OPERATIONS, Section, link, moment, nothing, plural, state, table } from "./operations.js";
import { store, visit } from "./page.js";
import { GROUPS, csv, kindsOf, madeBy, outcomeOf, place, subject, whatWasDone } from "./records.js";

const PLACE = "/audit/records";
const DAYS = [["1", "A day"], ["7", "7 days"], ["30", "30 days"], ["90", "90 days"], ["365", "A year"], ["3650", "Ten years"]];
const MOST = 500;
const SHOWN = 100;

class RecordsSection extends Section {
  title_ = "Records";

  connectedCallback() {
    super.connectedCallback();
    if (this.about) return;
    const select = (name, choices) => h("select", { "aria-label": name, onchange: () => this.ask() }, ...choices.map(([value, said]) => h("option", { value }, said)));
    const search = (id, placeholder) => h("input", { type: "search", id, "aria-label": placeholder, placeholder, autocomplete: "off", spellcheck: "false", maxLength: 64 });
    this.about = search("audit-about", "Patient ID or Study Instance UID");
    this.by = search("audit-by", "Who: AE title, user, token");
    this.what = select("What", GROUPS.map(({ id, name }) => [id, name]));
    this.days = select("Since", DAYS);
    const submit = (event) => { event.preventDefault(); this.ask(); };
    this.head.append(h("form", { role: "search", class: "wl-filters", "aria-label": "Records", onsubmit: submit },
      h("div", { class: "op-search" }, icon("search"), this.about), this.by, this.what, this.days, h("button", {}, "Find")));
  }

  ask() {
    const given = { about: this.about.value.trim(), by: this.by.value.trim(), what: this.what.value, days: this.days.value };
    const address = `${PLACE}?${new URLSearchParams(Object.entries(given).filter(([, value]) => value))}`;
    this.key = null; // whoever asks the same again wants what came since
    if (address === location.pathname + location.search) this.again?.();
    else visit(address);
  }

  async load(path, asked, signal) {
    const given = { about: asked.get("about") || "", by: asked.get("by") || "", what: asked.get("what") || "", days: asked.get("days") || "7" };
    for (const [name, value] of Object.entries(given)) this[name].value = value;
    const question = new URLSearchParams({ patient: given.about, requestor: given.by, kind: kindsOf(given.what), days: given.days, most: MOST });
    // To look at a record is to read the trail, which is a record itself: one question is asked once.
    const key = String(question);
    const one = asked.get("record");
    if (!one || this.key !== key) this.found = await askJson(`${OPERATIONS}/audit?${question}`, { signal });
    this.key = key;
    const records = this.found.records.toReversed();
    if (one) return this.detail(records.find(({ record }) => record === one), asked);
    if (!records.length) return [nothing("Nothing is on record", given.about ? "Nobody saw, changed or asked for it in that time." : "In that time, of that kind.")];
    const address = (record) => `${PLACE}?${new URLSearchParams([...asked.entries(), ["record", record.record]])}`;
    const row = (record) => [link(address(record), moment(record.at), { class: "row-link" }), madeBy(record), place(record), whatWasDone(record), subject(record), this.outcome(record)];
    const columns = [{ name: "When (UTC)" }, { name: "Who" }, { name: "From", phone: false }, { name: "What" }, { name: "Of", wide: true }, { name: "Outcome", phone: false }];
    const lines = h("div", {}, table("Records", columns, records.slice(0, SHOWN).map(row)));
    const all = h("button", { type: "button", onclick: () => { lines.replaceChildren(table("Records", columns, records.map(row))); all.remove(); } }, `Show all ${records.length}`);
    const save = h("button", { type: "button", onclick: () => saveBlob(new Blob([csv(records)], { type: "text/csv" }), "audit.csv") }, icon("download"), "Save as CSV");
    const much = this.found.more ? `The latest ${plural(records.length, "record")}; there are more: ask for fewer days, or one kind` : plural(records.length, "record");
    return [h("div", { class: "op-card-head bare" }, h("p", { class: "second", role: "status" }, much), save), lines, records.length > SHOWN ? h("div", { class: "pages" }, all) : null];
  }

  outcome(record) {
    return state(record.outcome ? "error" : "ok", outcomeOf(record));
  }

  detail(record, asked) {
    const list = new URLSearchParams([...asked.entries()].filter(([name]) => name !== "record"));
    const back = h("div", { class: "op-card-head bare" }, link(`${PLACE}?${list}`, [icon("previous"), "All records"], { class: "button back row-link" }));
    if (!record) return [back, nothing("This record is not in the list any more", "A list is of the last days that were asked for, and of the latest records.")];
    const fact = (name, ...said) => (said.some(Boolean) ? h("div", {}, h("dt", {}, name), h("dd", {}, ...said.filter(Boolean))) : null);
    const studies = record.objects.map((row) => [
      row.study_instance_uid ? link(`/?${new URLSearchParams({ study: row.study_instance_uid })}`, row.study_instance_uid, { class: "row-link uid-link" }) : "", row.patient_id, row.issuer || "", String(row.instances ?? "")]);
    return [back,
      h("section", { class: "op-card", "aria-label": "The record" }, h("div", { class: "op-card-head" }, h("h3", { class: "large" }, whatWasDone(record)), this.outcome(record)),
        h("dl", { class: "op-facts" }, fact("When", record.begun_at === record.at ? moment(record.at) : `${moment(record.begun_at)} to ${moment(record.at)}`),
          fact("How often", record.times > 1 ? `${record.times} requests` : ""), fact("Who", madeBy(record)), fact("From", record.address), fact("To", [record.peer, record.peer_address].filter(Boolean).join(" at ")),
          fact("Why", record.why), fact("Asked", record.query), fact("Part", [record.role, record.process].filter(Boolean).join(" of ")), fact("Record", uidButton(record.record)))),
      studies.length ? table("Studies", [{ name: "Study", wide: true }, { name: "Patient ID" }, { name: "Issuer", phone: false }, { name: "Objects", number: true }], studies) : null,
      record.more ? h("p", { class: "second" }, `And ${plural(record.more, "study", "studies")} more`) : null,
      store.state.mayOperate && record.objects[0]?.patient_id ? h("p", {}, link(`${PLACE}?${new URLSearchParams({ about: record.objects[0].patient_id, days: "90" })}`, "Everything of this patient")) : null];
  }
}

customElements.define("audit-records", RecordsSection);
