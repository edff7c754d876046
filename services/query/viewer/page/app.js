// Puts the page together: the first search, the address, keys, dropped files, and the feed of changes.

import "./frame.js";
import "./study-table.js";
import "./places.js";
import "./dialogs.js";
import "./jobs.js";
import { onKey } from "./actions.js";
import { read } from "./address.js";
import { destinations, onTokenNeeded, pageSettings } from "./archive.js";
import { followStudies } from "./changes.js";
import { h } from "./dom.js";
import { list, refresh, store } from "./page.js";
import { understand } from "./search.js";
import { download } from "./transfers.js";
import { dropped, upload } from "./uploads.js";

const GATHER = 200;

function follow() {
  store.on(["terms", "sort"], () => {
    store.set({ fresh: new Set(), selected: new Map() });
    list.search(store.state.terms, store.state.sort);
  });
  addEventListener("popstate", () => {
    const given = read(location.search);
    const terms = given.q === store.state.q ? store.state.terms : understand(given.q, new Date());
    store.set({ ...given, terms });
  });
}

// ---- studies that arrive while the page is open

const arrived = new Set();
let gathering = 0;

async function lookAtArrived() {
  gathering = 0;
  const uids = [...arrived];
  arrived.clear();
  if (!list.ready || list.error) return;
  if (!list.total && !list.terms.length) {
    await refresh();
    return;
  }
  const fresh = await list.matching(uids).catch(() => []);
  if (!fresh.length) return;
  if (list.total) store.set({ fresh: new Set([...store.state.fresh, ...fresh]) });
  else await refresh();
}

function onStudy({ StudyInstanceUID: uid }) {
  arrived.add(uid);
  gathering ||= setTimeout(lookAtArrived, GATHER);
}

// What was uploaded here is shown when it is found; without a feed, a moment later.
function whenStored() {
  if (store.state.live !== "live") setTimeout(refresh, 700);
}

// ---- files

function takeFiles() {
  const files = h("input", { type: "file", id: "files", multiple: true, hidden: true, onchange: () => chosenFiles(files) });
  document.body.append(files);
  store.on(["choosing"], () => files.click());
  const over = (on) => document.body.classList.toggle("over", on);
  addEventListener("dragover", (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    over(true);
  });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) over(false); });
  addEventListener("drop", async (event) => {
    event.preventDefault();
    over(false);
    upload(await dropped(event.dataTransfer), whenStored);
  });
}

function chosenFiles(input) {
  upload([...input.files], whenStored);
  input.value = "";
}

async function begin() {
  onTokenNeeded((wrong) => document.querySelector("token-dialog").ask(wrong));
  follow();
  takeFiles();
  addEventListener("keydown", onKey);
  addEventListener("download", (event) => download(event.detail));
  const first = list.search(store.state.terms, store.state.sort);
  pageSettings().then((settings) => store.set({ settings }), () => {});
  await first;
  followStudies(onStudy, (live) => store.set({ live }), new AbortController().signal);
  destinations().then((found) => store.set({ destinations: found }), () => {});
}

begin();
