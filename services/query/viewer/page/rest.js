// What a person needs once the list is there: keys, quick look, dialogs, files, and studies that arrive.

import "./study-view.js";
import "./dialogs.js";
import "./jobs.js";
import "./corrections.js";
import "./deletions.js";
import { onKey } from "./actions.js";
import { BASE, askJson, destinations } from "./archive.js";
import { followStudies } from "./changes.js";
import { h } from "./dom.js";
import { Marks } from "./marks.js";
import { learnPermissions, leave, list, refresh, store, uidOf } from "./page.js";
import { download } from "./transfers.js";
import { dropped, upload } from "./uploads.js";

const GATHER = 200;

// ---- studies that arrive, change or go while the page is open

const marks = new Marks((uids) => askJson(`${BASE}/studies/states?StudyInstanceUID=${uids.join(",")}`), (states) => store.set({ states }), () => store.state.settings.quiet || 0);

// The rows that are drawn; whatever is drawn next tells of itself.
function followStates() {
  const table = document.querySelector("study-table");
  const inSight = () => [...table.rows.values()].filter((row) => row.study).map((row) => uidOf(row.study));
  table.addEventListener("sight", ({ detail }) => marks.want(detail));
  addEventListener("decided", () => {
    marks.forget();
    marks.want(inSight());
  });
  marks.want(inSight());
}

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
  const { fresh, gone, grown } = await list.matching(uids).catch(() => ({ fresh: [], gone: [], grown: [] }));
  marks.forget(uids);
  marks.arrived([...fresh, ...grown]);
  if (gone.length) {
    leave(gone);
    await refresh();
  } else if (!fresh.length) return;
  else if (list.total) store.set({ fresh: new Set([...store.state.fresh, ...fresh]) });
  else await refresh();
}

function onStudy({ StudyInstanceUID: uid }) {
  arrived.add(uid);
  gathering ||= setTimeout(lookAtArrived, GATHER);
}

// What was uploaded here is shown when it is found; without a feed, a moment later.
function whenStored() {
  if (store.state.live !== "live" && store.state.place === "studies") setTimeout(refresh, 700);
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

followStates();
takeFiles();
addEventListener("keydown", onKey);
addEventListener("download", (event) => download(event.detail));
followStudies(onStudy, (live) => store.set({ live }), new AbortController().signal);
destinations().then((found) => store.set({ destinations: found }), () => {});
learnPermissions().then(() => store.state.mayOverride && import("./emergency.js"));
document.body.dataset.ready = "yes";
