// Links for people outside: the dialog that makes one, and the place Shares, where they are listed and revoked.

import { BASE, askJson } from "./archive.js";
import { namesOf } from "./deletions.js";
import { copy, h } from "./dom.js";
import { Section, askWhy, link, nothing, plural, run, state, table } from "./operations.js";
import { uidOf } from "./page.js";

const SHARES = `${BASE}/shares`;
const DAYS = 14;
const when = (at) => at.slice(0, 16).replace("T", " ");

// A link to these studies is made; it is shown once.
export async function shareStudies(studies) {
  const { profiles } = await askJson(SHARES).catch(() => ({ profiles: [] }));
  const field = (label, more) => {
    const input = h("input", { type: "text", autocomplete: "off", ...more });
    return [input, h("label", {}, label, input)];
  };
  const [reason, ...whom] = field("To whom, and what for", { required: true, minLength: 5, maxLength: 200 });
  const [until, ...last] = field("Last day", { type: "date", required: true, value: new Date(Date.now() + DAYS * 86400000).toISOString().slice(0, 10) });
  const [password, ...secret] = field("Password, told on another way", { minLength: 8, maxLength: 128 });
  const [openings, ...often] = field("Browsers that it opens in", { type: "number", min: 1, max: 1000, placeholder: "any" });
  const take = h("input", { type: "checkbox" });
  const as = h("select", {}, h("option", { value: "" }, "As they are"), ...profiles.map((name) => h("option", { value: name }, `De-identified copies: ${name}`)));
  const problem = h("p", { class: "problem", role: "alert" });
  const dialog = h("dialog", { id: "share", "aria-labelledby": "share-title" });
  const close = h("button", { type: "button", onclick: () => dialog.close() }, "Cancel");
  const make = async (event) => {
    event.preventDefault();
    const asked = { studies: studies.map(uidOf), reason: reason.value.trim(), expires: new Date(`${until.value}T23:59:59`).toISOString().replace(/\.\d+/, ""), download: take.checked };
    if (password.value) asked.password = password.value;
    if (openings.value) asked.openings = Number(openings.value);
    if (as.value) asked.deidentify = as.value;
    try {
      const made = await askJson(SHARES, { method: "POST", body: JSON.stringify(asked), type: "application/json" });
      const shown = h("code", { class: "uid", tabIndex: 0 }, made.link);
      const copied = h("button", { class: "primary", type: "button", onclick: () => copy(shown, made.link) }, "Copy");
      form.replaceChildren(h("h2", { id: "share-title" }, "The link"), shown, h("p", { class: "second" }, `It is shown this once, and works until ${when(made.expires)} UTC.`), h("div", { class: "row-of-buttons" }, close, copied));
      close.textContent = "Close";
      copied.focus();
    } catch (error) {
      problem.textContent = error.message;
    }
  };
  const form = h("form", { onsubmit: make }, h("h2", { id: "share-title" }, `Share ${plural(studies.length, "study", "studies")}`), h("ul", { class: "named" }, ...namesOf(studies).map((name) => h("li", {}, name))),
    ...whom, h("p", { class: "second" }, "Whoever has the link sees these studies. What you write is kept for ever: no patient's name belongs in it."),
    h("div", { class: "fields" }, ...last, ...often), ...secret, profiles.length ? h("label", {}, "Shown", as) : null, h("label", { class: "choice" }, take, "Images may be downloaded, too"), problem,
    h("div", { class: "row-of-buttons" }, close, h("button", { class: "primary" }, "Make the link")));
  dialog.append(form);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  reason.focus();
}

class SharesSection extends Section {
  title_ = "Links";

  async load(path, asked, signal) {
    const { shares } = await askJson(SHARES, { signal });
    if (!shares.length) return [nothing("Nothing is shared", "Select studies in the list, then Share.")];
    const copies = ({ deidentifiedBy: by, copied, withheld }) => `, ${by}: ${copied === null ? "being prepared" : plural(copied, "copy", "copies")}${withheld.length ? `; withheld: ${withheld.join("; ")}` : ""}`;
    const rows = shares.map((one) => [
      when(one.created), [one.reason, one.deidentifiedBy && h("span", { class: "second" }, copies(one))], one.by, one.studies.map((study, at) => [at ? ", " : "", link(`/?${new URLSearchParams({ study })}`, `…${study.slice(-8)}`, { class: "row-link uid-link", title: study })]).flat(),
      when(one.expires), `${one.opened} of ${one.openings ?? "any"}`, state(one.state === "open" ? "ok" : "warning", one.state.replaceAll("-", " ")),
      ["open", "too-many-tries"].includes(one.state) ? h("button", { type: "button", class: "danger", onclick: () => this.revoke(one) }, "Revoke …") : "",
    ]);
    const columns = [{ name: "Made" }, { name: "For", wide: true }, { name: "By", phone: false }, { name: "Studies" }, { name: "Until" }, { name: "Opened", phone: false }, { name: "State" }, { name: "" }];
    return [h("p", { class: "second", role: "status" }, `${plural(shares.length, "link")}, times in UTC`), table("Links", columns, rows)];
  }

  async revoke(one) {
    const why = await askWhy({ title: "Revoke this link", named: [one.reason], words: "It opens no longer, and whoever is in is out.", name: "Revoke", danger: true });
    if (!why) return;
    const done = await run("Link revoked", async () => ({ gone: await askJson(`${SHARES}/${one.share}?${new URLSearchParams({ reason: why.reason })}`, { method: "DELETE" }) }), () => one.reason);
    if (done) this.again();
  }
}

customElements.define("shares-links", SharesSection);
