// What the place Worklist asks of orders, and what its form makes of them.

import assert from "node:assert/strict";
import { test } from "node:test";

import { TAG } from "../../../../../../services/query/viewer/page/dicom.js";
import { OF, dayBeside, questions, shown, stepsShown, written } from "../../../../../../services/query/viewer/page/orders.js";

const element = (vr, value) => ({ vr, Value: [value] });
const FIELDS = [["Family name", "family", "PN"], ["Given name", "given", "PN"], ["Born", TAG.PatientBirthDate, "DA"], ["Sex", TAG.PatientSex, "CS"], ["Time", OF.time, "TM"]];
const ORDER = {
  [TAG.PatientName]: element("PN", { Alphabetic: "Doe^Jane^^Dr", Ideographic: "山田" }),
  [TAG.PatientBirthDate]: element("DA", "19800203"),
  [TAG.PatientSex]: element("CS", "F"),
  [OF.time]: element("TM", "081500"),
};

test("a day beside one goes over months and years", () => {
  assert.equal(dayBeside("2026-12-31", 1), "2027-01-01");
  assert.equal(dayBeside("2024-03-01", -1), "2024-02-29");
});

test("a term is a name, or an accession number or a Patient ID, on any day", () => {
  const asked = { date: "2026-01-05", modality: "CT", status: "STARTED", term: "", offset: 100 };
  assert.deepEqual(questions(asked), [{ limit: 101, offset: 100, state: "STARTED", Modality: "CT", ScheduledProcedureStepStartDate: "20260105" }]);
  assert.deepEqual(questions({ ...asked, modality: "", status: "", offset: 0, term: "A12" }), [{ limit: 101, AccessionNumber: "A12" }, { limit: 101, PatientID: "A12" }]);
  assert.deepEqual(questions({ ...asked, modality: "", status: "", offset: 0, term: "doe, jane" }), [{ limit: 101, PatientName: "doe^jane*" }]);
});

test("of an order the steps of the day and the state are shown", () => {
  const step = (date, status, modality) => ({ [OF.date]: element("DA", date), [OF.status]: element("CS", status), [TAG.Modality]: element("CS", modality) });
  const steps = [step("20260105", "SCHEDULED", "CT"), step("20260106", "SCHEDULED", "CT"), step("20260105", "CANCELLED", "CT"), step("20260105", "SCHEDULED", "MR")];
  const order = { [OF.steps]: { vr: "SQ", Value: steps } };
  const asked = { date: "2026-01-05", status: "SCHEDULED,STARTED", modality: "CT", term: "" };
  assert.deepEqual(stepsShown(order, asked), [steps[0]]);
  assert.deepEqual(stepsShown(order, { ...asked, status: "", modality: "" }), [steps[0], steps[2], steps[3]]);
  assert.deepEqual(stepsShown(order, { ...asked, term: "A1" }), [steps[0], steps[1]]);
});

const filledLike = (order) => Object.fromEntries(FIELDS.map(([, tag, vr]) => [tag, shown(order, tag, vr)]));

test("a form that nobody touched changes nothing", () => {
  assert.deepEqual(filledLike(ORDER), { family: "Doe", given: "Jane", [TAG.PatientBirthDate]: "1980-02-03", [TAG.PatientSex]: "F", [OF.time]: "08:15" });
  assert.deepEqual(written(FIELDS, filledLike(ORDER), ORDER), {});
});

test("a changed form says what is another, and what is gone; the rest of a name stays", () => {
  assert.deepEqual(written(FIELDS, { ...filledLike(ORDER), family: "Roe", [TAG.PatientSex]: "", [OF.time]: "09:30" }, ORDER), {
    [TAG.PatientName]: element("PN", { Alphabetic: "Roe^Jane^^Dr", Ideographic: "山田" }),
    [TAG.PatientSex]: null,
    [OF.time]: element("TM", "0930"),
  });
});

test("a new order says what was filled in", () => {
  assert.deepEqual(written(FIELDS, { family: " Doe ", given: "", [TAG.PatientBirthDate]: "1980-02-03", [TAG.PatientSex]: "", [OF.time]: "" }, null), {
    [TAG.PatientName]: element("PN", { Alphabetic: "Doe" }),
    [TAG.PatientBirthDate]: element("DA", "19800203"),
  });
});
