// Workitems (Unified Procedure Steps, PS3.3 C.30) in the DICOM JSON model: which are asked for, and what they say. Pure.

import { TAG, clock, day, nameInWords, number, text, values } from "./dicom.js";

export const UPS = {
  state: "00741000", progressInformation: "00741002", progress: "00741004", progressSays: "00741006", contact: "0074100C", stopped: "0074100E",
  priority: "00741200", list: "00741202", label: "00741204", performed: "00741216", cancelled: "00741238",
  start: "00404005", expires: "00404008", expected: "00404011", code: "00404018", inputs: "00404021", stations: "00404025", classes: "00404026", ready: "00404041",
  scheduledPeople: "00404034", people: "00404035", personName: "00404037", personCode: "00404009", performedStation: "00404028", began: "00404050", ended: "00404051", outputs: "00404033",
  comments: "00400400", request: "0040A370", kind: "0040E020", instances: "00081199",
};
export const OPEN = "SCHEDULED,IN PROGRESS";
export const MOST = 100; // on a page

// What the address asks, as parameters of UPS-RS. One box: a word with a digit is a Patient ID.
export function question({ status, list, term, offset }) {
  const who = !term ? {} : /\d/.test(term) ? { PatientID: term } : { PatientName: `${term.replace(/[,\s]+/g, "^")}*` };
  return { ...(status ? { ProcedureStepState: status } : {}), ...(list ? { WorklistLabel: list } : {}), ...who, ...(offset ? { offset } : {}), limit: MOST };
}

// A DT value as people read it: 20260105093000.00+0100 is "2026-01-05 09:30 +01:00".
export function dateTime(item, tag) {
  const [, date = "", time = "", zone = ""] = /^(\d{1,8})(\d{0,6})(?:\.\d+)?([+-]\d{4})?$/.exec(text(item, tag)) || [];
  return [day(date), clock(time), zone.replace(/(\d\d)$/, ":$1")].filter(Boolean).join(" ");
}

// Codes by their meaning, or else their value.
export function meanings(item, tag) {
  return values(item, tag).map((code) => text(code, "00080104") || text(code, "00080100")).filter(Boolean).join(", ");
}

// Who or what performs it, or else shall.
export function performer(workitem) {
  const [done] = values(workitem, UPS.performed);
  const people = (item, tag) => values(item, tag).map((one) => values(one, UPS.personName).map(nameInWords).join(", ") || meanings(one, UPS.personCode)).filter(Boolean).join(", ");
  return [people(done, UPS.people), meanings(done, UPS.performedStation)].filter(Boolean).join(", ") || people(workitem, UPS.scheduledPeople);
}

export const station = (workitem) => meanings(workitem, UPS.stations) || meanings(workitem, UPS.classes);

// How far it is: "40 %, slice 12", or "".
export function progress(workitem) {
  const [told] = values(workitem, UPS.progressInformation);
  const done = number(told, UPS.progress);
  return [done === undefined ? "" : `${Math.round(done)} %`, text(told, UPS.progressSays)].filter(Boolean).join(", ");
}

// Why it is over before its end, in words.
export function stopped(workitem) {
  const [told] = values(workitem, UPS.progressInformation);
  return [meanings(told, UPS.stopped), text(told, UPS.cancelled)].filter(Boolean).join(", ");
}

// What goes in or comes out: {kind, study, series, instances} of each item.
export function references(item, tag) {
  return values(item, tag).map((one) => ({ kind: text(one, UPS.kind), study: text(one, TAG.StudyInstanceUID), series: text(one, TAG.SeriesInstanceUID), instances: values(one, UPS.instances).length }));
}

// Since when it is as it is: begun, ended, or to begin.
export function since(workitem) {
  const [done] = values(workitem, UPS.performed);
  return dateTime(done, UPS.ended) || dateTime(done, UPS.began) || dateTime(workitem, UPS.start);
}
