// The state of the page, the list it shows, and how its address changes.

import { NEWEST, placeOf, read, write } from "./address.js";
import { BASE, askJson, permissions, search } from "./archive.js";
import { COLUMNS } from "./columns.js";
import { TAG, text } from "./dicom.js";
import { StudyList } from "./list.js";
import { understand } from "./search.js";
import { createStore, remember, remembered } from "./store.js";

const coarse = matchMedia("(pointer: coarse)").matches;
const given = read(location.search);

export const store = createStore({
  ...given,
  place: placeOf(location.pathname),
  at: location.pathname + location.search, // in a place other than the studies
  terms: understand(given.q, new Date()),
  version: 0, // of the list: grows whenever there is something new to draw
  current: 0, // the place of the row that has, or had, the keyboard
  selected: new Map(), // by Study Instance UID
  states: new Map(), // what stands out of studies, by Study Instance UID
  fresh: new Set(), // studies that arrived since, and match
  live: "",
  settings: {},
  who: null, // who logged in: {name, until}
  destinations: null,
  mayDelete: false,
  mayReject: [],
  mayCorrect: false,
  mayHold: false,
  mayOperate: false,
  mayWorklist: false,
  mayOrder: false,
  mayShare: false,
  mayOverride: false,
  mayDeidentify: [], // the profiles by which copies are downloaded
  mayMark: false, // studies and patients as confidential
  overrides: [], // what is open for a time to somebody who does not see it otherwise
  minutes: 0, // that such access lasts
  emergency: null, // what it is asked for: {study}, {terms} of a search, or {}
  columns: remembered("columns", COLUMNS.map((column) => column.id)),
  density: remembered("density", coarse ? "touch" : "normal"),
  theme: remembered("theme", "system"),
  modality: remembered("modality", ""),
  entries: 0, // addresses of ours behind this one: whether there is a way back
});

const archive = { search, count: (path, signal) => askJson(path, { signal }) };
export const list = new StudyList(BASE, archive, () => store.set({ version: store.state.version + 1 }));

// Change what the address says. `push` makes it a step that "back" undoes.
export function go(parts, { push = false } = {}) {
  const { q, sort, look, study, series } = { ...store.state, ...parts };
  const address = write({ q, sort, look, study, series });
  const moved = address !== location.pathname + location.search;
  if (moved) history[push ? "pushState" : "replaceState"](null, "", address);
  const terms = parts.q === undefined || parts.q === store.state.q ? store.state.terms : understand(parts.q, new Date());
  store.set({ ...parts, place: "studies", terms, entries: store.state.entries + (moved && push ? 1 : 0) });
}

// Go to an address in another place; a `follow(event)` of a link does it without loading the page anew.
export function visit(address, { push = true } = {}) {
  history[push ? "pushState" : "replaceState"](null, "", address);
  store.set({ place: placeOf(location.pathname), at: address, look: "", study: "", series: "", selected: new Map(), entries: store.state.entries + (push ? 1 : 0) });
}

export function follow(event) {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  const link = event.currentTarget;
  event.preventDefault();
  if (placeOf(link.pathname) !== "studies") visit(link.pathname + link.search);
  else go({ ...read(link.search), look: "" }, { push: true });
}

// The address of a study's own page, from this list.
export function studyAddress(uid) {
  const { q, sort } = store.state;
  return write({ q, sort, study: uid });
}

export function listAddress() {
  const { q, sort } = store.state;
  return write({ q, sort });
}

export function refresh() {
  store.set({ fresh: new Set() });
  return list.search(store.state.terms, store.state.sort);
}

// What this caller may do is known to the page from then on.
export async function learnPermissions() {
  const may = await permissions().catch(() => ({}));
  store.set({ mayDelete: Boolean(may.delete), mayReject: may.reject || [], mayCorrect: Boolean(may.correct), mayHold: Boolean(may.hold), mayOperate: Boolean(may.operate), mayWorklist: Boolean(may.worklist), mayOrder: Boolean(may.order), mayShare: Boolean(may.share), mayOverride: Boolean(may.override), mayDeidentify: may.deidentify || [], mayMark: Boolean(may.confidential) });
}

// Keep a choice for the next visit.
export function choose(name, value) {
  remember(name, value);
  store.set({ [name]: value });
}

export function uidOf(study) {
  return text(study, TAG.StudyInstanceUID);
}

// The studies that an action is for: the selected ones, else the one at the keyboard, else the one that is looked at.
export function chosen() {
  const { selected, current, study } = store.state;
  if (study) return store.state.shown ? [store.state.shown] : [];
  if (selected.size) return [...selected.values()];
  const here = list.ready && list.total ? list.at(current) : undefined;
  return here ? [here] : [];
}

export function select(studies, on) {
  const selected = new Map(store.state.selected);
  for (const study of studies) on ? selected.set(uidOf(study), study) : selected.delete(uidOf(study));
  store.set({ selected });
}

// Studies are not there any more: nothing of the page shows them, or acts on them.
export function leave(uids) {
  const { look, study, shown } = store.state;
  const selected = new Map(store.state.selected);
  uids.forEach((uid) => selected.delete(uid));
  store.set({ selected, shown: shown && uids.includes(uidOf(shown)) ? null : shown });
  if (uids.includes(study)) go({ study: "", series: "" });
  if (uids.includes(look)) go({ look: "" });
}

export { NEWEST };
