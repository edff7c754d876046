// The section Workitems of the Worklist: what is to be done by machines, who does it and how far it is, and one with its
// inputs and outputs.

import { BASE, ask, askJson, search } from "./archive.js";
import { TAG, nameParts, personFacts, text, values } from "./dicom.js";
import { h, uidButton } from "./dom.js";
import { icon } from "./icons.js";
import { Section, askWhy, link, nothing, plural, run, state, table } from "./operations.js";
import { store, visit } from "./page.js";
import { OPEN, UPS, dateTime, meanings, performer, progress, question, references, since, station, stopped } from "./ups.js";

const WORKITEMS = `${BASE}/workitems`;
const PLACE = "/worklist/workitems";
const JSON_TYPE = "application/dicom+json";
const STATES = { SCHEDULED: "busy", "IN PROGRESS": "busy", COMPLETED: "ok", CANCELED: "warning" };
const CHOICES = [[OPEN, "Open"], ["", "All"], ["SCHEDULED", "Scheduled"], ["IN PROGRESS", "In progress"], ["COMPLETED", "Completed"], ["CANCELED", "Cancelled"]];

const words = new Map(CHOICES.slice(2));
const uidOf = (workitem) => text(workitem, TAG.SOPInstanceUID);
const pathOf = (uid) => `${WORKITEMS}/${encodeURIComponent(uid)}`;
const said = (workitem) => text(workitem, UPS.state);

function stateOf(workitem) {
  const far = said(workitem) === "IN PROGRESS" ? progress(workitem) : "";
  return state(STATES[said(workitem)] || "busy", [words.get(said(workitem)) || "Not said", far].filter(Boolean).join(", "));
}

class WorkitemsSection extends Section {
  title_ = "Workitems";

  connectedCallback() {
    super.connectedCallback();
    if (this.term) return;
    const asks = () => this.ask({});
    this.status = h("select", { "aria-label": "State", onchange: asks }, ...CHOICES.map(([value, name]) => h("option", { value }, name)));
    this.list = h("input", { type: "text", class: "wl-modality", "aria-label": "Worklist Label", placeholder: "Worklist", maxLength: 64, autocomplete: "off", onchange: asks });
    this.term = h("input", { type: "search", id: "workitems-term", autocomplete: "off", spellcheck: "false", maxLength: 64, placeholder: "Name or Patient ID" });
    const submit = (event) => { event.preventDefault(); asks(); };
    this.filters = h("form", { role: "search", class: "wl-filters", "aria-label": "Workitems", onsubmit: submit }, this.list, this.status,
      h("div", { class: "op-search" }, h("label", { for: "workitems-term", class: "spoken" }, "Name or Patient ID"), icon("search"), this.term, h("button", {}, "Find")));
    this.head.append(this.filters);
    this.renewWhileAt("worklist");
  }

  ask(parts) {
    visit(`${PLACE}?${new URLSearchParams({ state: this.status.value, list: this.list.value.trim(), term: this.term.value.trim(), ...parts })}`);
  }

  async load([uid], asked, signal) {
    this.filters.hidden = Boolean(uid);
    if (uid) return this.detail(uid, signal);
    const given = { status: asked.get("state") ?? OPEN, list: asked.get("list") || "", term: asked.get("term") || "", offset: Number(asked.get("offset")) || 0 };
    for (const [input, value] of [[this.status, given.status], [this.list, given.list], [this.term, given.term]]) if (input !== document.activeElement || !input.value) input.value = value;
    const { items, next } = await search(`${WORKITEMS}?${new URLSearchParams(question(given))}`, signal);
    if (!items.length) {
      const wanted = [given.term, given.list && `worklist ${given.list}`].filter(Boolean).join(", ");
      return [nothing(wanted ? "No workitem matches" : given.status === OPEN ? "Nothing is to be done" : "No workitem is in this state", wanted ? `Asked for: ${wanted}.` : "Workitems come over HTTP, by DIMSE, by rules of routing, or by gantry workitems.")];
    }
    const columns = [{ name: "Since" }, { name: "What", wide: true }, { name: "Priority", phone: false }, { name: "Patient", wide: true }, { name: "Station", phone: false }, { name: "Performer", phone: false }, { name: "State" }];
    const page = (offset, name) => link(`${PLACE}?${new URLSearchParams({ ...Object.fromEntries(asked), offset })}`, name, { class: "button" });
    return [h("p", { class: "second", role: "status" }, `${plural(items.length, "workitem")}${next || given.offset ? " on this page" : ""}`),
      table("Workitems", columns, items.map((one) => this.row(one))),
      next || given.offset ? h("nav", { class: "pages", "aria-label": "Pages" }, given.offset ? page(0, "First") : null, next ? page(given.offset + items.length, "After") : null) : null];
  }

  row(one) {
    const { main } = nameParts(one, TAG.PatientName);
    return [since(one), [link(`${PLACE}/${encodeURIComponent(uidOf(one))}`, text(one, UPS.label) || "No label", { class: "row-link" }), h("div", { class: "second" }, text(one, UPS.list))],
      text(one, UPS.priority).toLowerCase(), [main, h("div", { class: "second" }, text(one, TAG.PatientID))], station(one), performer(one), stateOf(one)];
  }

  async detail(uid, signal) {
    const back = h("div", { class: "op-card-head bare" }, link(PLACE, [icon("previous"), "All workitems"], { class: "button back row-link" }));
    const found = await askJson(pathOf(uid), { accept: JSON_TYPE, signal }).catch((error) => ([404, 410].includes(error.status) ? error : Promise.reject(error)));
    if (found instanceof Error) return [back, nothing(found.status === 410 ? "This workitem was erased" : "There is no such workitem", found.message)];
    const one = [found].flat()[0];
    const [done] = values(one, UPS.performed);
    const fact = (name, ...shown) => (shown.some(Boolean) ? h("div", {}, h("dt", {}, name), h("dd", {}, ...shown)) : null);
    return [back,
      h("section", { class: "op-card", "aria-label": "The workitem" },
        h("div", { class: "op-card-head" }, h("h3", { class: "large" }, text(one, UPS.label) || "No label"), stateOf(one), this.acts(uid, one)),
        h("dl", { class: "op-facts" }, fact("Patient", [nameParts(one, TAG.PatientName).main, text(one, TAG.PatientID), personFacts(one)].filter(Boolean).join(" · ")),
          fact("Accession", values(one, UPS.request).map((item) => text(item, TAG.AccessionNumber)).filter(Boolean).join(", ")), fact("Worklist", text(one, UPS.list)), fact("Work", meanings(one, UPS.code)), fact("Priority", text(one, UPS.priority).toLowerCase()),
          fact("To begin", dateTime(one, UPS.start)), fact("Expected", dateTime(one, UPS.expected)), fact("Expires", dateTime(one, UPS.expires)), fact("Input", text(one, UPS.ready).toLowerCase()), fact("Station", station(one)),
          fact("Performer", performer(one)), fact("Begun", dateTime(done, UPS.began)), fact("Ended", dateTime(done, UPS.ended)), fact("Progress", progress(one)), fact("Stopped", stopped(one)), fact("Comments", text(one, UPS.comments)), fact("UID", uidButton(uid)))),
      this.references("Inputs", references(one, UPS.inputs)), this.references("Outputs", references(done, UPS.outputs))];
  }

  references(name, all) {
    if (!all.length) return null;
    const study = ({ study: of }) => (of ? link(`/?${new URLSearchParams({ study: of })}`, `…${of.slice(-8)}`, { class: "row-link uid-link", title: of }) : "");
    return table(name, [{ name }, { name: "Study" }, { name: "Series", mono: true, wide: true, phone: false }, { name: "Instances", number: true }], all.map((each) => [each.kind, study(each), each.series, each.instances ? String(each.instances) : ""]));
  }

  acts(uid, one) {
    const { mayOrder, mayDelete } = store.state;
    const act = (name, action) => h("button", { type: "button", class: "danger", onclick: action }, name);
    const open = ["SCHEDULED", "IN PROGRESS"].includes(said(one));
    return mayOrder ? h("div", { class: "wl-acts" }, open ? act("Cancel …", () => this.cancel(uid, one)) : null, mayDelete ? act("Erase …", () => this.erase(uid, one)) : null) : null;
  }

  async cancel(uid, one) {
    const claimed = said(one) === "IN PROGRESS";
    const why = await askWhy({ title: "Ask that this workitem be cancelled", named: [text(one, UPS.label)], words: claimed ? "Somebody performs it, is told, and decides." : "Nobody has claimed it: it is cancelled at once.", name: "Ask for it", danger: true, reasons: ["Not needed", "Wrong input"] });
    if (!why) return;
    const body = JSON.stringify({ [UPS.cancelled]: { vr: "LT", Value: [why.reason] } });
    if (await run("Cancellation of a workitem", () => ask(`${pathOf(uid)}/cancelrequest`, { method: "POST", accept: JSON_TYPE, body, type: JSON_TYPE }), () => (claimed ? "Asked for" : "Cancelled"))) this.again();
  }

  async erase(uid, one) {
    const claimed = said(one) === "IN PROGRESS";
    const why = await askWhy({ title: "Erase this workitem", named: [text(one, UPS.label)], words: `All that it says is erased for good, and its UID is never used again.${claimed ? " Somebody performs it, and cannot go on." : ""}`, name: "Erase", danger: true });
    if (!why) return;
    const asked = new URLSearchParams({ reason: why.reason, ...(claimed ? { even_in_progress: "true" } : {}) });
    if (await run("Workitem erased", () => ask(`${pathOf(uid)}?${asked}`, { method: "DELETE", accept: "*/*" }), () => why.reason)) visit(PLACE);
  }
}

customElements.define("wl-workitems", WorkitemsSection);
