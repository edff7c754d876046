// What is asked of the archive: its DICOMweb, its settings for this page, and its token where it wants one.

export const BASE = "/dicom-web";
const JSON_TYPE = "application/dicom+json";

const LONGEST_LINE = 300;

// An answer that is no success; `message` is the archive's own line, `said` all of it.
export class ArchiveError extends Error {
  constructor(status, said) {
    super(said.slice(0, LONGEST_LINE) || `the archive answered with status ${status}`);
    Object.assign(this, { status, said });
  }
}

let askForToken = null;
let asking = null;

export function token() {
  return sessionStorage.getItem("token") || "";
}

// `dialog(wrong)` resolves to a token; `wrong` tells whether one was refused.
export function onTokenNeeded(dialog) {
  askForToken = dialog;
}

export async function signOut() {
  const had = token();
  sessionStorage.removeItem("token");
  location.assign(had ? "/" : (await askJson("/login/logout", { method: "POST" })).location);
}

export function authorization() {
  return token() ? { Authorization: `Bearer ${token()}` } : {};
}

// The session goes on, or its user goes to the login, once in 15 s.
async function newSession() {
  if (await window.session.renew()) return;
  const before = Number(sessionStorage.getItem("login"));
  if (Date.now() - before < 15_000) throw notTaken();
  sessionStorage.setItem("login", Date.now());
  location.assign(`/login?to=${encodeURIComponent(location.pathname + location.search)}`);
  await new Promise(() => {});
}

const notTaken = () => new ArchiveError(401, "You are signed in, but not known here: tell who runs the archive");

async function newToken() {
  const { login } = await pageSettings();
  // All who wait for a token wait for the same dialog.
  asking ??= (login ? newSession() : askForToken(Boolean(token())).then((given) => sessionStorage.setItem("token", given))).finally(() => { asking = null; });
  await asking;
  return Boolean(login);
}

// The answer to what `early.js` asked for already, once.
async function early(path) {
  const asked = window.early;
  if (asked?.url !== path) return null;
  window.early = null;
  return asked.answer;
}

// The answer to a request that is a success. Raises `ArchiveError`, and an `AbortError` where `signal` says so.
export async function ask(path, { accept = JSON_TYPE, signal, method = "GET", body, type, conditions = {}, renewed = false } = {}) {
  const before = token();
  const headers = { Accept: accept, ...(type ? { "Content-Type": type } : {}), ...conditions, ...authorization() };
  let response;
  try {
    response = (await early(path)) || (await fetch(path, { headers, signal, method, body }));
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ArchiveError(0, "the archive cannot be reached");
  }
  if (response.status === 401) {
    if (renewed) throw notTaken();
    const again = token() === before && (await newToken());
    return ask(path, { accept, signal, method, body, type, conditions, renewed: again });
  }
  if (!response.ok) throw new ArchiveError(response.status, (await response.text()).trim());
  return response;
}

// The request of an upload met a 401: ask once for all.
export async function tokenAgain(before) {
  if (token() === before) await newToken();
}

export async function askJson(path, options = {}) {
  const response = await ask(path, { accept: "application/json", ...options });
  return response.status === 204 ? null : response.json();
}

// One page of a search: its items, the address of the next page, and what the archive did not do as it was asked.
export async function search(path, signal) {
  const response = await ask(path, { signal });
  const link = /<([^>]+)>\s*;\s*rel="?next"?/.exec(response.headers.get("Link") || "");
  const url = link && new URL(link[1], location.href);
  return {
    items: response.status === 204 ? [] : await response.json(),
    next: url ? url.pathname + url.search : "",
    warning: response.headers.get("Warning") || "",
  };
}

// All items of a search.
export async function searchAll(path, signal) {
  const found = [];
  for (let next = path; next;) {
    const page = await search(next, signal);
    found.push(...page.items);
    next = page.items.length ? page.next : "";
  }
  return found;
}

// Store objects of the DICOM JSON model by STOW-RS (PS3.18 10.5).
export function storeObjects(objects, signal) {
  const boundary = `gantry-${crypto.getRandomValues(new Uint32Array(4)).join("-")}`;
  const body = `--${boundary}\r\nContent-Type: ${JSON_TYPE}\r\n\r\n${JSON.stringify(objects)}\r\n--${boundary}--\r\n`;
  return ask(`${BASE}/studies`, { method: "POST", body, type: `multipart/related; type="${JSON_TYPE}"; boundary=${boundary}`, signal });
}

export function studyPath(uid) {
  return `${BASE}/studies/${encodeURIComponent(uid)}`;
}

// The viewer's own address for some studies; `back` is the address of the list they were chosen in.
export function viewerUrl(uids, back) {
  const asked = new URLSearchParams({ StudyInstanceUIDs: uids.join(","), list: back });
  if (token()) asked.set("token", token());
  return `/ohif/viewer?${asked}`;
}

// Whether an error says that the archive does not have this service.
export function isAbsent(error) {
  return error instanceof ArchiveError && [404, 405, 501].includes(error.status);
}

const cache = new Map();

async function once(path) {
  if (!cache.has(path)) cache.set(path, askJson(path).catch((error) => { cache.delete(path); throw error; }));
  return cache.get(path);
}

export const pageSettings = () => once("/viewer/config.json");
export const dictionary = () => once("/viewer/dictionary.json");

// What this caller may do to studies: {delete, correct}.
export async function permissions() {
  try {
    return await once(`${BASE}/permissions`);
  } catch (error) {
    if (isAbsent(error)) return {};
    throw error;
  }
}

// Where studies can be sent: [{aeTitle, description}], or null where the archive does not offer it.
export async function destinations() {
  try {
    return await askJson(`${BASE}/destinations`);
  } catch (error) {
    if (isAbsent(error)) return null;
    throw error;
  }
}
