// What somebody corrects of a study, as attributes of the DICOM JSON model (PS3.18 Annex F). Pure.

import { TAG, day, text, values } from "./dicom.js";

// `patient` says that it is of the patient in all studies; the others are of one study.
export const FIELDS = [
  { id: "name", name: "Patient's name", tag: TAG.PatientName, vr: "PN", patient: true, longest: 200, hint: "Family^Given" },
  { id: "birth", name: "Birth date", tag: TAG.PatientBirthDate, vr: "DA", patient: true, longest: 10, hint: "1970-01-31" },
  { id: "sex", name: "Sex", tag: TAG.PatientSex, vr: "CS", patient: true, longest: 1, hint: "F, M or O" },
  { id: "patientId", name: "Patient ID", tag: TAG.PatientID, vr: "LO", patient: false, longest: 64, hint: "" },
  { id: "issuer", name: "Issuer of the ID", tag: TAG.IssuerOfPatientID, vr: "LO", patient: false, longest: 64, hint: "" },
  { id: "accession", name: "Accession number", tag: TAG.AccessionNumber, vr: "SH", patient: false, longest: 16, hint: "" },
  { id: "description", name: "Study description", tag: TAG.StudyDescription, vr: "LO", patient: false, longest: 64, hint: "" },
  { id: "date", name: "Study date", tag: TAG.StudyDate, vr: "DA", patient: false, longest: 10, hint: "2026-01-31" },
  { id: "referrer", name: "Referring physician", tag: TAG.ReferringPhysicianName, vr: "PN", patient: false, longest: 200, hint: "Family^Given" },
  { id: "confidential", name: "Confidential", tag: TAG.Confidentiality, vr: "LO", patient: true, longest: 64, hint: "VIP; empty: it is not" },
];

const GROUPS = ["Alphabetic", "Ideographic", "Phonetic"];

// What a study says now, as it is written into the fields.
export function fieldsOf(study) {
  return Object.fromEntries(FIELDS.map(({ id, tag, vr }) => [id, written(study, tag, vr)]));
}

function written(study, tag, vr) {
  if (vr === "DA") return day(text(study, tag));
  if (vr !== "PN") return values(study, tag).filter((value) => value !== null).join("\\");
  return values(study, tag).map((value) => GROUPS.map((group) => value?.[group] || "").join("=").replace(/=+$/, "")).join("\\");
}

// The attributes that differ, or why they cannot be sent. Of a patient only the patient's own.
export function changed(study, before, after, ofPatient) {
  const found = {};
  for (const { id, name, tag, vr, patient } of FIELDS) {
    const value = after[id].trim();
    if ((ofPatient && !patient) || value === before[id]) continue;
    if (vr === "DA" && value && !/^\d{4}-?\d\d-?\d\d$/.test(value)) return { values: {}, problem: `${name}: a date as 2026-01-31` };
    found[tag] = element(vr, value);
  }
  if (!Object.keys(found).length) return { values: {}, problem: "Nothing is changed yet" };
  return { values: found, problem: "" };
}

function element(vr, value) {
  if (!value) return { vr };
  if (vr === "DA") return { vr, Value: [value.replaceAll("-", "")] };
  if (vr !== "PN") return { vr, Value: value.split("\\") };
  return { vr, Value: value.split("\\").map(personName) };
}

function personName(name) {
  return Object.fromEntries(name.split("=").map((part, at) => [GROUPS[at], part]).filter(([group, part]) => group && part));
}

// Who the patient of a study is: Patient ID, and its issuer where there is one.
export function identity(study) {
  const issuer = text(study, TAG.IssuerOfPatientID);
  const said = { [TAG.PatientID]: { vr: "LO", Value: [text(study, TAG.PatientID)] } };
  return issuer ? { ...said, [TAG.IssuerOfPatientID]: { vr: "LO", Value: [issuer] } } : said;
}

// The patients of some studies, each with one of them; those without an ID are left out.
export function patientsOf(studies) {
  const found = new Map();
  for (const study of studies) {
    const key = JSON.stringify([text(study, TAG.PatientID), text(study, TAG.IssuerOfPatientID)]);
    if (text(study, TAG.PatientID) && !found.has(key)) found.set(key, { key, study });
  }
  return [...found.values()];
}

// What a correction changed, in a line for each attribute.
export function linesOf(correction, names) {
  return Object.entries(correction.values || {}).map(([tag, { vr, Value = [] }]) => {
    const value = vr === "SQ" ? `${Value.length} items` : Value.map((one) => (typeof one === "object" && one ? Object.values(one).join("=") : String(one))).join("\\");
    return { name: names(tag), value: value || "(empty)" };
  });
}
