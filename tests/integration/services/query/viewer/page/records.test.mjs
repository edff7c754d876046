// What the place Audit says of a record, and the file it makes.

import assert from "node:assert/strict";
import { test } from "node:test";

import { GROUPS, csv, kindsOf, madeBy, outcomeOf, subject, whatWasDone } from "../../../../../../services/query/viewer/page/records.js";

const RECORD = {
  record: "r1", kind: "sent", operation: "C-GET", outcome: 0, why: "", requestor: "CT1", requestor_is: "ae", user: "", address: "192.0.2.7", peer: "", peer_address: "",
  begun_at: 1_700_000_000_000_000, at: 1_700_000_001_500_000, times: 1, more: 0, query: "", objects: [{ study_instance_uid: "1.2.3", patient_id: "4711" }, { study_instance_uid: "1.2.3", patient_id: "4711" }],
};

test("a record in words", () => {
  assert.equal(whatWasDone(RECORD), "Sent: C-GET");
  assert.equal(whatWasDone({ ...RECORD, kind: "of a newer release", operation: "", times: 3 }), "of a newer release, 3 times");
  assert.equal(madeBy(RECORD), "CT1 (AE title)");
  assert.equal(madeBy({ ...RECORD, user: "jdoe" }), "jdoe at CT1");
  assert.equal(madeBy({ ...RECORD, requestor: "", requestor_is: "archive" }), "the archive");
  assert.equal(madeBy({ ...RECORD, requestor: "", requestor_is: "" }), "unknown");
  assert.equal(outcomeOf(RECORD), "Done");
  assert.equal(outcomeOf({ outcome: 8, why: "no such token" }), "Failed: no such token");
});

test("whom it was of: each once, and how many more", () => {
  assert.equal(subject(RECORD), "4711");
  assert.equal(subject({ objects: [{ study_instance_uid: "1.2.840.113619.2.55", patient_id: "" }], more: 0 }), "…619.2.55");
  assert.equal(subject({ objects: ["a", "b", "c"].map((patient_id) => ({ patient_id })), more: 4 }), "a, b and 5 more");
  assert.equal(subject({ objects: [], more: 0 }), "");
});

test("a group is kinds, and every kind but one is in exactly one of them", () => {
  assert.equal(kindsOf(""), "");
  assert.equal(kindsOf("nonsense"), "");
  assert.equal(kindsOf("logins"), "login,logout");
  const all = GROUPS.flatMap(({ kinds }) => kinds);
  assert.deepEqual(all.filter((kind, at) => all.indexOf(kind) !== at), ["override"]); // is seen, and stands by itself
});

test("a file has a line for each record, and no formula of a stranger", () => {
  const [heads, line, end] = csv([{ ...RECORD, why: 'said "no",\nand left', requestor: "=HYPERLINK(1)", query: "+1" }]).split("\r\n");
  assert.equal(end, "");
  assert.ok(heads.startsWith("begun,ended,kind,"));
  assert.ok(line.startsWith('2023-11-14T22:13:20.000Z,2023-11-14T22:13:21.500Z,sent,C-GET,Done,"said ""no"",\nand left",\'=HYPERLINK(1),'));
  assert.ok(line.includes(",4711,1.2.3,1,'+1,r1"));
});
