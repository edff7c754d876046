"use strict";
// The study list: everything is asked of this archive's own DICOMweb, and put on the page as text, never as markup.

const BASE = "/dicom-web";
const PAGE = 50;
const BATCH_FILES = 50;
const BATCH_BYTES = 64 << 20;
const FIELDS = ["StudyDescription", "NumberOfStudyRelatedInstances", "ModalitiesInStudy"];
const element = (id) => document.getElementById(id);

// ---- DICOM JSON (PS3.18 Annex F)

function values(item, tag) {
  return (item[tag] && item[tag].Value) || [];
}

function text(item, tag) {
  return values(item, tag).map(shown).join(", ");
}

function shown(value) {
  if (value === null || value === undefined) return "";
  if (typeof value !== "object") return String(value);
  const name = value.Alphabetic || value.Ideographic || value.Phonetic || "";
  return name.replaceAll("^", " ").trim();
}

function day(value) {
  return /^\d{8}$/.test(value) ? `${value.slice(0, 4)}-${value.slice(4, 6)}-${value.slice(6)}` : value;
}

function make(tag, content, properties) {
  const made = Object.assign(document.createElement(tag), properties || {});
  made.append(...(Array.isArray(content) ? content : content === undefined ? [] : [content]));
  return made;
}

// ---- asking

function authorization() {
  const token = sessionStorage.getItem("token");
  return token ? { Authorization: `Bearer ${token}` } : {};
}

function askForToken() {
  const dialog = element("token");
  const wrong = sessionStorage.getItem("token") && !dialog.open;
  if (wrong) element("token-value").value = "";
  element("token-problem").textContent = wrong ? "The archive does not take the token that was given." : "";
  if (!dialog.open) dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      sessionStorage.setItem("token", element("token-value").value);
      resolve();
    }, { once: true });
  });
}

async function ask(path, accept, signal) {
  const response = await fetch(path, { headers: { Accept: accept, ...authorization() }, signal });
  if (response.status === 401) {
    await askForToken();
    return ask(path, accept, signal);
  }
  if (!response.ok) throw new Error((await response.text()).trim() || `status ${response.status}`);
  return response;
}

async function askJson(path, signal) {
  const response = await ask(path, "application/dicom+json", signal);
  return { items: response.status === 204 ? [] : await response.json(), next: nextPage(response) };
}

// Where the archive says how to go on (RFC 8288), that is stable while studies arrive; an offset is not.
function nextPage(response) {
  const link = /<([^>]+)>\s*;\s*rel="?next"?/.exec(response.headers.get("Link") || "");
  if (!link) return null;
  const url = new URL(link[1], location.href);
  return url.pathname + url.search;
}

// All pages of an answer.
async function askAll(path, signal) {
  const found = [];
  for (let next = path; next;) {
    const page = await askJson(next, signal);
    found.push(...page.items);
    next = page.items.length ? page.next : null;
  }
  return found;
}

// By a number, then by UID; what has no number comes last.
function inOrder(items, numberTag, uidTag) {
  const number = (one) => {
    const value = values(one, numberTag)[0];
    return value === undefined || value === null || Number.isNaN(Number(value)) ? Infinity : Number(value);
  };
  const byUid = (a, b) => text(a, uidTag).localeCompare(text(b, uidTag), "en", { numeric: true });
  return items.sort((a, b) => (number(a) === number(b) ? byUid(a, b) : number(a) - number(b)));
}

function say(line) {
  element("state").textContent = line;
}

// ---- the list

const atTheEnd = new IntersectionObserver((seen) => { if (seen.some((one) => one.isIntersecting)) more(); });
let searching = new AbortController();
let next = null;
let listed = 0;

function question() {
  const form = new FormData(element("search"));
  const asked = new URLSearchParams();
  const part = (name) => (form.get(name) || "").trim();
  if (part("PatientName")) asked.set("PatientName", `*${part("PatientName").replaceAll(" ", "*")}*`);
  if (part("PatientID")) asked.set("PatientID", `${part("PatientID")}*`);
  if (part("AccessionNumber")) asked.set("AccessionNumber", `${part("AccessionNumber")}*`);
  if (part("ModalitiesInStudy")) asked.set("ModalitiesInStudy", part("ModalitiesInStudy").toUpperCase());
  const [from, to] = ["from", "to"].map((name) => part(name).replaceAll("-", ""));
  if (from || to) asked.set("StudyDate", `${from}-${to}`);
  for (const field of FIELDS) asked.append("includefield", field);
  asked.set("limit", PAGE);
  return asked;
}

function asksForAll() {
  return [...new FormData(element("search")).values()].every((value) => !String(value).trim());
}

async function search() {
  searching.abort();
  searching = new AbortController();
  const { signal } = searching;
  say("Searching …");
  try {
    await page(`${BASE}/studies?${question()}`, signal, true);
  } catch (error) {
    if (error.name !== "AbortError") say(`The search failed: ${error.message}`);
  }
}

async function page(path, signal, first) {
  const found = await askJson(path, signal);
  if (signal.aborted) return;
  if (first) {
    element("studies").replaceChildren();
    listed = 0;
  }
  element("studies").append(...found.items.map(row));
  listed += found.items.length;
  const asked = question();
  asked.set("offset", listed);
  next = found.items.length < PAGE ? null : found.next || `${BASE}/studies?${asked}`;
  element("more").hidden = next === null;
  // Observed anew it is told of at once where it is in sight, also when it was before.
  atTheEnd.unobserve(element("more"));
  atTheEnd.observe(element("more"));
  element("empty").hidden = Boolean(listed) || !asksForAll();
  say(listed ? `${listed}${next ? " and more" : ""} ${listed === 1 && !next ? "study" : "studies"}` : "No study matches");
}

async function more() {
  const path = next;
  next = null;
  if (!path) return;
  try {
    await page(path, searching.signal, false);
  } catch (error) {
    if (error.name === "AbortError") return;
    next = path;
    say(`The search failed: ${error.message}`);
  }
}

function row(study) {
  const uid = text(study, "0020000D");
  const cells = [
    text(study, "00100010") || "(no name)", text(study, "00100020"), day(text(study, "00080020")),
    text(study, "00080061"), text(study, "00081030"), text(study, "00080050"), text(study, "00201208"),
  ];
  const made = make("tr", cells.map((cell) => make("td", cell)), { tabIndex: 0 });
  made.dataset.study = uid;
  made.addEventListener("click", () => { location.hash = uid; });
  return made;
}

// ---- one study

let looking = new AbortController();
let viewer = { ohif: false, reason: "" };
const dictionary = {};

let shownStudy = "";

// Where one was in the list before a study was opened.
function backToRow() {
  const rows = [...element("studies").children];
  const from = rows.find((one) => shownStudy && one.dataset.study === shownStudy);
  if (from) from.focus();
}

async function show() {
  const uid = decodeURIComponent(location.hash.slice(1));
  looking.abort();
  looking = new AbortController();
  const { signal } = looking;
  element("list").hidden = element("search").hidden = Boolean(uid);
  if (!uid) backToRow();
  shownStudy = uid;
  element("study").hidden = !uid;
  for (const id of ["series", "instances", "header"]) element(id).replaceChildren();
  if (!uid) return;
  element("study-title").textContent = "Loading …";
  try {
    const path = `${BASE}/studies/${encodeURIComponent(uid)}`;
    const study = (await askJson(`${BASE}/studies?StudyInstanceUID=${encodeURIComponent(uid)}&includefield=StudyDescription`, signal)).items[0];
    if (!study) throw new Error("no such study");
    const title = [text(study, "00100010"), text(study, "00100020"), day(text(study, "00080020")), text(study, "00081030")];
    element("study-title").textContent = title.filter(Boolean).join(" · ");
    element("study-title").focus();
    offerViewer(uid);
    const fields = "includefield=SeriesDescription&includefield=NumberOfSeriesRelatedInstances";
    const series = inOrder(await askAll(`${path}/series?${fields}`, signal), "00200011", "0020000E");
    if (!signal.aborted) element("series").replaceChildren(...series.map((one) => seriesButton(path, one, signal)));
  } catch (error) {
    if (error.name !== "AbortError") element("study-title").textContent = `This study cannot be shown: ${error.message}`;
  }
}

function offerViewer(uid) {
  element("open").hidden = !viewer.ohif;
  element("no-viewer").hidden = viewer.ohif;
  element("no-viewer").textContent = viewer.reason;
  const token = sessionStorage.getItem("token");
  const asked = new URLSearchParams({ StudyInstanceUIDs: uid, ...(token ? { token } : {}) });
  element("open").href = `/ohif/viewer?${asked}`;
}

function seriesButton(path, series, signal) {
  const uid = text(series, "0020000E");
  const image = make("img", undefined, { className: "thumbnail", alt: "" });
  const count = text(series, "00201209");
  const made = make("button", [
    image,
    make("strong", `${text(series, "00080060")} ${text(series, "0008103E")}`.trim() || "Series"),
    make("span", count === "" ? "" : `${count} ${count === "1" ? "image" : "images"}`, { className: "quiet" }),
  ], { type: "button" });
  made.setAttribute("aria-pressed", "false");
  made.addEventListener("click", () => instances(made, `${path}/series/${encodeURIComponent(uid)}`, signal));
  picture(image, `${path}/series/${encodeURIComponent(uid)}/thumbnail`, signal);
  return made;
}

async function picture(image, path, signal) {
  try {
    const blob = await (await ask(path, "image/jpeg, image/png;q=0.5", signal)).blob();
    image.addEventListener("load", () => URL.revokeObjectURL(image.src), { once: true });
    image.src = URL.createObjectURL(blob);
  } catch (error) {
    image.replaceWith(make("span", "no picture", { className: "thumbnail quiet" }));
  }
}

async function instances(button, path, signal) {
  for (const other of element("series").children) other.setAttribute("aria-pressed", String(other === button));
  element("header").replaceChildren();
  try {
    const found = inOrder(await askAll(`${path}/instances?includefield=InstanceNumber&limit=500`, signal), "00200013", "00080018");
    if (signal.aborted) return;
    element("instances").replaceChildren(make("h3", "Headers of instances:"), ...found.map((one, at) => {
      const made = make("button", text(one, "00200013") || String(at + 1), { type: "button" });
      const uid = encodeURIComponent(text(one, "00080018"));
      made.addEventListener("click", () => header(`${path}/instances/${uid}`, signal));
      return made;
    }));
  } catch (error) {
    if (error.name !== "AbortError") element("instances").replaceChildren(`Instances cannot be listed: ${error.message}`);
  }
}

async function header(path, signal) {
  try {
    if (!Object.keys(dictionary).length) Object.assign(dictionary, await (await ask("/viewer/dictionary.json", "application/json", signal)).json());
    const data = (await askJson(`${path}/metadata`, signal)).items[0];
    element("header").replaceChildren(make("h3", "Instance header"), make("table", make("tbody", rows(data, ""))));
    element("header").focus();
  } catch (error) {
    if (error.name !== "AbortError") element("header").replaceChildren(`The header cannot be shown: ${error.message}`);
  }
}

function rows(data, indent) {
  return Object.keys(data).sort().flatMap((tag) => {
    const one = data[tag];
    const items = one.vr === "SQ" ? one.Value || [] : [];
    const said = one.vr === "SQ" ? `${items.length} item(s)` : one.BulkDataURI || one.InlineBinary ? "(binary)" : text(data, tag);
    const line = make("tr", [`${indent}(${tag.slice(0, 4)},${tag.slice(4)})`, one.vr || "", dictionary[tag] || "", said].map((cell) => make("td", cell)));
    return [line, ...items.flatMap((item) => rows(item || {}, `${indent}> `))];
  });
}

// ---- upload: STOW-RS (PS3.18 10.5), some files a request

let uploading = false;

async function isDicom(file) {
  const mark = new Uint8Array(await file.slice(128, 132).arrayBuffer());
  return String.fromCharCode(...mark) === "DICM";
}

function batches(files) {
  const made = [];
  let size = BATCH_BYTES;
  for (const file of files) {
    if (size + file.size > BATCH_BYTES || made.at(-1).length === BATCH_FILES) {
      made.push([]);
      size = 0;
    }
    made.at(-1).push(file);
    size += file.size;
  }
  return made;
}

function send(files, onProgress) {
  const boundary = `viewer-${crypto.getRandomValues(new Uint32Array(4)).join("-")}`;
  const parts = files.flatMap((file) => [`--${boundary}\r\nContent-Type: application/dicom\r\n\r\n`, file, "\r\n"]);
  const body = new Blob([...parts, `--${boundary}--\r\n`]);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `${BASE}/studies`);
    request.setRequestHeader("Content-Type", `multipart/related; type="application/dicom"; boundary=${boundary}`);
    request.setRequestHeader("Accept", "application/dicom+json");
    for (const [name, value] of Object.entries(authorization())) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (event) => onProgress(event.total ? event.loaded / event.total : 0));
    request.addEventListener("load", () => resolve(request));
    request.addEventListener("error", () => reject(new Error("the connection broke")));
    request.send(body);
  });
}

const REASONS = {
  0xA700: "the archive has no room or its store is away: try again",
  0xA900: "the object contradicts itself, or belongs to another study",
  0xC000: "not a DICOM object that can be read",
  0x0122: "not a kind of object that is stored",
  0x0124: "not allowed",
};

async function upload(files) {
  if (uploading || !files.length) return;
  uploading = true;
  const told = { stored: 0, failed: 0, skipped: 0 };
  const problems = new Map();
  element("upload").hidden = false;
  element("upload-problems").replaceChildren();
  element("upload-state").textContent = `Looking at ${files.length} files …`;
  const good = [];
  for (const file of files) (await isDicom(file)) ? good.push(file) : (told.skipped += 1);
  const total = good.reduce((sum, file) => sum + file.size, 0) || 1;
  let done = 0;
  const state = () => [`${told.stored} stored`, told.failed && `${told.failed} refused`, told.skipped && `${told.skipped} not DICOM, left out`].filter(Boolean).join(", ");
  for (const batch of batches(good)) {
    const size = batch.reduce((sum, file) => sum + file.size, 0);
    const progress = (part) => {
      element("progress").value = (done + part * size) / total;
      element("upload-state").textContent = `Uploading: ${state()} of ${good.length}`;
    };
    try {
      let request = await send(batch, progress);
      if (request.status === 401) {
        await askForToken();
        request = await send(batch, progress);
      }
      count(request, batch.length, told, problems);
    } catch (error) {
      told.failed += batch.length;
      problems.set(error.message, (problems.get(error.message) || 0) + batch.length);
    }
    done += size;
  }
  element("progress").value = 1;
  element("upload-state").textContent = `Done: ${state()}`;
  element("upload-problems").replaceChildren(...[...problems].map(([line, many]) => make("li", `${many} × ${line}`)));
  uploading = false;
  setTimeout(search, 500); // what is stored becomes searchable a moment later
}

function count(request, sent, told, problems) {
  let answer;
  try {
    answer = JSON.parse(request.responseText);
  } catch (error) {
    answer = null;
  }
  if (answer === null || typeof answer !== "object") {
    told.failed += sent;
    problems.set(request.responseText.trim() || `status ${request.status}`, sent);
    return;
  }
  told.stored += values(answer, "00081199").length;
  for (const failure of [...values(answer, "00081198"), ...values(answer, "0008119A")]) {
    const reason = values(failure, "00081197")[0];
    const line = REASONS[reason] || `reason ${Number(reason).toString(16).toUpperCase()}H`;
    told.failed += 1;
    problems.set(line, (problems.get(line) || 0) + 1);
  }
}

async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry && item.webkitGetAsEntry()).filter(Boolean);
  if (!entries.length) return [...transfer.files];
  return (await Promise.all(entries.map(filesOf))).flat();
}

async function filesOf(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) break;
    for (const one of some) found.push(...(await filesOf(one)));
  }
  return found;
}

// ---- what the user does

function debounced(action, milliseconds) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(action, milliseconds);
  };
}

function onKey(event) {
  const typing = event.target.matches("input, textarea");
  if (event.key === "/" && !typing) {
    event.preventDefault();
    location.hash = "";
    element("search").elements[0].focus();
  } else if (event.key === "Escape" && !element("study").hidden) {
    location.hash = "";
  } else if (["ArrowDown", "ArrowUp"].includes(event.key) && !element("list").hidden) {
    const rows = [...element("studies").children];
    const at = rows.indexOf(document.activeElement);
    const to = event.key === "ArrowDown" ? rows[at + 1] : rows[at - 1];
    if (to && !event.target.matches("[type=date]")) {
      event.preventDefault();
      to.focus();
    }
  } else if (event.key === "Enter" && document.activeElement.dataset.study) {
    location.hash = document.activeElement.dataset.study;
  }
}

function listen() {
  element("search").addEventListener("input", debounced(search, 150));
  element("search").addEventListener("submit", (event) => { event.preventDefault(); search(); });
  element("more").addEventListener("click", more);
  element("back").addEventListener("click", () => { location.hash = ""; });
  for (const [button, input] of [["choose-files", "files"], ["choose-folder", "folder"]]) {
    element(button).addEventListener("click", () => element(input).click());
    element(input).addEventListener("change", async () => {
      await upload([...element(input).files]);
      element(input).value = "";
    });
  }
  addEventListener("hashchange", show);
  addEventListener("keydown", onKey);
  addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("over"); });
  addEventListener("dragleave", () => document.body.classList.remove("over"));
  addEventListener("drop", async (event) => {
    event.preventDefault();
    document.body.classList.remove("over");
    upload(await dropped(event.dataTransfer));
  });
}

function introduce() {
  element("ohif-list").hidden = !viewer.ohif;
  element("ae-title").textContent = viewer.aeTitle || "GANTRY";
  element("host").textContent = location.hostname;
  element("port").textContent = viewer.port || "11112";
  element("send-command").textContent =
    `gantry store ${element("ae-title").textContent}@${location.hostname}:${element("port").textContent} FOLDER`;
}

async function begin() {
  listen();
  try {
    viewer = await (await fetch("/viewer/config.json")).json();
  } catch (error) {
    viewer.reason = "The archive does not say whether it has a viewer";
  }
  introduce();
  await Promise.all([search(), show()]);
}

begin();
