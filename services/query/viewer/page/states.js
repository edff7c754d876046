// What stands in the table's place when there is nothing to list: an empty archive, no match, an error.

import { copy, h } from "./dom.js";
import { icon } from "./icons.js";
import { go, refresh, store } from "./page.js";
import { inWords, widenings } from "./search.js";

// {key, make}: `key` changes when another state is to be drawn.
export function stateFor(list, { terms, settings, mayOverride }) {
  if (list.error) return { key: `error ${list.error.message}`, make: () => failed(list.error, list.terms) };
  if (list.terms.length) return { key: `none ${inWords(list.terms)} ${mayOverride}`, make: () => noMatch(list.terms, mayOverride) };
  if (mayOverride) return { key: "nothing yours", make: nothingYours };
  return { key: `empty ${settings.aeTitle} ${terms.length}`, make: () => emptyArchive(settings) };
}

// Somebody who sees some studies only asks for others here.
function emergency(sought) {
  return h("li", {}, h("button", { type: "button", onclick: () => store.set({ emergency: sought }) }, icon("warning"), "Emergency access …"));
}

function nothingYours() {
  return h("div", { class: "message", role: "status" },
    h("h2", {}, "No study here is yours to see"),
    h("p", { class: "second" }, "There may be others. In an emergency one patient or one study can be opened, for a reason that is kept."),
    h("ul", { class: "choices" }, emergency({})));
}

function noMatch(terms, mayOverride) {
  const wider = widenings(terms).map(({ label, text }) =>
    h("li", {}, h("button", { type: "button", class: "plain", onclick: () => go({ q: text }) }, label)));
  return h("div", { class: "message", role: "status" },
    h("h2", {}, "No study matches"),
    h("p", {}, `Asked for: ${inWords(terms)}.`),
    wider.length ? h("p", { class: "second" }, "Try instead:") : null,
    h("ul", { class: "choices" }, ...wider, h("li", {}, h("button", { type: "button", class: "plain", onclick: () => go({ q: "" }) }, "All studies")), mayOverride ? emergency({ terms }) : null));
}

function failed(error, terms) {
  const away = error.status === 503 || error.status === 0;
  return h("div", { class: "message", role: "alert" },
    h("h2", {}, icon("error"), "The studies cannot be listed"),
    h("p", {}, `${terms.length ? `Asked for: ${inWords(terms)}. ` : ""}The answer: ${error.message}`),
    h("p", { class: "second" }, away ? "The archive is starting, or one of its stores is away. Its /readyz says which." : "Change the search, or ask again."),
    h("ul", { class: "choices" }, h("li", {}, h("button", { type: "button", onclick: refresh }, "Ask again"))));
}

function emptyArchive(settings) {
  const { aeTitle = "GANTRY", port = 11112 } = settings;
  const host = location.hostname;
  const command = `storescu -aec ${aeTitle} +sd +r ${host} ${port} FOLDER`;
  const own = `gantry store ${aeTitle}@${host}:${port} FOLDER`;
  const line = (text) => {
    const button = h("button", { type: "button", onclick: () => copy(button, text) }, "Copy");
    return h("div", { class: "command" }, h("code", {}, text), button);
  };
  const fact = (name, value) => h("div", {}, h("dt", {}, name), h("dd", {}, String(value)));
  return h("div", { class: "message", id: "empty" },
    h("h2", {}, "Nothing is stored here yet"),
    h("p", {}, "Send images from a modality or another archive to"),
    h("dl", { class: "facts" }, fact("AE title", aeTitle), fact("Host", host), fact("Port", port)),
    h("p", {}, "or from a command line:"),
    line(command), line(own),
    h("p", {}, "or drop DICOM files or folders anywhere on this page."),
    h("ul", { class: "choices" }, h("li", {}, h("button", { type: "button", class: "primary", onclick: () => store.set({ choosing: Symbol("files") }) }, icon("upload"), "Choose files")),
      settings.lab ? h("li", {}, h("button", { type: "button", onclick: async () => (await import("./samples.js")).loadSamples() }, icon("studies"), "Load samples")) : null));
}
