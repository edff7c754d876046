// DICOM JSON (PS3.18 Annex F) as people read it. Pure.

export const TAG = {
  StudyDate: "00080020",
  SeriesDate: "00080021",
  AcquisitionDate: "00080022",
  ContentDate: "00080023",
  AcquisitionDateTime: "0008002A",
  StudyTime: "00080030",
  SeriesTime: "00080031",
  AcquisitionTime: "00080032",
  ContentTime: "00080033",
  InstanceCreationDate: "00080012",
  InstanceCreationTime: "00080013",
  SOPClassUID: "00080016",
  SOPInstanceUID: "00080018",
  AccessionNumber: "00080050",
  Modality: "00080060",
  ModalitiesInStudy: "00080061",
  ReferringPhysicianName: "00080090",
  StudyDescription: "00081030",
  SeriesDescription: "0008103E",
  PatientName: "00100010",
  PatientID: "00100020",
  IssuerOfPatientID: "00100021",
  PatientBirthDate: "00100030",
  PatientSex: "00100040",
  Confidentiality: "00403001",
  StudyInstanceUID: "0020000D",
  SeriesInstanceUID: "0020000E",
  SeriesNumber: "00200011",
  InstanceNumber: "00200013",
  NumberOfStudyRelatedSeries: "00201206",
  NumberOfStudyRelatedInstances: "00201208",
  NumberOfSeriesRelatedInstances: "00201209",
  NumberOfFrames: "00280008",
  Rows: "00280010",
  Columns: "00280011",
  BitsStored: "00280101",
  WindowCenter: "00281050",
  WindowWidth: "00281051",
  RescaleIntercept: "00281052",
  RescaleSlope: "00281053",
};

export function values(item, tag) {
  return (item && item[tag] && item[tag].Value) || [];
}

// The first value of an attribute, as it came; undefined where there is none.
export function first(item, tag) {
  const value = values(item, tag)[0];
  return value === null ? undefined : value;
}

// A number, or undefined.
export function number(item, tag) {
  const value = first(item, tag);
  return value === undefined || value === "" || Number.isNaN(Number(value)) ? undefined : Number(value);
}

// All values of an attribute as one line.
export function text(item, tag) {
  return values(item, tag).map(shown).filter(Boolean).join(", ");
}

function shown(value) {
  if (value === null || value === undefined) return "";
  return typeof value === "object" ? nameInWords(value) : String(value);
}

// PS3.5 6.2.1: family^given^middle^prefix^suffix, in up to three scripts.
export function nameInWords(value) {
  const alphabetic = group(value.Alphabetic, (family, given) => [family.toLocaleUpperCase(), given].filter(Boolean).join(", "));
  const ideographic = group(value.Ideographic, (family, given) => [family, given].filter(Boolean).join(" "));
  return [alphabetic, ideographic].filter(Boolean).join(" ") || (value.Phonetic || "").replaceAll("^", " ").trim();
}

function group(written, join) {
  const [family = "", given = "", middle = ""] = (written || "").split("^").map((part) => part.trim());
  return join(family, [given, middle].filter(Boolean).join(" "));
}

// The name of an attribute in two parts: what is read first, and the same name in other characters.
export function nameParts(item, tag) {
  const value = first(item, tag);
  if (value === undefined || typeof value !== "object") return { main: value ? String(value) : "", other: "" };
  const main = nameInWords({ Alphabetic: value.Alphabetic });
  const other = nameInWords({ Ideographic: value.Ideographic });
  return main ? { main, other } : { main: other || nameInWords(value), other: "" };
}

// "20240131" as "2024-01-31"; anything else as it is.
export function day(value) {
  return /^\d{8}$/.test(value || "") ? `${value.slice(0, 4)}-${value.slice(4, 6)}-${value.slice(6)}` : value || "";
}

// "101500.25" as "10:15".
export function clock(value) {
  const found = /^(\d\d):?(\d\d)/.exec(value || "");
  return found ? `${found[1]}:${found[2]}` : "";
}

// How old somebody was on a day: "34 y", "14 mo", "9 d"; "" where a date is missing or wrong.
export function age(birth, on) {
  const [from, to] = [birth, on].map(asDate);
  if (!from || !to || to < from) return "";
  const before = (a, b) => (a.getUTCDate() < b.getUTCDate() ? 1 : 0);
  const months = (to.getUTCFullYear() - from.getUTCFullYear()) * 12 + to.getUTCMonth() - from.getUTCMonth() - before(to, from);
  if (months >= 24) return `${Math.floor(months / 12)} y`;
  return months >= 2 ? `${months} mo` : `${Math.round((to - from) / 86400000)} d`;
}

function asDate(value) {
  const found = /^(\d{4})(\d\d)(\d\d)$/.exec(value || "");
  return found ? new Date(Date.UTC(+found[1], +found[2] - 1, +found[3])) : null;
}

// Birth date, age at the study, and sex: what stands beneath a name.
export function personFacts(study) {
  const birth = text(study, TAG.PatientBirthDate);
  return [day(birth), age(birth, text(study, TAG.StudyDate)), text(study, TAG.PatientSex)].filter(Boolean).join(" · ");
}

const FAMILIES = {
  ct: "CT",
  mr: "MR",
  us: "US IVUS",
  xray: "CR DX RF XA MG DR IO PX RG XC BMD",
  nm: "NM PT ST",
  plan: "RTSTRUCT RTPLAN RTDOSE RTIMAGE SEG REG",
};

// The family that gives a modality its colour.
export function family(modality) {
  return Object.keys(FAMILIES).find((name) => FAMILIES[name].split(" ").includes(modality)) || "other";
}

// By a number, then by UID; items without a number come last.
export function inOrder(items, numberTag, uidTag) {
  const place = (item) => number(item, numberTag) ?? Infinity;
  const byUid = (a, b) => text(a, uidTag).localeCompare(text(b, uidTag), "en", { numeric: true });
  return [...items].sort((a, b) => (place(a) === place(b) ? byUid(a, b) : place(a) - place(b)));
}

const MOMENTS = [
  ["Acquired", TAG.AcquisitionDate, TAG.AcquisitionTime],
  ["Image made", TAG.ContentDate, TAG.ContentTime],
  ["Object written", TAG.InstanceCreationDate, TAG.InstanceCreationTime],
];

// What the dates of a study, its series and one object say, earliest first: {date, time, what}.
export function timeline(study, series, object) {
  const moment = (what, item, date, time) => ({ what, date: day(text(item, date)), time: clock(text(item, time)) });
  const found = [
    moment("Study began", study, TAG.StudyDate, TAG.StudyTime),
    ...series.map((one) => moment(`Series ${text(one, TAG.SeriesNumber) || "without number"} began`, one, TAG.SeriesDate, TAG.SeriesTime)),
    ...MOMENTS.map(([what, date, time]) => moment(`${what} (image shown)`, object, date, time)),
  ];
  const key = (one) => `${one.date} ${one.time}`;
  return found.filter((one) => one.date).sort((a, b) => key(a).localeCompare(key(b)));
}
