// The form of an order: a new one, or what is to be changed of one. It gives a data set in the DICOM JSON model.

import { TAG, text, values } from "./dicom.js";
import { h } from "./dom.js";
import { OF, shown, today, written } from "./orders.js";

// name, tag, VR, and what the browser is to ask for.
const PERSON = [["Family name", "family", "PN", { required: true }], ["Given name", "given", "PN", {}], ["Patient ID", TAG.PatientID, "LO", { required: true }], ["Born", TAG.PatientBirthDate, "DA", { type: "date" }], ["Sex", TAG.PatientSex, "CS", { choices: ["", "F", "M", "O"] }]];
const REQUEST = [["Accession number", TAG.AccessionNumber, "SH", { required: true }], ["Procedure ID", OF.procedureId, "SH", {}], ["Procedure", OF.procedure, "LO", { required: true }], ["Referred by", TAG.ReferringPhysicianName, "PN", {}]];
const STEP = [["Modality", TAG.Modality, "CS", { required: true, pattern: "[A-Z0-9_ ]+", title: "Capitals, as CT or MR" }], ["Station (AE title)", OF.station, "AE", {}], ["Day", OF.date, "DA", { type: "date", required: true }], ["Time", OF.time, "TM", { type: "time", required: true }], ["What is done", OF.says, "LO", {}]];
const LONGEST = { PN: 64, LO: 64, SH: 16, CS: 16, AE: 16 };

let made = 0;

// `take(data set)` is called with what is to be placed or changed, `leave()` where somebody thinks again.
export class OrderForm extends HTMLElement {
  constructor(order, take, leave) {
    super();
    Object.assign(this, { order, take, leave, parts: [] });
  }

  connectedCallback() {
    if (this.form) return;
    const steps = this.order ? values(this.order, OF.steps).filter((step) => !["COMPLETED", "DISCONTINUED", "CANCELLED"].includes(text(step, OF.status))) : [null];
    this.steps = h("div", { class: "wl-steps" }, ...steps.map((step) => this.group(step ? `Step ${text(step, OF.step)}` : "Step", STEP, step, true)));
    const more = this.order ? null : h("button", { type: "button", onclick: () => this.steps.append(this.group("Another step", STEP, null, true)) }, "Add a step");
    this.form = h("form", { class: "wl-form", "aria-label": this.order ? "Change the order" : "New order", onsubmit: (event) => this.submit(event) },
      this.group("Patient", PERSON, this.order), this.group("Request", REQUEST, this.order), this.steps, more,
      h("div", { class: "row-of-buttons" }, h("button", { type: "button", onclick: () => this.leave() }, "Cancel"), h("button", { class: "primary" }, this.order ? "Change the order" : "Place the order")));
    this.append(this.form);
  }

  focus() {
    this.querySelector("input").focus();
  }

  group(name, fields, before, isStep = false) {
    const inputs = new Map();
    const rows = fields.map(([label, tag, vr, { choices, ...more }]) => {
      const id = `order-field-${made += 1}`;
      const input = choices ? h("select", { id }, ...choices.map((value) => h("option", { value }, value || "not said"))) : h("input", { id, type: "text", autocomplete: "off", maxLength: LONGEST[vr], ...more });
      // The key of an order is its accession number: another one would be another order.
      if (this.order && tag === TAG.AccessionNumber) input.readOnly = true;
      input.value = before ? shown(before, tag, vr) : tag === OF.date ? today() : "";
      inputs.set(tag, input);
      return h("div", { class: "wl-field" }, h("label", { for: id }, label), input);
    });
    this.parts.push({ fields, inputs, before, isStep });
    return h("fieldset", {}, h("legend", {}, name), ...rows);
  }

  submit(event) {
    event.preventDefault();
    const whole = {};
    const steps = [];
    for (const { fields, inputs, before, isStep } of this.parts) {
      const filled = Object.fromEntries([...inputs].map(([tag, input]) => [tag, input.value]));
      const said = written(fields, filled, before);
      if (!isStep) Object.assign(whole, said);
      else if (Object.keys(said).length) steps.push(before ? { [OF.step]: before[OF.step], ...said } : said);
    }
    if (steps.length) whole[OF.steps] = { vr: "SQ", Value: steps };
    if (Object.keys(whole).length) this.take(whole);
    else this.leave();
  }
}

customElements.define("order-form", OrderForm);
