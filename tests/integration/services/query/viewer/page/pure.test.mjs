// The other pure modules of the page.
import assert from "node:assert/strict";
import { test } from "node:test";

const from = (name) => import(`../../../../../../services/query/viewer/page/${name}.js`);
const { read, write, NEWEST } = await from("address");
const { COLUMNS, fitting, inSort, sorted, turned } = await from("columns");
const { age, clock, day, inOrder, nameParts, personFacts, timeline } = await from("dicom");
const { eventReader } = await from("changes");
const { around, dragged, frames, pictureUrl, windowOf } = await from("imaging");
const { actionOf } = await from("keymap");
const { StudyList } = await from("list");
const { batches, instanceUid, isDicom, outcomes } = await from("part10");
const { endsOf, openedBy, soughtBy } = await from("overrides");
const { understand } = await from("search");
const { createStore } = await from("store");

const value = (...values) => ({ Value: values });

test("an address says everything, and says it back", () => {
  const state = { q: "doe ct", sort: "PatientName", look: "1.2.3", study: "", series: "" };
  assert.deepEqual(read(new URL(write(state), "http://x").search), state);
  assert.equal(write({ q: "", sort: NEWEST }), "/");
  assert.deepEqual(read("?sort=Nonsense&study=<b>&look=1.2").study, "");
  assert.equal(read("?sort=PatientName%20or%201").sort, NEWEST);
});

test("names in three scripts", () => {
  const yamada = { "00100010": value({ Alphabetic: "Yamada^Tarou", Ideographic: "山田^太郎", Phonetic: "やまだ^たろう" }) };
  assert.deepEqual(nameParts(yamada, "00100010"), { main: "YAMADA, Tarou", other: "山田 太郎" });
  assert.deepEqual(nameParts({ "00100010": value({ Ideographic: "山田^太郎" }) }, "00100010"), { main: "山田 太郎", other: "" });
  assert.deepEqual(nameParts({}, "00100010"), { main: "", other: "" });
});

test("dates, times and ages", () => {
  assert.deepEqual([day("20240131"), day("2024"), clock("101500.25"), clock("")], ["2024-01-31", "2024", "10:15", ""]);
  assert.equal(age("19900514", "20240131"), "33 y");
  assert.equal(age("20231201", "20240131"), "61 d");
  assert.equal(age("20221201", "20240131"), "13 mo");
  assert.deepEqual([age("", "20240131"), age("20250101", "20240131")], ["", ""]);
  assert.equal(personFacts({ "00100040": value("F"), "00100030": value("19900514"), "00080020": value("20240131") }), "1990-05-14 · 33 y · F");
});

test("by number, and without a number last", () => {
  const series = [[10, "1.1"], [2, "1.2"], [undefined, "1.3"]].map(([n, uid]) => ({ "00200011": n === undefined ? {} : value(n), "0020000E": value(uid) }));
  assert.deepEqual(inOrder(series, "00200011", "0020000E").map((one) => one["0020000E"].Value[0]), ["1.2", "1.1", "1.3"]);
});

test("the timeline is in order", () => {
  const study = { "00080020": value("20240131"), "00080030": value("101500") };
  const object = { "00080022": value("20240131"), "00080032": value("095900") };
  assert.deepEqual(timeline(study, [], object).map((one) => one.time), ["09:59", "10:15"]);
});

test("columns give way in order, and those that are fixed never", () => {
  const all = COLUMNS.map((column) => column.id);
  assert.equal(fitting(all, 2000).length, all.length);
  assert.deepEqual(fitting(all, 300).map((column) => column.id), ["patient", "date"]);
  assert.ok(!fitting(all, 1100).some((column) => column.id === "referrer"));
  assert.deepEqual(fitting(["id"], 2000).map((column) => column.id), ["patient", "id", "date"]);
});

test("a header sorts, and sorts the other way", () => {
  const [patient, date] = [COLUMNS[0], COLUMNS[2]];
  assert.equal(turned(patient, NEWEST), "PatientName");
  assert.equal(turned(patient, "PatientName"), "-PatientName");
  assert.equal(turned(date, "PatientName"), NEWEST);
  assert.equal(sorted(date, NEWEST), "descending");
  const two = inSort([{ "00100020": value("P2") }, {}, { "00100020": value("P10") }], "PatientID");
  assert.deepEqual(two.map((one) => one["00100020"]?.Value[0]), ["P2", "P10", undefined]);
});

test("a stream of events, cut anywhere", () => {
  const stream = 'id: 7\nevent: study\ndata: {"a":\ndata: 1}\n\n: a comment\r\n\r\nretry: 50\rdata\n\nid\nevent: study\ndata: x\n\n';
  for (let at = 0; at <= stream.length; at += 1) {
    const found = [];
    const feed = eventReader((event) => found.push(event));
    feed(stream.slice(0, at));
    feed(stream.slice(at));
    assert.deepEqual(found, [{ id: "7", event: "study", data: '{"a":\n1}' }, { id: "7", event: "message", data: "" }, { id: "", event: "study", data: "x" }], `cut at ${at}`);
  }
});

test("windows", () => {
  assert.deepEqual(windowOf({ "00281050": value(40, 450), "00281051": value(350, 1500) }), { center: 40, width: 350 });
  assert.deepEqual(windowOf({ "00280101": value(12), "00281053": value(1), "00281052": value(-1024) }), { center: 1024, width: 4096 });
  assert.deepEqual(dragged({ center: 40, width: 300 }, 10, -5), { center: 35, width: 310 });
  assert.equal(dragged({ center: 40, width: 10 }, -1000, 0).width, 1);
});

test("frames of a series, and their pictures", () => {
  const size = { "00280010": value(2000), "00280011": value(100) };
  const found = frames("/s", [{ "00080018": value("1.1"), ...size }, { "00080018": value("1.2") }, { "00080018": value("1.3"), ...size, "00280008": value(2) }]);
  assert.deepEqual(found.map((frame) => frame.path), ["/s/instances/1.1", "/s/instances/1.3/frames/1", "/s/instances/1.3/frames/2"]);
  assert.equal(pictureUrl(found[0], { center: 40, width: 400 }), "/s/instances/1.1/rendered?window=40,400,linear&viewport=1024,1024");
  assert.deepEqual(around(2, 5, 9), [3, 1, 4, 0]);
});

test("keys", () => {
  assert.equal(actionOf({ key: "O" }), "viewer");
  assert.equal(actionOf({ key: "?", shiftKey: true }), "help");
  assert.equal(actionOf({ key: "ArrowDown", shiftKey: true }), "selectDown");
  assert.equal(actionOf({ key: "d", ctrlKey: true }), "");
});

test("the head of a DICOM file", () => {
  const uid = "1.2.840.1\0";
  const element = (number, vr, text) => [2, 0, number, 0, vr.charCodeAt(0), vr.charCodeAt(1), text.length, 0, ...[...text].map((c) => c.charCodeAt(0))];
  const version = [2, 0, 1, 0, 79, 66, 0, 0, 2, 0, 0, 0, 0, 1];
  const file = Uint8Array.from([...new Array(128).fill(0), 68, 73, 67, 77, ...version, ...element(2, "UI", "1.2"), ...element(3, "UI", uid)]);
  assert.ok(isDicom(file));
  assert.equal(instanceUid(file), "1.2.840.1");
  for (let at = 0; at < file.length; at += 1) assert.notEqual(typeof instanceUid(file.subarray(0, at)), "undefined");
  assert.equal(isDicom(new Uint8Array(10)), false);
});

test("files go in groups", () => {
  const files = [5, 5, 5, 20, 1].map((size) => ({ size }));
  assert.deepEqual(batches(files, { most: 2, bytes: 12 }).map((group) => group.length), [2, 1, 1, 1]);
  const twice = ["1", "2", "1", ""].map((uid) => ({ size: 1, uid }));
  assert.deepEqual(batches(twice).map((group) => group.length), [2, 2]);
});

test("what became of each file", () => {
  const named = (uid, reason) => ({ "00081155": value(uid), ...(reason ? { "00081197": value(reason) } : {}) });
  const answer = { "00081199": value(named("1"), named("2")), "00081198": value(named("3", 0xa900), named("4", 0x0122)), "0008119A": value({ "00081197": value(0xc000) }) };
  const files = ["1", "2", "3", "4", ""].map((uid) => ({ uid }));
  assert.deepEqual(outcomes(answer, files, new Set(["2", "3"])).map((one) => one.outcome), ["stored", "there already", "refused", "refused", "refused"]);
  assert.match(outcomes(answer, files)[4].reason, /not a DICOM object/);
  const other = { "00081199": value({ ...named("1"), "00081196": value(0xb111) }, { ...named("2"), "00081196": value(0xb000) }) };
  const told = outcomes(other, [{ uid: "1" }, { uid: "2" }], new Set(["1", "2"]));
  assert.deepEqual(told.map((one) => one.outcome), ["conflict", "there already"]);
  assert.match(told[0].reason, /the first stays current/);
});

test("the store tells only those whose part changed", () => {
  const store = createStore({ a: 1, b: 2 });
  const heard = [];
  store.on(["a"], (state) => heard.push(state.a));
  store.set({ b: 3 });
  store.set({ a: 1 });
  store.set({ a: 4, b: 5 });
  assert.deepEqual(heard, [4]);
});

// ---- the list

const study = (n) => ({ "0020000D": value(`1.${n}`) });
const pages = (total, asked = []) => ({
  asked,
  search: async (path) => {
    asked.push(path);
    const offset = Number(new URL(path, "http://x").searchParams.get("offset") || 0);
    const items = Array.from({ length: Math.max(0, Math.min(100, total - offset)) }, (_, at) => study(offset + at));
    return { items, next: offset + 100 < total ? `/next?offset=${offset + 100}` : "", warning: "" };
  },
  count: async () => ({ count: total }),
});
const settled = () => new Promise((resolve) => setTimeout(resolve, 5));

test("a list loads what is in sight, behind the page before where it can", async () => {
  const archive = pages(250);
  const list = new StudyList("/b", archive, () => {});
  await list.search([], NEWEST);
  await settled();
  assert.equal(list.total, 250);
  assert.equal(list.at(240), undefined);
  list.at(110);
  await settled();
  assert.deepEqual(list.at(240), study(240));
  assert.deepEqual(archive.asked.slice(1), ["/b/studies?orderby=-StudyDate%2C-StudyTime&limit=100&offset=200", "/next?offset=100"]);
});

test("names that sound alike are asked for where no name begins so", async () => {
  const asked = [];
  const search = async (path) => {
    asked.push(new URL(path, "http://x").searchParams.get("PatientName"));
    return { items: path.includes("*") ? [] : [study(1)], next: "", warning: "" };
  };
  const list = new StudyList("/b", { search, count: async () => ({ count: 1 }) }, () => {});
  await list.search([{ kind: "name", value: "smyth", source: "smyth" }], NEWEST);
  assert.deepEqual(asked, ["smyth*", "smyth"]);
  assert.equal(list.alike, true);
});

test("a search that was overtaken changes nothing", async () => {
  let first = true;
  const search = (path, signal) => new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => reject(new DOMException("", "AbortError")));
    if (!first) resolve({ items: [study(2)], next: "", warning: "" });
    first = false;
  });
  const list = new StudyList("/b", { search, count: async () => ({ count: 1 }) }, () => {});
  const slow = list.search([], NEWEST);
  await list.search([], "PatientID");
  await slow;
  assert.equal(list.sort, "PatientID");
});

test("an archive that cannot sort is sorted for", async () => {
  const items = ["P2", "P1"].map((id) => ({ "00100020": value(id), "0020000D": value(`1.${id}`) }));
  const search = async () => ({ items, next: "", warning: '299 x "orderby is no parameter"' });
  const list = new StudyList("/b", { search, count: async () => ({ count: 2 }) }, () => {});
  await list.search([], "PatientID");
  assert.equal(list.at(0)["00100020"].Value[0], "P1");
});

test("of studies that changed, those that match and are not shown are fresh, and those that match no more are gone", async () => {
  const grown = (one) => ({ ...one, "00201208": { Value: [7] } });
  const answers = [[study(1), study(2), study(5)], [study(2), study(3), grown(study(5))]];
  const search = async () => ({ items: answers.shift(), next: "", warning: "" });
  const list = new StudyList("/b", { search, count: async () => ({ count: 2 }) }, () => {});
  await list.search([], NEWEST);
  const uid = (one) => one["0020000D"].Value[0];
  const changed = await list.matching([1, 2, 3, 4, 5].map((n) => uid(study(n))));
  assert.deepEqual(changed, { fresh: [uid(study(3))], grown: [uid(study(5))], gone: [uid(study(1))] });
});

test("what an override opens, in words and as an address", () => {
  assert.deepEqual(openedBy({ study: "1.2.840.12345678" }), { name: "study …12345678", href: "/?study=1.2.840.12345678" });
  const { name, href } = openedBy({ patient: "47 11", issuer: "HOSPITAL" });
  assert.equal(name, "patient 47 11 (HOSPITAL)");
  const [term] = understand(read(new URL(href, "http://x").search).q, new Date());
  assert.deepEqual([term.kind, term.value, term.exact], ["id", "47 11", true]);
  assert.equal(read(openedBy({ patient: '4"7' }).href.slice(1)).q, 'id:4"7');
});

test("the last override says until when, the first one when to look again", () => {
  const now = Date.parse("2026-11-29T10:00:00Z");
  const { last, wait } = endsOf([{ until: "2026-11-29T10:30:00Z" }, { until: "2026-11-29T10:10:00Z" }], now);
  assert.deepEqual([last.toISOString(), wait], ["2026-11-29T10:30:00.000Z", 600_000]);
  assert.equal(endsOf([{ until: "2026-11-29T09:00:00Z" }], now).wait, 0);
});

test("what was looked for stands in the form", () => {
  const sought = (text) => soughtBy(understand(text, new Date()));
  assert.deepEqual([sought("id:4711 ct"), sought("1.2.840.1.5"), sought("doe")], [{ patient: "4711" }, { study: "1.2.840.1.5" }, { patient: "" }]);
});
