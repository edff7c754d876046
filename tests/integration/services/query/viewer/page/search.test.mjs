// What the search box understands.
import assert from "node:assert/strict";
import { test } from "node:test";
import { chip, inWords, parameters, understand, widenings, without } from "../../../../../../services/query/viewer/page/search.js";

const WEDNESDAY = new Date(2024, 0, 31);
const asked = (text) => Object.fromEntries(parameters(understand(text, WEDNESDAY)));
const chips = (text) => understand(text, WEDNESDAY).map((term) => chip(term).join(" "));

test("the example of the specification", () => {
  assert.deepEqual(asked("doe jane ct last week acc:A20*"), {
    PatientName: "doe* jane*", fuzzymatching: "true", ModalitiesInStudy: "CT", AccessionNumber: "A20*", StudyDate: "20240122-20240128",
  });
  assert.deepEqual(chips("doe ct last week"), ["Name doe", "Modality CT", "Date 2024-01-22 to 2024-01-28"]);
});

const DATES = {
  today: "20240131", yesterday: "20240130", "7 days": "20240125-20240131", "last 7 days": "20240125-20240131", "last 2 weeks": "20240118-20240131",
  "this week": "20240129-20240204", "last week": "20240122-20240128", "this month": "20240101-20240131", "last month": "20231201-20231231",
  "this year": "20240101-20241231", "last year": "20230101-20231231", 2024: "20240101-20241231", "2024-02": "20240201-20240229",
  "2024-01-31": "20240131", 20240131: "20240131", "31.1.2024": "20240131", "2023-12..2024-01": "20231201-20240131", "2024..": "20240101-",
  "..2023": "-20231231", "since:2024-01-02": "20240102-", "before:2024": "-20241231", "date:last week": "20240122-20240128", "on:today": "20240131",
};
for (const [text, range] of Object.entries(DATES)) {
  test(`a date: ${text}`, () => assert.deepEqual(asked(text), { StudyDate: range }));
}

test("two dates are what they have in common", () => {
  assert.deepEqual(asked("2024 since:2024-01-15"), { StudyDate: "20240115-20241231" });
});

test("what is no date stays a word", () => {
  assert.deepEqual(asked("2024-13"), { PatientID: "2024-13*" });
  assert.deepEqual(asked("31.2.2024"), { PatientID: "31.2.2024*" });
});

test("a word with a digit is an identifier, and a field says otherwise", () => {
  assert.deepEqual(asked("MANY03"), { PatientID: "MANY03*" });
  assert.deepEqual(asked("acc:MANY03"), { AccessionNumber: "MANY03*" });
  assert.deepEqual(asked("desc:liver ref:rossi sex:f born:1980-05-14"), {
    ReferringPhysicianName: "rossi*", fuzzymatching: "true", StudyDescription: "*liver*", PatientSex: "F", PatientBirthDate: "19800514",
  });
});

test("quotation marks make a name of anything", () => {
  assert.deepEqual(asked('"mr ct"'), { PatientName: "mr* ct*", fuzzymatching: "true" });
  assert.deepEqual(asked('name:"van der berg"'), { PatientName: "van* der* berg*", fuzzymatching: "true" });
});

test("a comma or caret in a name does not matter", () => {
  assert.equal(asked("Doe, Jane").PatientName, "Doe* Jane*");
  assert.equal(asked("Doe^Jane").PatientName, "Doe* Jane*");
});

test("several modalities are any of them, and a UID is a study", () => {
  assert.deepEqual(asked("ct mr 1.2.840.10008.1"), { ModalitiesInStudy: "CT,MR", StudyInstanceUID: "1.2.840.10008.1" });
});

test("names of any script", () => {
  assert.equal(asked("иванова 太郎").PatientName, "иванова* 太郎*");
});

test("wildcards are left as they are, and dropped where the sound counts", () => {
  const terms = understand("d?e* smyth", WEDNESDAY);
  assert.equal(Object.fromEntries(parameters(terms)).PatientName, "d?e* smyth*");
  assert.equal(Object.fromEntries(parameters(terms, { likeSound: true })).PatientName, "de smyth");
});

test("nothing is nothing", () => {
  for (const text of ["", "   ", "acc:", '""', "date:never"]) assert.deepEqual(asked(text), {});
});

test("a term can be taken out of the text", () => {
  const terms = understand("doe ct last week", WEDNESDAY);
  assert.equal(without(terms, terms[2]), "doe ct");
  assert.equal(inWords(terms), "Name doe, Modality CT, Date 2024-01-22 to 2024-01-28");
});

test("what to ask instead", () => {
  const labels = (text) => widenings(understand(text, WEDNESDAY)).map(({ label, text: other }) => `${label} = ${other}`);
  assert.deepEqual(labels("MANY03"), ["Accession MANY03 = acc:MANY03"]);
  assert.deepEqual(labels("mr"), ["Name mr = name:mr"]);
  assert.ok(labels("doe ct").includes("Without ct = doe"));
});

test("what stands between quotation marks is the whole value", () => {
  assert.deepEqual(asked('id:"4711" issuer:"HOSPITAL"'), { PatientID: "4711", IssuerOfPatientID: "HOSPITAL" });
  assert.deepEqual(asked('acc:"A 1" acc:"A2"'), { AccessionNumber: "A 1\\A2" });
  assert.deepEqual(asked("id:4711 issuer:HOSPITAL"), { PatientID: "4711*", IssuerOfPatientID: "HOSPITAL" });
});
