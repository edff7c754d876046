// Asks why, before something is changed for good; and what was changed, in the tray, with its undo.

import { h } from "./dom.js";
import { Job } from "./jobs.js";

const LONGEST_REASON = 200;
let dialog = null;

// Resolves to {reason, choice}, or null where somebody thinks again. `named` are lines that say what it is about,
// `choices` are [value, words], of which the first is chosen.
export function askWhy({ title, named = [], words, name, danger = false, reasons = [], choices = [] }) {
  dialog?.remove();
  const reason = h("input", { id: "op-reason", type: "text", required: true, maxLength: LONGEST_REASON, autocomplete: "off" });
  reason.setAttribute("list", "op-reasons");
  const choice = ([value, text], at) => h("label", { class: "choice" }, h("input", { type: "radio", name: "op-choice", value, checked: !at }), text);
  const chosen = choices.length ? h("div", { role: "radiogroup", "aria-label": title, class: "choices" }, ...choices.map(choice)) : null;
  const go = h("button", { class: danger ? "danger" : "primary", value: "go" }, name);
  dialog = h("dialog", { id: "op-why", "aria-labelledby": "op-why-title" }, h("form", { method: "dialog" },
    h("h2", { id: "op-why-title" }, title), named.length ? h("ul", { class: "named" }, ...named.map((line) => h("li", {}, line))) : null,
    chosen, h("label", {}, "Reason", reason), h("datalist", { id: "op-reasons" }, ...reasons.map((value) => h("option", { value }))),
    h("p", { class: "second" }, `${words} The reason is kept for ever: no patient's name belongs in it.`),
    h("div", { class: "row-of-buttons" }, h("button", { type: "button", onclick: () => dialog.close("") }, "Cancel"), go)));
  document.body.append(dialog);
  dialog.showModal();
  reason.focus();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "go" ? { reason: reason.value.trim(), choice: dialog.querySelector("input:checked")?.value || "" } : null), { once: true }));
}

// Do something as a job: `act` resolves to what was made, `words(made)` says it; `undo(made)`, if any, takes it back.
export async function run(title, act, words, undo = null) {
  const job = new Job(title);
  try {
    const made = await act();
    job.end("done", `${words(made)}${made?.settled === false ? "; the index follows" : ""}`);
    if (undo) job.set({ undo: () => takeBack(job, () => undo(made)) });
    return made;
  } catch (error) {
    job.end("failed", error.message);
    return null;
  }
}

async function takeBack(job, back) {
  job.set({ undo: null });
  try {
    await back();
    job.end("done", "Taken back");
  } catch (error) {
    job.end("warning", `Not taken back: ${error.message}`);
  }
  dispatchEvent(new CustomEvent("decided"));
}
