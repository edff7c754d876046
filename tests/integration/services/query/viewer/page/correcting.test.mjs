// What somebody corrects, as attributes.

import assert from "node:assert/strict";
import { test } from "node:test";

import { changed, fieldsOf, identity, linesOf, patientsOf } from "../../../../../../services/query/viewer/page/correcting.js";

const STUDY = {
  "00080020": { vr: "DA", Value: ["20260131"] },
  "00080050": { vr: "SH", Value: ["A1"] },
  "00081030": { vr: "LO" },
  "00100010": { vr: "PN", Value: [{ Alphabetic: "DOE^JANE", Ideographic: "山田" }] },
  "00100020": { vr: "LO", Value: ["P1"] },
  "00100021": { vr: "LO", Value: ["HOSP"] },
};

test("fields hold what a study says", () => {
  const fields = fieldsOf(STUDY);
  assert.equal(fields.name, "DOE^JANE=山田");
  assert.equal(fields.date, "2026-01-31");
  assert.equal(fields.description, "");
});

test("only what differs is corrected", () => {
  const before = fieldsOf(STUDY);
  const after = { ...before, name: "POE^JANE=山田", accession: "", birth: "1970-01-02", date: "2026-02-01" };
  assert.deepEqual(changed(STUDY, before, after, false), { problem: "", values: {
    "00100010": { vr: "PN", Value: [{ Alphabetic: "POE^JANE", Ideographic: "山田" }] },
    "00100030": { vr: "DA", Value: ["19700102"] },
    "00080050": { vr: "SH" },
    "00080020": { vr: "DA", Value: ["20260201"] },
  } });
  // Of a patient only what is the patient's own.
  assert.deepEqual(Object.keys(changed(STUDY, before, after, true).values), ["00100010", "00100030"]);
});

test("a patient is confidential by what is written there, and not by nothing", () => {
  const before = fieldsOf(STUDY);
  const marked = changed(STUDY, before, { ...before, confidential: "VIP" }, true);
  assert.deepEqual(marked.values, { "00403001": { vr: "LO", Value: ["VIP"] } });
  const vip = { ...STUDY, ...marked.values };
  assert.deepEqual(changed(vip, fieldsOf(vip), { ...fieldsOf(vip), confidential: "" }, true).values, { "00403001": { vr: "LO" } });
});

test("what cannot be sent says why", () => {
  const before = fieldsOf(STUDY);
  assert.equal(changed(STUDY, before, before, false).problem, "Nothing is changed yet");
  assert.match(changed(STUDY, before, { ...before, birth: "31.1.1970" }, false).problem, /Birth date/);
});

test("patients are told apart by ID and issuer", () => {
  const other = { ...STUDY, "00100021": { vr: "LO" } };
  const none = { "00100010": STUDY["00100010"] };
  assert.equal(patientsOf([STUDY, STUDY, other, none]).length, 2);
  assert.deepEqual(identity(other), { "00100020": { vr: "LO", Value: ["P1"] } });
  assert.equal(identity(STUDY)["00100021"].Value[0], "HOSP");
});

test("a correction is a line for each attribute", () => {
  const values = { "00100010": { vr: "PN", Value: [{ Alphabetic: "POE" }] }, "00081032": { vr: "SQ", Value: [{}, {}] }, "00100030": { vr: "DA" } };
  const lines = linesOf({ values }, (tag) => tag);
  assert.deepEqual(Object.fromEntries(lines.map(({ name, value }) => [name, value])), { "00100010": "POE", "00081032": "2 items", "00100030": "(empty)" });
  assert.deepEqual(linesOf({ values: null }, String), []);
});
