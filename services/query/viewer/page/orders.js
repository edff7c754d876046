// Orders in the DICOM JSON model: which are asked for, what a form shows of one, and what it says. Pure, but for `today`.

import { TAG, text, values } from "./dicom.js";

// Attributes of the modules of a worklist item (PS3.4 table K.6-1) that are no attributes of a study.
export const OF = {
  steps: "00400100", step: "00400009", date: "00400002", time: "00400003", status: "00400020", says: "00400007", station: "00400001",
  procedure: "00321060", procedureId: "00401001", url: "00081190", started: "00400244", startedAt: "00400245", ended: "00400250", endedAt: "00400251",
  performedStatus: "00400252", performedStation: "00400241", performedSays: "00400254",
};

export const MOST = 100; // on a page

const alphabetic = (item, tag) => values(item, tag)[0]?.Alphabetic || "";

// The day here, as "2024-01-31".
export function today() {
  const now = new Date();
  return [now.getFullYear(), now.getMonth() + 1, now.getDate()].map((part) => String(part).padStart(2, "0")).join("-");
}

// A day before or after one, as "2024-01-31".
export function dayBeside(date, by) {
  const at = new Date(`${date}T12:00:00Z`);
  at.setUTCDate(at.getUTCDate() + by);
  return at.toISOString().slice(0, 10);
}

// What the address asks, as parameters of orders. One box: a word with a digit is an accession number or a Patient ID.
export function questions({ date, modality, status, term, offset }) {
  const common = { limit: MOST + 1, ...(offset ? { offset } : {}), ...(status ? { state: status } : {}), ...(modality ? { Modality: modality } : {}) };
  if (!term) return [{ ...common, ScheduledProcedureStepStartDate: date.replaceAll("-", "") }];
  if (/\d/.test(term)) return [{ ...common, AccessionNumber: term }, { ...common, PatientID: term }];
  return [{ ...common, PatientName: `${term.replace(/[,\s]+/g, "^")}*` }];
}

// The steps of an order that the list is about: those of the day, with the state and modality that were asked for.
export function stepsShown(order, { date, status, modality, term }) {
  const asked = status ? status.split(",") : null;
  const shown = (step) => (term || text(step, OF.date) === date.replaceAll("-", "")) && (!asked || asked.includes(text(step, OF.status))) && (!modality || text(step, TAG.Modality) === modality);
  return values(order, OF.steps).filter(shown);
}

// What a field shows of an attribute.
export function shown(item, tag, vr) {
  const [family = "", given = ""] = alphabetic(item, TAG.PatientName).split("^");
  if (tag === "family") return family;
  if (tag === "given") return given;
  if (vr === "PN") return alphabetic(item, tag);
  const said = text(item, tag);
  if (vr === "DA") return said.replace(/^(\d{4})(\d\d)(\d\d)$/, "$1-$2-$3");
  if (vr === "TM") return said.replace(/^(\d\d)(\d\d).*/, "$1:$2");
  return said;
}

// Attributes of what was filled in, as {tag: element}; of an order that is there only what is another, and null where
// nothing is said any more. Parts of a name that the form does not show stay.
export function written(fields, filled, before) {
  const made = {};
  for (const [, tag, vr] of fields) {
    const value = (filled[tag] || "").trim();
    if (before && value === shown(before, tag, vr)) continue;
    if (tag === "family" || tag === "given") {
      const parts = alphabetic(before, TAG.PatientName).split("^");
      parts[0] = filled.family.trim();
      parts[1] = filled.given.trim();
      made[TAG.PatientName] = { vr: "PN", Value: [{ ...values(before, TAG.PatientName)[0], Alphabetic: parts.join("^").replace(/\^+$/, "") }] };
    } else if (value) made[tag] = element(vr, vr === "DA" ? value.replaceAll("-", "") : vr === "TM" ? value.replaceAll(":", "") : value);
    else if (before) made[tag] = null;
  }
  return made;
}

const element = (vr, value) => ({ vr, Value: [vr === "PN" ? { Alphabetic: value } : value] });

