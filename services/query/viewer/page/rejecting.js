// A rejection note (IHE RAD TF-2 RAD-66): a Key Object Selection document (PS3.3 A.35.4) of a study, in the DICOM JSON
// model, that says which instances are rejected and why. Pure.

import { TAG, first, text, values } from "./dicom.js";
import { reasonInWords } from "./part10.js";

// By code of PS3.16 CID 7011: what people call it, and its meaning as the note has it.
export const CODES = {
  113001: { name: "Poor quality", meaning: "Rejected for Quality Reasons" },
  113037: { name: "A danger to the patient", meaning: "Rejected for Patient Safety Reasons" },
  113038: { name: "Made for the wrong order or patient", meaning: "Incorrect Modality Worklist Entry" },
  113039: { name: "Kept for as long as it has to be", meaning: "Data Retention Policy Expired" },
};
export const NOTE_CLASS = "1.2.840.10008.5.1.4.1.1.88.59";
const WAVEFORMS = "1.2.840.10008.5.1.4.1.1.9.";
// What a note says of patient and study as the study says it: [tag, VR]. Those that must be there are empty where it says nothing.
const OF_STUDY = [[TAG.StudyDate, "DA"], [TAG.StudyTime, "TM"], [TAG.AccessionNumber, "SH"], [TAG.ReferringPhysicianName, "PN"], [TAG.PatientName, "PN"], [TAG.PatientID, "LO"], [TAG.PatientBirthDate, "DA"], [TAG.PatientSex, "CS"], ["00200010", "SH"]];
const WHERE_THERE = [[TAG.IssuerOfPatientID, "LO"], [TAG.StudyDescription, "LO"]];
// What the archive says of a note that it does not take (docs/lifecycle.md).
const REFUSED = {
  0xa772: "an image is gone, or came meanwhile: try again",
  0xa774: "images of it are rejected already",
  0xa775: "this kind of rejection is not allowed here",
  0xa776: "a hold or a retention rule keeps it",
  0x0124: "you are not allowed to reject",
};

const element = (vr, ...all) => (all.length ? { vr, Value: all } : { vr });
const code = (value, meaning) => ({ "00080100": element("SH", value), "00080102": element("SH", "DCM"), "00080104": element("LO", meaning) });
const two = (number) => String(number).padStart(2, "0");

// A UID of our own (PS3.5 B.2) from 16 random bytes.
export function uidOfBytes(bytes) {
  const hex = [...bytes].map((byte, at) => (at === 6 ? (byte & 0x0f) | 0x40 : at === 8 ? (byte & 0x3f) | 0x80 : byte).toString(16).padStart(2, "0"));
  return `2.25.${BigInt(`0x${hex.join("")}`)}`;
}

// The note for these `instances` of a study, both as QIDO-RS gives them. `newUid()` makes a UID; `now` is a Date.
export function rejectionNote(study, instances, value, reason, now, newUid) {
  const copied = (tag, vr) => [tag, element(vr, ...values(study, tag))];
  const there = WHERE_THERE.filter(([tag]) => values(study, tag).length);
  return {
    "00080005": element("CS", "ISO_IR 192"),
    ...Object.fromEntries([...OF_STUDY, ...there].map(([tag, vr]) => copied(tag, vr))),
    "00080016": element("UI", NOTE_CLASS),
    "00080018": element("UI", newUid()),
    [TAG.ContentDate]: element("DA", `${now.getFullYear()}${two(now.getMonth() + 1)}${two(now.getDate())}`),
    [TAG.ContentTime]: element("TM", `${two(now.getHours())}${two(now.getMinutes())}${two(now.getSeconds())}`),
    [TAG.Modality]: element("CS", "KO"),
    "00080070": element("LO", "Gantry"),
    "00081111": element("SQ"),
    "0020000D": element("UI", first(study, TAG.StudyInstanceUID)),
    "0020000E": element("UI", newUid()),
    [TAG.SeriesNumber]: element("IS", 1),
    [TAG.InstanceNumber]: element("IS", 1),
    "0040A040": element("CS", "CONTAINER"),
    "0040A043": element("SQ", code(value, CODES[value].meaning)),
    "0040A050": element("CS", "SEPARATE"),
    "0040A375": element("SQ", evidence(study, instances)),
    "0040A504": element("SQ", { "00080105": element("CS", "DCMR"), "0040DB00": element("CS", "2010") }),
    "0040A730": element("SQ", ...(reason ? [description(reason)] : []), ...instances.map(item)),
  };
}

// Those of a series that somebody names by Instance Number, as "1-3, 7"; all where nothing is named. Raises what is wrong.
export function named(instances, words) {
  if (!words.trim()) return instances;
  const chosen = new Set();
  for (const part of words.split(",").map((one) => one.trim()).filter(Boolean)) {
    const [, from, to = from] = /^(\d{1,9})(?:\s*-\s*(\d{1,9}))?$/.exec(part) || [];
    const found = from ? instances.filter((one) => Number(from) <= Number(text(one, TAG.InstanceNumber) || NaN) && Number(text(one, TAG.InstanceNumber)) <= Number(to)) : [];
    if (!found.length) throw new Error(from ? `there is no image ${part}` : `images are named by number, as 1-3, 7: not ${part}`);
    found.forEach((one) => chosen.add(one));
  }
  return instances.filter((one) => chosen.has(one));
}

const reference = (instance) => ({ "00081150": element("UI", text(instance, "00080016")), "00081155": element("UI", text(instance, TAG.SOPInstanceUID)) });

function evidence(study, instances) {
  const series = new Map();
  for (const instance of instances) {
    const uid = text(instance, TAG.SeriesInstanceUID);
    if (!series.has(uid)) series.set(uid, []);
    series.get(uid).push(reference(instance));
  }
  const referenced = [...series].map(([uid, items]) => ({ "0020000E": element("UI", uid), "00081199": element("SQ", ...items) }));
  return { "0020000D": element("UI", first(study, TAG.StudyInstanceUID)), "00081115": element("SQ", ...referenced) };
}

const description = (reason) => ({ "0040A010": element("CS", "CONTAINS"), "0040A040": element("CS", "TEXT"), "0040A043": element("SQ", code("113012", "Key Object Description")), "0040A160": element("UT", reason) });

function item(instance) {
  const kind = first(instance, TAG.Rows) ? "IMAGE" : text(instance, "00080016").startsWith(WAVEFORMS) ? "WAVEFORM" : "COMPOSITE";
  return { "0040A010": element("CS", "CONTAINS"), "0040A040": element("CS", kind), "00081199": element("SQ", reference(instance)) };
}

// Why a note was not taken, in words, by what the archive answered to it (PS3.18 10.5.3); "" where it was.
export function refusal(answer) {
  const failed = ["00081198", "0008119A"].flatMap((tag) => values(answer, tag))[0];
  const reason = failed && first(failed, "00081197");
  return reason === undefined ? "" : REFUSED[reason] || reasonInWords(reason);
}
