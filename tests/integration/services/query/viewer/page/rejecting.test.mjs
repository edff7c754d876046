// Rejection notes that the page makes; what they do is tried in a browser (tests/e2e/test_viewer_rejection.py).

import assert from "node:assert/strict";
import { test } from "node:test";

const from = (name) => import(`../../../../../../services/query/viewer/page/${name}.js`);
const { CODES, named, refusal, rejectionNote, uidOfBytes } = await from("rejecting");

const value = (...values) => ({ Value: values });
const STUDY = {
  "0020000D": value("1.2.3"),
  "00100010": value({ Alphabetic: "Yamada^Tarou", Ideographic: "山田^太郎" }),
  "00100020": value("P1"),
  "00100021": value("NORTH"),
  "00080050": value("A200"),
};
const instance = (series, uid, sopClass, more = {}) => ({ "0020000E": value(series), "00080018": value(uid), "00080016": value(sopClass), ...more });
const CT = "1.2.840.10008.5.1.4.1.1.2";
const INSTANCES = [
  instance("1.2.3.1", "1.2.3.1.1", CT, { "00280010": value(512) }),
  instance("1.2.3.2", "1.2.3.2.1", "1.2.840.10008.5.1.4.1.1.104.1"),
  instance("1.2.3.1", "1.2.3.1.2", CT, { "00280010": value(512) }),
  instance("1.2.3.3", "1.2.3.3.1", "1.2.840.10008.5.1.4.1.1.9.1.1"),
];
const NOW = new Date(2026, 0, 5, 7, 8, 9);
const made = (reason = "moved") => {
  let count = 0;
  return rejectionNote(STUDY, INSTANCES, "113001", reason, NOW, () => `2.25.${(count += 1)}`);
};
const one = (item, tag) => item[tag].Value[0];

test("a note names every instance once, by series, and says why", () => {
  const note = made();
  assert.deepEqual(one(note, "0040A043"), { "00080100": { vr: "SH", Value: ["113001"] }, "00080102": { vr: "SH", Value: ["DCM"] }, "00080104": { vr: "LO", Value: ["Rejected for Quality Reasons"] } });
  const evidence = one(note, "0040A375");
  assert.equal(one(evidence, "0020000D"), "1.2.3");
  const named = evidence["00081115"].Value.map((series) => [one(series, "0020000E"), series["00081199"].Value.map((item) => one(item, "00081155"))]);
  assert.deepEqual(named, [["1.2.3.1", ["1.2.3.1.1", "1.2.3.1.2"]], ["1.2.3.2", ["1.2.3.2.1"]], ["1.2.3.3", ["1.2.3.3.1"]]]);
  const kinds = note["0040A730"].Value.map((item) => one(item, "0040A040"));
  assert.deepEqual(kinds, ["TEXT", "IMAGE", "COMPOSITE", "IMAGE", "WAVEFORM"]);
  assert.equal(one(note["0040A730"].Value[0], "0040A160"), "moved");
  assert.equal(made("")["0040A730"].Value.length, 4);
});

test("a note is of its patient and study, in a series of its own", () => {
  const note = made();
  assert.deepEqual(note["00100010"], { vr: "PN", Value: STUDY["00100010"].Value });
  assert.deepEqual([note["00100021"].Value, note["00100040"], note["00080020"]], [["NORTH"], { vr: "CS" }, { vr: "DA" }]);
  assert.ok(!("00081030" in note));
  assert.deepEqual(["0020000D", "0020000E", "00080018", "00080060"].map((tag) => one(note, tag)), ["1.2.3", "2.25.2", "2.25.1", "KO"]);
  assert.deepEqual([one(note, "00080023"), one(note, "00080033")], ["20260105", "070809"]);
});

test("images are named by their numbers", () => {
  const numbered = (number) => (number === null ? {} : { "00200013": { Value: [number] } });
  const series = [1, 2, 3, 7, "12", null].map(numbered);
  const chosen = (words) => named(series, words).map((each) => series.indexOf(each));
  assert.deepEqual(chosen(" "), [0, 1, 2, 3, 4, 5]);
  assert.deepEqual(chosen("7, 1-2,2"), [0, 1, 3]);
  assert.deepEqual(chosen("3 - 99"), [2, 3, 4]);
  for (const words of ["4", "5-6", "3-1", "1, 8"]) assert.throws(() => named(series, words), /there is no image/);
  for (const words of ["a", "-1", "1-2-3", "1;2", "1e3", "1".repeat(10)]) assert.throws(() => named(series, words), /named by number/);
});

test("a UID of our own is a random UUID as a number", () => {
  assert.equal(uidOfBytes(new Uint8Array(16)), `2.25.${0x40008000000000000000n}`);
  const most = uidOfBytes(new Uint8Array(16).fill(255));
  assert.ok(most.length <= 64);
  assert.equal(BigInt(most.slice(5)).toString(16), "ffffffffffff4fffbfffffffffffffff");
});

test("why a note was not taken is said in words", () => {
  const refused = (reason) => ({ "00081198": value({ "00081197": value(reason) }) });
  assert.match(refusal(refused(0xa776)), /hold/);
  assert.match(refusal(refused(0x0124)), /not allowed to reject/);
  assert.match(refusal(refused(0xa700)), /try again later/);
  assert.match(refusal({ "0008119A": value({ "00081197": value(0xc123) }) }), /C123H/);
  assert.equal(refusal({ "00081199": value({}) }), "");
  assert.deepEqual(Object.keys(CODES), ["113001", "113037", "113038", "113039"]);
});
