// What can be done with studies, by key, button or bar.

import { viewerUrl } from "./archive.js";
import { patientsOf } from "./correcting.js";
import { h, isTyping, say } from "./dom.js";
import { icon } from "./icons.js";
import { actionOf } from "./keymap.js";
import { chosen, go, list, listAddress, select, store, uidOf } from "./page.js";
import { deidentify, download } from "./transfers.js";

const table = () => document.querySelector("study-table");
const stack = () => document.querySelector("study-view image-stack");
const view = () => document.querySelector("study-view");
const at = () => list.at(store.state.current);

function open(studies) {
  if (studies.length) go({ look: "", study: uidOf(studies[0]), series: "" }, { push: true });
}

function openViewer(studies) {
  if (studies.length && store.state.settings.ohif) window.open(viewerUrl(studies.map(uidOf), listAddress()), "_blank", "noopener");
}

function sendTo(studies) {
  if (studies.length && store.state.destinations) document.querySelector("send-dialog").open(studies);
}

function remove(studies) {
  if (studies.length && store.state.mayDelete) document.querySelector("delete-dialog").open(studies);
}

async function reject(studies) {
  if (studies.length && store.state.mayReject.length) (await import("./rejections.js")).rejectStudies(studies);
}

function correct(studies) {
  if (studies.length === 1 && store.state.mayCorrect) document.querySelector("correct-dialog").open(studies[0]);
}

async function hold(studies) {
  if (studies.length && store.state.mayHold) await (await import("./study-history.js")).placeHolds(studies);
}

async function share(studies) {
  if (studies.length && store.state.mayShare) (await import("./shares.js")).shareStudies(studies);
}

function merge(studies) {
  if (store.state.mayCorrect && patientsOf(studies).length === 2) document.querySelector("merge-dialog").open(studies);
}

function move(by) {
  const { look, study } = store.state;
  if (study) return stack()?.step(by > 0 ? 1 : -1);
  table().focusRow(table().hasFocus || look ? store.state.current + by : store.state.current);
  return look && at() ? go({ look: uidOf(at()) }) : undefined;
}

function selectMore(by) {
  const from = at();
  const to = list.at(store.state.current + by);
  if (!from || !to) return;
  // Going back over what is selected gives it up again.
  if (store.state.selected.has(uidOf(from)) && store.state.selected.has(uidOf(to))) select([from], false);
  else select([from, to], true);
  move(by);
}

function look() {
  if (store.state.look) go({ look: "" });
  else if (at()) go({ look: uidOf(at()) }, { push: true });
}

function escape() {
  const { look: looked, study, selected, q } = store.state;
  if (looked || study) {
    go({ look: "", study: "", series: "" }, { push: Boolean(study) });
    setTimeout(() => table().focusRow(), 0);
  } else if (selected.size) store.set({ selected: new Map() });
  else if (q) go({ q: "" });
}

const ACTIONS = {
  search: () => {
    if (store.state.study) go({ study: "", series: "" }, { push: true });
    const input = document.getElementById("search");
    input.focus();
    input.select();
  },
  up: () => move(-1),
  down: () => move(1),
  first: () => move(-list.total),
  last: () => move(list.total),
  pageUp: () => move(-table().pageSize),
  pageDown: () => move(table().pageSize),
  selectUp: () => selectMore(-1),
  selectDown: () => selectMore(1),
  select: () => at() && !store.state.study && select([at()], !store.state.selected.has(uidOf(at()))),
  escape,
  look: () => (store.state.study ? stack()?.play(!stack().playing) : look()),
  open: () => open(chosen()),
  viewer: () => openViewer(chosen()),
  download: () => download(chosen()),
  send: () => sendTo(chosen()),
  correct: () => correct(chosen()),
  remove: () => remove(chosen()),
  upload: () => store.set({ choosing: Symbol("files") }),
  help: () => store.set({ help: Symbol("help") }),
  imageBefore: () => stack()?.step(-1),
  imageAfter: () => stack()?.step(1),
  seriesBefore: () => view()?.step(-1),
  seriesAfter: () => view()?.step(1),
  play: () => stack()?.play(!stack().playing),
  window: () => stack()?.preset(""),
  ...Object.fromEntries([0, 1, 2, 3].map((preset) => [`window${preset}`, () => stack()?.preset(String(preset))])),
};

// Places other than the studies have rows and a way back; of the rest only what is the same everywhere.
const elsewhere = () => document.querySelector("other-place");
const ELSEWHERE = {
  search: () => ACTIONS.search(),
  upload: () => ACTIONS.upload(),
  help: () => ACTIONS.help(),
  up: () => elsewhere().step(-1),
  down: () => elsewhere().step(1),
  escape: () => elsewhere().leave(),
};

// Keys that a control has a use for itself.
function isTaken(event, action) {
  const { target } = event;
  if (document.querySelector("dialog[open]")) return true;
  if (isTyping(target)) return !(action === "escape" || (target.id === "search" && action === "down" && event.key === "ArrowDown"));
  if (["look", "open"].includes(action) && target.closest("button, summary, a, input, select")) return !target.closest("study-table .body .link");
  if (target.closest("[role=tablist]") && event.key.startsWith("Arrow")) return true;
  return target.type === "range" && /^(Arrow|Page|Home|End)/.test(event.key);
}

export function onKey(event) {
  const action = actionOf(event);
  if (!action || event.defaultPrevented || isTaken(event, action)) return;
  if (event.repeat && ["look", "open", "viewer", "download", "send", "correct", "remove", "upload"].includes(action)) return;
  if (action === "escape" && event.target.id === "search") {
    event.preventDefault();
    if (!event.target.value) table().focusRow();
    else go({ q: "" });
    return;
  }
  const actions = store.state.place === "studies" ? ACTIONS : ELSEWHERE;
  if (!actions[action]) return;
  event.preventDefault();
  actions[action]();
}

// ---- the bar for what is selected

class ActionBar extends HTMLElement {
  connectedCallback() {
    this.count = h("p", { role: "status" });
    const act = (name, symbol, action) => h("button", { type: "button", onclick: () => action(chosen()) }, icon(symbol), h("span", {}, name));
    this.buttons = {
      open: act("Open", "open", open),
      viewer: act("Open in OHIF", "viewer", openViewer),
      download: act("Download ZIP", "download", download),
      send: act("Send to …", "send", sendTo),
      share: act("Share …", "share", share),
      deidentify: act("De-identify …", "key", deidentify),
      correct: act("Correct …", "correct", correct),
      merge: act("Merge patients …", "merge", merge),
      hold: act("Hold …", "hold", hold),
      reject: act("Reject …", "reject", reject),
      remove: act("Delete …", "remove", remove),
    };
    const clear = h("button", { type: "button", class: "plain", "aria-label": "Clear the selection", title: "Clear (Esc)", onclick: () => store.set({ selected: new Map() }) }, icon("close"));
    this.setAttribute("role", "region");
    this.setAttribute("aria-label", "Selected studies");
    this.append(this.count, ...Object.values(this.buttons), clear);
    store.on(["selected", "settings", "destinations", "mayDelete", "mayReject", "mayCorrect", "mayHold", "mayShare", "mayDeidentify", "study"], () => this.show());
    this.show();
  }

  show() {
    const { selected, settings, destinations, mayDelete, mayReject, mayCorrect, mayHold, mayShare, mayDeidentify, study } = store.state;
    this.hidden = !selected.size || Boolean(study);
    say(this.count, `${selected.size} selected`);
    this.buttons.open.hidden = selected.size !== 1;
    this.buttons.viewer.hidden = !settings.ohif;
    this.buttons.send.hidden = !destinations;
    this.buttons.share.hidden = !mayShare;
    this.buttons.deidentify.hidden = !mayDeidentify.length;
    this.buttons.correct.hidden = !mayCorrect || selected.size !== 1;
    this.buttons.merge.hidden = !mayCorrect || patientsOf([...selected.values()]).length !== 2;
    this.buttons.hold.hidden = !mayHold;
    this.buttons.reject.hidden = !mayReject.length;
    this.buttons.remove.hidden = !mayDelete;
  }
}

customElements.define("action-bar", ActionBar);
