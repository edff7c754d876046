// What asks or tells before anything goes on: the token, the keys, where to send.

import { plural } from "./deletions.js";
import { h, say } from "./dom.js";
import { store } from "./page.js";
import { KEYS } from "./keymap.js";
import { send } from "./transfers.js";

class TokenDialog extends HTMLElement {
  connectedCallback() {
    this.problem = h("p", { role: "alert", class: "problem" });
    this.input = h("input", { type: "password", id: "token-value", autocomplete: "off", required: true });
    this.dialog = h("dialog", { id: "token", "aria-labelledby": "token-title" }, h("form", { method: "dialog" },
      h("h2", { id: "token-title" }, "This archive asks for a token"), this.problem,
      h("label", {}, "Token", this.input), h("p", { class: "second" }, "It is kept for this tab, and forgotten with it."),
      h("div", { class: "row-of-buttons" }, h("button", { class: "primary" }, "Sign in"))));
    // Without a token there is nothing behind the dialog.
    this.dialog.addEventListener("cancel", (event) => event.preventDefault());
    this.append(this.dialog);
  }

  // Resolves to what somebody types.
  ask(wrong) {
    this.input.value = "";
    say(this.problem, wrong ? "The archive does not take the token that was given." : "");
    if (!this.dialog.open) this.dialog.showModal();
    return new Promise((resolve) => this.dialog.addEventListener("close", () => resolve(this.input.value.trim()), { once: true }));
  }
}

class HelpDialog extends HTMLElement {
  connectedCallback() {
    const key = ({ shown, what }) => h("div", {}, h("dt", {}, ...shown.split(" ").map((one) => h("kbd", {}, one))), h("dd", {}, what));
    const part = ([name, keys]) => h("section", {}, h("h3", {}, name), h("dl", {}, ...keys.map(key)));
    this.dialog = h("dialog", { id: "help", "aria-labelledby": "help-title" },
      h("h2", { id: "help-title" }, "Keys"), h("div", { class: "keys" }, ...Object.entries(KEYS).map(part)),
      h("section", { class: "grammar" }, h("h3", {}, "The search box"),
        h("p", {}, h("code", {}, "doe jane ct last week acc:A20*"), " finds by name (in any order), modality, date and accession."),
        h("p", { class: "second" }, "id: acc: name: mod: desc: ref: born: sex: date: since: before: — dates as 2024, 2024-01, 2024-01-31, 2024-01..2024-03, today, yesterday, last week, 7 days.")),
      h("form", { method: "dialog", class: "row-of-buttons" }, h("button", {}, "Close")));
    this.append(this.dialog);
    store.on(["help"], () => this.dialog.showModal());
  }
}

class SendDialog extends HTMLElement {
  connectedCallback() {
    this.list = h("div", { class: "destinations", role: "radiogroup", "aria-label": "Destination" });
    this.heading = h("h2", { id: "send-title" });
    this.go = h("button", { class: "primary", value: "send" }, "Send");
    this.dialog = h("dialog", { id: "send", "aria-labelledby": "send-title" }, h("form", { method: "dialog" }, this.heading, this.list,
      h("div", { class: "row-of-buttons" }, h("button", { type: "button", onclick: () => this.dialog.close("") }, "Cancel"), this.go)));
    this.append(this.dialog);
    this.dialog.addEventListener("close", () => this.closed());
  }

  open(studies) {
    const destinations = store.state.destinations || [];
    this.studies = studies;
    say(this.heading, `Send ${plural(studies.length)} to`);
    this.go.hidden = !destinations.length;
    this.list.replaceChildren(...(destinations.length ? destinations.map((one, at) => this.choice(one, at)) : [
      h("p", {}, "No destination is configured. A peer with move_destination: true in the policy file becomes one."),
    ]));
    this.dialog.returnValue = "";
    this.dialog.showModal();
  }

  choice(one, at) {
    return h("label", {}, h("input", { type: "radio", name: "destination", value: one.aeTitle, checked: !at, required: true }),
      h("span", {}, one.aeTitle), h("span", { class: "second" }, one.description || ""));
  }

  closed() {
    const aeTitle = this.dialog.querySelector("input:checked")?.value;
    if (this.dialog.returnValue === "send" && aeTitle) send(this.studies, { aeTitle });
  }
}

customElements.define("token-dialog", TokenDialog);
customElements.define("help-dialog", HelpDialog);
customElements.define("send-dialog", SendDialog);
