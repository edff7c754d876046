// What the section Workitems asks of UPS-RS, and how it reads what comes.

import assert from "node:assert/strict";
import { test } from "node:test";

import { TAG } from "../../../../../../services/query/viewer/page/dicom.js";
import { UPS, dateTime, meanings, performer, progress, question, references, since, station, stopped } from "../../../../../../services/query/viewer/page/ups.js";

const value = (...all) => ({ Value: all });
const code = (meaning, said = "X") => ({ "00080100": value(said), ...(meaning ? { "00080104": value(meaning) } : {}) });

test("a term is a name, or with a digit a Patient ID", () => {
  assert.deepEqual(question({ status: "SCHEDULED,IN PROGRESS", list: "", term: "", offset: 0 }), { ProcedureStepState: "SCHEDULED,IN PROGRESS", limit: 100 });
  assert.deepEqual(question({ status: "", list: "LIVER", term: "doe, jane", offset: 100 }), { WorklistLabel: "LIVER", PatientName: "doe^jane*", offset: 100, limit: 100 });
  assert.deepEqual(question({ status: "", list: "", term: "P1", offset: 0 }), { PatientID: "P1", limit: 100 });
});

test("a date and time is what it says, and nothing where it says nothing", () => {
  const said = (text) => dateTime({ [UPS.start]: value(text) }, UPS.start);
  assert.equal(said("20260105093000"), "2026-01-05 09:30");
  assert.equal(said("20260105093000.123+0130"), "2026-01-05 09:30 +01:30");
  assert.equal(said("20260105"), "2026-01-05");
  for (const wrong of ["", "tomorrow", "2026-01-05"]) assert.equal(said(wrong), "");
  assert.equal(dateTime(undefined, UPS.start), "");
});

test("who performs it counts before who shall", () => {
  const scheduled = { [UPS.scheduledPeople]: value({ [UPS.personName]: value({ Alphabetic: "Roe^Ann" }) }) };
  assert.equal(performer(scheduled), "ROE, Ann");
  const done = { [UPS.people]: value({ [UPS.personCode]: value(code("Technologist")) }), [UPS.performedStation]: value(code("", "W1")) };
  assert.equal(performer({ ...scheduled, [UPS.performed]: value(done) }), "Technologist, W1");
  assert.equal(performer({}), "");
  assert.equal(station({ [UPS.classes]: value(code("Segmenter")) }), "Segmenter");
  assert.equal(meanings({ [UPS.code]: value(code("A"), {}, code("", "B")) }, UPS.code), "A, B");
});

test("how far it is, since when, and why it stopped", () => {
  const told = { [UPS.progressInformation]: value({ [UPS.progress]: value("40.4"), [UPS.progressSays]: value("slice 12"), [UPS.stopped]: value(code("Bad input")), [UPS.cancelled]: value("too dark") }) };
  assert.equal(progress(told), "40 %, slice 12");
  assert.equal(progress({}), "");
  assert.equal(stopped(told), "Bad input, too dark");
  const at = (began, ended) => since({ [UPS.start]: value("20260101"), [UPS.performed]: value({ [UPS.began]: value(began), [UPS.ended]: value(ended) }) });
  assert.deepEqual([at("20260102", "20260103"), at("20260102", ""), at("", "")], ["2026-01-03", "2026-01-02", "2026-01-01"]);
});

test("what goes in is a study, a series, and so many instances", () => {
  const input = { [UPS.kind]: value("DICOM"), [TAG.StudyInstanceUID]: value("1.2"), [TAG.SeriesInstanceUID]: value("1.2.3"), [UPS.instances]: value({}, {}) };
  assert.deepEqual(references({ [UPS.inputs]: value(input, {}) }, UPS.inputs), [{ kind: "DICOM", study: "1.2", series: "1.2.3", instances: 2 }, { kind: "", study: "", series: "", instances: 0 }]);
  assert.deepEqual(references(undefined, UPS.outputs), []);
});
