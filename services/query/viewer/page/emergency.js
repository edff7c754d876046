// Emergency access: who sees some studies only opens one patient or one study, for a time, for a reason that is on
// record. The browser keeps the override itself, as a cookie; the banner says what is open, and ends it.

import { BASE, askJson } from "./archive.js";
import { h, say } from "./dom.js";
import { icon } from "./icons.js";
import { follow, go, refresh, store } from "./page.js";
import { endsOf, openedBy, soughtBy } from "./overrides.js";

const OVERRIDES = `${BASE}/overrides`;
const LONGEST_WAIT = 0x7fffffff; // milliseconds that a browser can wait

// Ask what is open now.
async function learn() {
  const { overrides, minutes } = await askJson(OVERRIDES);
  store.set({ overrides, minutes });
}

class EmergencyBanner extends HTMLElement {
  connectedCallback() {
    this.words = h("p", {});
    this.end = h("button", { type: "button", onclick: () => this.close() }, "End it now");
    this.setAttribute("role", "status");
    this.append(icon("warning"), this.words, this.end);
    store.on(["overrides"], () => this.show());
    learn().catch(() => {});
  }

  show() {
    const { overrides } = store.state;
    clearTimeout(this.timer);
    this.hidden = !overrides.length;
    if (this.hidden) return;
    const { last, wait } = endsOf(overrides, Date.now());
    const until = last.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    const links = overrides.map(openedBy).flatMap(({ name, href }, at) => [at ? ", " : "", h("a", { href, onclick: follow }, name)]);
    this.words.replaceChildren(h("strong", {}, `Emergency access until ${until}`), ": ", ...links, ". What you open is on record.");
    // A second later than its end, it is over for the archive, too.
    this.timer = setTimeout(() => this.again(), Math.min(wait + 1000, LONGEST_WAIT));
  }

  async again() {
    await learn().catch(() => store.set({ overrides: [] }));
    await refresh();
  }

  async close() {
    this.end.disabled = true;
    await askJson(OVERRIDES, { method: "DELETE" }).catch(() => {});
    this.end.disabled = false;
    go({ look: "", study: "", series: "" });
    await this.again();
    document.getElementById("search").focus();
  }
}

class EmergencyDialog extends HTMLElement {
  connectedCallback() {
    const text = (id, more = {}) => h("input", { id: `emergency-${id}`, type: "text", autocomplete: "off", spellcheck: "false", maxLength: 64, ...more });
    const scope = (value, words) => h("label", { class: "choice" }, h("input", { type: "radio", name: "emergency-scope", value, onchange: () => this.scoped() }), words);
    this.scopes = h("div", { role: "radiogroup", "aria-label": "What is opened", class: "choices" }, scope("patient", "One patient, all studies"), scope("study", "One study"));
    this.patient = text("patient");
    this.issuer = text("issuer", { placeholder: "any" });
    this.study = text("study", { inputmode: "decimal" });
    this.reason = h("input", { id: "emergency-reason", type: "text", required: true, minLength: 10, maxLength: 200, autocomplete: "off" });
    this.ofPatient = h("div", { class: "fields" }, h("label", {}, "Patient ID", this.patient), h("label", {}, "Issuer of the ID", this.issuer));
    this.ofStudy = h("label", {}, "Study Instance UID", this.study);
    this.lasts = h("p", { class: "second" });
    this.problem = h("p", { role: "alert", class: "problem" });
    this.go = h("button", { class: "danger" }, "Open");
    this.dialog = h("dialog", { id: "emergency", "aria-labelledby": "emergency-title" }, h("form", { onsubmit: (event) => this.submit(event) },
      h("h2", { id: "emergency-title" }, "Emergency access"), this.scopes, this.ofPatient, this.ofStudy, h("label", {}, "Why it is needed", this.reason), this.lasts, this.problem,
      h("div", { class: "row-of-buttons" }, h("button", { type: "button", onclick: () => this.dialog.close() }, "Cancel"), this.go)));
    this.append(this.dialog);
    store.on(["emergency"], ({ emergency }) => this.open(emergency));
    if (store.state.emergency) this.open(store.state.emergency); // somebody was quicker than this module
  }

  // What somebody looked for: a study, or the terms of a search.
  open(sought) {
    const { patient = "", study = "" } = sought.terms ? soughtBy(sought.terms) : sought;
    Object.assign(this.patient, { value: patient });
    Object.assign(this.study, { value: study });
    this.issuer.value = this.reason.value = "";
    this.scopes.querySelector(`[value=${study ? "study" : "patient"}]`).checked = true;
    const { minutes } = store.state;
    say(this.lasts, `It opens ${minutes ? `for ${minutes.toLocaleString("en")} minutes` : "for a time"}. Who opened what and why is kept for ever, and those who watch over it are told.`);
    say(this.problem, "");
    this.scoped();
    this.dialog.showModal();
    (study || patient ? this.reason : this.patient).focus();
  }

  get isStudy() {
    return this.scopes.querySelector("input:checked").value === "study";
  }

  scoped() {
    this.ofPatient.hidden = this.isStudy;
    this.ofStudy.hidden = !this.isStudy;
    this.study.required = this.isStudy;
    this.patient.required = !this.isStudy;
  }

  async submit(event) {
    event.preventDefault();
    const [study, patient, issuer, reason] = [this.study, this.patient, this.issuer, this.reason].map((input) => input.value.trim());
    const asked = this.isStudy ? { study } : { patient, ...(issuer ? { issuer } : {}) };
    this.go.disabled = true;
    try {
      await askJson(OVERRIDES, { method: "POST", body: JSON.stringify({ ...asked, reason }), type: "application/json" });
      await learn();
    } catch (error) {
      say(this.problem, error.message);
      return;
    } finally {
      this.go.disabled = false;
    }
    this.dialog.close();
    go(this.isStudy ? { study, look: "", series: "" } : { q: openedQuery(asked), study: "", look: "", series: "" }, { push: true });
    // The page of a study may be open already, and say that there is none.
    document.querySelector("study-page study-view")?.dispatchEvent(new Event("corrected"));
    await refresh();
  }
}

const openedQuery = (asked) => new URL(openedBy(asked).href, location.href).searchParams.get("q");

customElements.define("emergency-banner", EmergencyBanner);
customElements.define("emergency-dialog", EmergencyDialog);
