// The place Worklist: orders by the day of their steps, one order with all that happened to it, and the form of an order.

import { BASE, ask, askJson } from "./archive.js";
import { TAG, clock, day, family, nameParts, personFacts, text, values } from "./dicom.js";
import { h, uidButton } from "./dom.js";
import { icon } from "./icons.js";
import { Section, askWhy, link, moment, nothing, plural, run, state, table } from "./operations.js";
import { store, visit } from "./page.js";
import { OrderForm } from "./order-form.js";
import { MOST, OF, dayBeside, questions, stepsShown, today } from "./orders.js";

const ORDERS = `${BASE}/orders`;
const PLACE = "/worklist/orders";
const OPEN = "SCHEDULED,ARRIVED,READY,STARTED";
const STATES = { SCHEDULED: "busy", ARRIVED: "busy", READY: "busy", STARTED: "busy", DEPARTED: "ok", COMPLETED: "ok", DISCONTINUED: "warning", CANCELLED: "error" };
const CHOICES = [[OPEN, "Open"], ["", "All"], ["STARTED", "Started"], ["COMPLETED", "Completed"], ["DISCONTINUED", "Discontinued"], ["CANCELLED", "Cancelled"]];

const words = (name) => (name ? name[0] + name.slice(1).toLowerCase() : "");
const stepState = (step) => { const said = text(step, OF.status); return state(STATES[said] || "busy", words(said) || "Not said"); };
const orderOf = (order) => decodeURIComponent(text(order, OF.url).split("/").pop());
const orderPath = (key) => `${ORDERS}/${encodeURIComponent(key)}`;
export const orderAddress = (key) => `${PLACE}/${encodeURIComponent(key)}`;
const when = (item, date, time) => [day(text(item, date)), clock(text(item, time))].filter(Boolean).join(" ");

class OrdersSection extends Section {
  title_ = "Orders";

  connectedCallback() {
    super.connectedCallback();
    if (this.term) return;
    const step = (by, symbol, name) => h("button", { type: "button", "aria-label": name, onclick: () => this.ask({ date: dayBeside(this.date.value || today(), by) }) }, icon(symbol));
    const select = (name, choices) => h("select", { "aria-label": name, onchange: () => this.ask({}) }, ...choices.map(([value, said]) => h("option", { value }, said)));
    this.date = h("input", { type: "date", "aria-label": "Day", onchange: () => this.ask({}) });
    this.status = select("State", CHOICES);
    this.modality = h("input", { type: "text", class: "wl-modality", "aria-label": "Modality", placeholder: "Modality", maxLength: 16, autocomplete: "off", onchange: () => this.ask({}) });
    this.term = h("input", { type: "search", id: "orders-term", autocomplete: "off", spellcheck: "false", maxLength: 64, placeholder: "Name, Patient ID or accession number" });
    const submit = (event) => { event.preventDefault(); this.ask({}); };
    this.filters = h("form", { role: "search", class: "wl-filters", "aria-label": "Orders", onsubmit: submit },
      h("div", { class: "op-field" }, step(-1, "previous", "The day before"), this.date, step(1, "next", "The day after"), h("button", { type: "button", onclick: () => this.ask({ date: today() }) }, "Today")),
      this.modality, this.status, h("div", { class: "op-search" }, h("label", { for: "orders-term", class: "spoken" }, "Name, Patient ID or accession number"), icon("search"), this.term, h("button", {}, "Find")));
    this.head.append(this.filters);
    this.renewWhileAt("worklist");
  }

  ask(parts) {
    const asked = { date: this.date.value || today(), modality: this.modality.value.trim().toUpperCase(), state: this.status.value, term: this.term.value.trim(), ...parts };
    visit(`${PLACE}?${new URLSearchParams(asked)}`);
  }

  async load([key], asked, signal) {
    this.filters.hidden = Boolean(key);
    if (key) return this.detail(key, signal);
    const given = { date: asked.get("date") || today(), modality: asked.get("modality") || "", status: asked.get("state") ?? OPEN, term: asked.get("term") || "", offset: Number(asked.get("offset")) || 0 };
    for (const [input, value] of [[this.date, given.date], [this.modality, given.modality], [this.status, given.status], [this.term, given.term]]) {
      if (input !== document.activeElement || !input.value) input.value = value;
    }
    const answers = await Promise.all(questions(given).map((one) => askJson(`${ORDERS}?${new URLSearchParams(one)}`, { signal })));
    const more = answers.some((one) => one.length > MOST);
    const orders = [...new Map(answers.flatMap((one) => one.slice(0, MOST)).map((order) => [orderOf(order), order])).values()];
    const rows = orders.flatMap((order) => stepsShown(order, given).map((step) => this.row(order, step, given.term)));
    if (!rows.length) return [nothing(given.term ? "No order matches" : `No ${given.status === OPEN ? "open " : ""}order for ${given.date}`, given.term ? `Asked for: ${given.term}, on any day.` : "Orders come by HL7, over HTTP, by gantry orders, or by the form of this place.")];
    rows.sort((a, b) => a.at.localeCompare(b.at));
    const columns = [{ name: "Start" }, { name: "Patient", wide: true }, { name: "Patient ID", phone: false }, { name: "Accession", phone: false }, { name: "Procedure", wide: true, phone: false }, { name: "Modality" }, { name: "Station", phone: false }, { name: "State" }];
    const page = (offset, said) => link(`${PLACE}?${new URLSearchParams({ ...Object.fromEntries(asked), offset })}`, said, { class: "button" });
    return [h("p", { class: "second", role: "status" }, `${plural(rows.length, "step")} of ${plural(orders.length, "order")}${more ? " on this page" : ""}${given.term ? ", on any day" : ""}`),
      table("Orders", columns, rows.map(({ cells }) => cells)),
      more || given.offset ? h("nav", { class: "pages", "aria-label": "Pages" }, given.offset ? page(0, "First") : null, more ? page(given.offset + MOST, "After") : null) : null];
  }

  row(order, step, anyDay) {
    const modality = text(step, TAG.Modality);
    const { main, other } = nameParts(order, TAG.PatientName);
    const at = when(step, OF.date, OF.time);
    return { at, cells: [anyDay ? at : clock(text(step, OF.time)), [link(orderAddress(orderOf(order)), main || "No name", { class: "row-link" }), other ? ` ${other}` : "", h("div", { class: "second" }, personFacts(order))],
      text(order, TAG.PatientID), text(order, TAG.AccessionNumber), text(step, OF.says) || text(order, OF.procedure),
      h("span", { class: "modality", data: { family: family(modality) } }, modality), text(step, OF.station), stepState(step)] };
  }

  async detail(key, signal) {
    const part = (name) => askJson(`${orderPath(key)}/${name}`, { signal });
    const [[order], performed, studies, history] = await Promise.all([askJson(orderPath(key), { signal }).catch((error) => (error.status === 404 ? [null] : Promise.reject(error))), part("performed").catch(() => []), part("studies").catch(() => []), part("history")]);
    const back = h("div", { class: "op-card-head bare" }, link(PLACE, [icon("previous"), "All orders"], { class: "button back row-link" }));
    const told = h("ol", { class: "op-list wl-history" }, ...history.map(entry));
    if (!order) return [back, nothing("This order was erased", "What happened to it stays, without its patient."), told];
    const { main, other } = nameParts(order, TAG.PatientName);
    const uid = text(order, TAG.StudyInstanceUID);
    const fact = (name, ...said) => (said.some(Boolean) ? h("div", {}, h("dt", {}, name), h("dd", {}, ...said)) : null);
    const steps = values(order, OF.steps);
    const open = steps.filter((step) => !["COMPLETED", "DISCONTINUED", "CANCELLED", "DEPARTED"].includes(text(step, OF.status)));
    const may = store.state.mayOrder;
    const act = (name, action, danger) => h("button", { type: "button", class: danger ? "danger" : null, onclick: action }, name);
    const linked = [...new Set([uid, ...studies.map((one) => one.study)])].filter(Boolean);
    return [back,
      h("section", { class: "op-card", "aria-label": "The order" },
        h("div", { class: "op-card-head" }, h("h3", { class: "large" }, main || "No name"), other, may ? h("div", { class: "wl-acts" }, act("Change …", () => this.change(key, order)), open.length ? act("Cancel …", () => this.cancel(key, open), true) : null) : null),
        h("dl", { class: "op-facts" }, fact("Patient", [text(order, TAG.PatientID), personFacts(order)].filter(Boolean).join(" · ")), fact("Accession", text(order, TAG.AccessionNumber)),
          fact("Procedure", [text(order, OF.procedureId), text(order, OF.procedure)].filter(Boolean).join(" · ")), fact("Referred by", text(order, TAG.ReferringPhysicianName)),
          ...linked.map((study) => fact(study === uid ? "Study" : "Linked study", uidButton(study), " ", link(`/?${new URLSearchParams({ study })}`, "Open", { class: "row-link" }), " ", study !== uid && may && store.state.mayCorrect ? act("Unlink …", () => this.unlink(key, study)) : null)),
          may && store.state.mayCorrect ? fact("Other images", act("Link a study …", () => this.linkStudy(key))) : null)),
      table("Steps", [{ name: "Step" }, { name: "Start" }, { name: "Modality" }, { name: "Station", phone: false }, { name: "What", wide: true, phone: false }, { name: "State" }],
        steps.map((step) => [text(step, OF.step), when(step, OF.date, OF.time), text(step, TAG.Modality), text(step, OF.station), text(step, OF.says), stepState(step)])),
      performed.length ? table("Performed", [{ name: "Performed" }, { name: "Modality" }, { name: "Station", phone: false }, { name: "Started" }, { name: "Ended", phone: false }, { name: "What", wide: true, phone: false }],
        performed.map((one) => [text(one, OF.performedStatus), text(one, TAG.Modality), text(one, OF.performedStation), when(one, OF.started, OF.startedAt), when(one, OF.ended, OF.endedAt), text(one, OF.performedSays)])) : null,
      h("details", { class: "op-rules", open: true }, h("summary", {}, "What happened to it"), told)];
  }

  change(key, order) {
    const form = new OrderForm(order, (document_) => run("Order changed", () => askJson(orderPath(key), { method: "PATCH", body: JSON.stringify(document_), type: "application/json" }), () => "As the form says").then((done) => done && this.again()), () => this.again());
    this.body.replaceChildren(form);
    form.focus();
  }

  async cancel(key, open) {
    const one = ({ step, says }) => [step, `Only step ${[step, says].filter(Boolean).join(", ")}`];
    const choices = open.length > 1 ? [["", "The order, with all of its steps"], ...open.map((step) => one({ step: text(step, OF.step), says: text(step, OF.says) }))] : [];
    const why = await askWhy({ title: "Cancel this order", words: "Modalities no longer see it.", name: "Cancel the order", danger: true, reasons: ["Patient did not come", "Ordered twice", "Wrong patient"], choices });
    if (!why) return;
    const asked = new URLSearchParams({ reason: why.reason, ...(why.choice ? { step: why.choice } : {}) });
    if (await run("Order cancelled", () => askJson(`${orderPath(key)}?${asked}`, { method: "DELETE" }), () => why.reason)) this.again();
  }

  async linkStudy(key) {
    const input = h("input", { type: "text", maxLength: 64, autocomplete: "off" });
    const why = await askWhy({ title: "Link a study to this order", named: [h("label", {}, "Study Instance UID", input)], words: "The study shows the patient, the accession number and the request of this order. It can be taken back.", name: "Link", reasons: ["Scanned before its order", "Wrong worklist entry"] });
    if (why) await this.links("Study linked", key, input.value.trim(), why.reason, "POST");
  }

  async unlink(key, study) {
    const why = await askWhy({ title: "Unlink this study", named: [study], words: "It shows again what it said itself.", name: "Unlink" });
    if (why) await this.links("Study unlinked", key, study, why.reason, "DELETE");
  }

  async links(title, key, study, reason, method) {
    if (await run(title, () => askJson(`${orderPath(key)}/studies/${encodeURIComponent(study)}?${new URLSearchParams({ reason })}`, { method }), () => study)) this.again();
  }
}

const TYPES = { placed: "Placed", changed: "Changed", cancelled: "Cancelled", erased: "Erased", linked: "Study linked", unlinked: "Study unlinked", step: "Performed step" };

function entry(one) {
  const said = [TYPES[one.type] || one.type, one.by && `by ${one.by}`, one.message && `message ${one.message}`, one.steps?.length && `step ${one.steps.join(", ")}`, one.study, one.reason].filter(Boolean).join(", ");
  return h("li", {}, one.accepted ? state("ok", said) : state("warning", `${said}. Not done: ${one.refused}`), h("time", { class: "second" }, moment(one.at)));
}

class NewOrderSection extends Section {
  title_ = "New order";

  async load() {
    if (!store.state.mayOrder) return [nothing("Orders are not yours to place", "http.may_order, or a role, says who may.")];
    const place = (document_) => run("Order placed", () => ask(ORDERS, { accept: "application/json", method: "POST", body: JSON.stringify(document_), type: "application/json" }).then((answer) => answer.json()), ([order]) => text(order, TAG.AccessionNumber) || orderOf(order))
      .then((made) => made && visit(orderAddress(orderOf(made[0]))));
    return [new OrderForm(null, place, () => visit(PLACE))];
  }
}

customElements.define("wl-orders", OrdersSection);
customElements.define("wl-new", NewOrderSection);
