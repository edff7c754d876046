// Images of nobody to try an empty archive with, in the DICOM JSON model: a drawn head (after Shepp and Logan, 1974), as CT
// and as MR. Their UIDs are always the same, so loading them twice changes nothing. Pure.

const SIDE = 128;
const ROOT = "2.25.177650918826415022763925467212003";
const CT = "1.2.840.10008.5.1.4.1.1.2";
const MR = "1.2.840.10008.5.1.4.1.1.4";
// Ellipses, in parts of half the picture: [how bright it makes what it covers, half axes, centre, degrees].
const HEAD = [
  [1, 0.69, 0.92, 0, 0, 0], [-0.8, 0.6624, 0.874, 0, -0.0184, 0], [-0.2, 0.11, 0.31, 0.22, 0, -18], [-0.2, 0.16, 0.41, -0.22, 0, 18], [0.1, 0.21, 0.25, 0, 0.35, 0],
  [0.1, 0.046, 0.046, 0, 0.1, 0], [0.1, 0.046, 0.046, 0, -0.1, 0], [0.1, 0.046, 0.023, -0.08, -0.605, 0], [0.1, 0.023, 0.023, 0, -0.606, 0], [0.1, 0.023, 0.046, 0.06, -0.605, 0],
];
const BONE = 0.9;
const BRAIN = 0.2;
const hounsfield = (v) => Math.round(v >= BONE ? 900 : v <= 0.001 && v > -0.001 ? 0 : 40 + (v - BRAIN) * 200);
const SERIES = [
  { study: 1, uid: 1, kind: CT, modality: "CT", words: "Head, axial", slices: 20, value: (v, inside) => (inside ? hounsfield(v) : -1000) + 1024, more: { "00281050": ["DS", 40], "00281051": ["DS", 160], "00281052": ["DS", -1024], "00281053": ["DS", 1] } },
  { study: 2, uid: 1, kind: MR, modality: "MR", words: "T1, axial", slices: 12, value: (v, inside) => (inside ? Math.round(v >= BONE ? 60 : 150 + v * 900) : 0), more: { "00281050": ["DS", 250], "00281051": ["DS", 500] } },
  { study: 2, uid: 2, kind: MR, modality: "MR", words: "T2, axial", slices: 12, value: (v, inside) => (inside ? Math.round(v >= BONE ? 60 : 700 - v * 1600) : 0), more: { "00281050": ["DS", 350], "00281051": ["DS", 700] } },
];
const PEOPLE = { 1: { name: "Sample^Ada", id: "SAMPLE-1", sex: "F", birth: "19600214", words: "CT of a drawn head" }, 2: { name: "Sample^Bruno", id: "SAMPLE-2", sex: "M", birth: "19751130", words: "MR of a drawn head" } };

// What a point of a slice is like; `z` is from -1 (neck) to 1 (crown).
export function brightness(x, y, z) {
  const wide = Math.sqrt(Math.max(0, 1 - z * z));
  let sum = 0;
  for (const [change, a, b, cx, cy, degrees] of HEAD) {
    const turn = (degrees * Math.PI) / 180;
    const dx = x - cx * wide;
    const dy = y - cy * wide;
    const across = (dx * Math.cos(turn) + dy * Math.sin(turn)) / (a * wide || 1e-9);
    const along = (dy * Math.cos(turn) - dx * Math.sin(turn)) / (b * wide || 1e-9);
    if (across * across + along * along <= 1) sum += change;
  }
  return sum;
}

function pixels({ slices, value }, at) {
  const z = (2 * (at + 0.5)) / slices - 1;
  const wide = Math.sqrt(1 - z * z);
  const bytes = new Uint8Array(2 * SIDE * SIDE);
  for (let place = 0; place < SIDE * SIDE; place += 1) {
    const x = ((place % SIDE) + 0.5) / (SIDE / 2) - 1;
    const y = 1 - (Math.floor(place / SIDE) + 0.5) / (SIDE / 2);
    const inside = (x / (0.69 * wide)) ** 2 + (y / (0.92 * wide)) ** 2 <= 1;
    const stored = Math.max(0, value(brightness(x, y, z), inside));
    bytes[2 * place] = stored & 255;
    bytes[2 * place + 1] = stored >> 8;
  }
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

function object(series, at, day) {
  const person = PEOPLE[series.study];
  const study = `${ROOT}.${series.study}`;
  const all = {
    "00080005": ["CS", "ISO_IR 192"], "00080008": ["CS", "ORIGINAL", "PRIMARY", "AXIAL"], "00080016": ["UI", series.kind], "00080018": ["UI", `${study}.${series.uid}.${at + 1}`],
    "00080020": ["DA", day], "00080030": ["TM", "101500"], "00080050": ["SH", `SAMPLE${series.study}`], "00080060": ["CS", series.modality], "00080070": ["LO", "Gantry"], "00080090": ["PN"],
    "00081030": ["LO", person.words], "0008103E": ["LO", series.words], "00100010": ["PN", { Alphabetic: person.name }], "00100020": ["LO", person.id], "00100030": ["DA", person.birth], "00100040": ["CS", person.sex],
    "00180050": ["DS", 6], "00185100": ["CS", "HFS"], "0020000D": ["UI", study], "0020000E": ["UI", `${study}.${series.uid}`], "00200010": ["SH", `S${series.study}`], "00200011": ["IS", series.uid], "00200013": ["IS", at + 1],
    "00200032": ["DS", -115.2, -115.2, at * 6], "00200037": ["DS", 1, 0, 0, 0, 1, 0], "00200052": ["UI", `${study}.0`], "00201040": ["LO"],
    "00280002": ["US", 1], "00280004": ["CS", "MONOCHROME2"], "00280010": ["US", SIDE], "00280011": ["US", SIDE], "00280030": ["DS", 1.8, 1.8],
    "00280100": ["US", 16], "00280101": ["US", 12], "00280102": ["US", 11], "00280103": ["US", 0], ...series.more,
  };
  const elements = Object.entries(all).map(([tag, [vr, ...values]]) => [tag, values.length ? { vr, Value: values } : { vr }]);
  return { ...Object.fromEntries(elements), "7FE00010": { vr: "OW", InlineBinary: pixels(series, at) } };
}

// The series of samples, each as its objects; `now` is a Date, the day of their studies.
export function* samples(now) {
  const day = now.toISOString().slice(0, 10).replaceAll("-", "");
  for (const series of SERIES) yield Array.from({ length: series.slices }, (_, at) => object(series, at, day));
}

export const STUDIES = Object.keys(PEOPLE).map((number) => `${ROOT}.${number}`);
export const COUNT = SERIES.reduce((sum, { slices }) => sum + slices, 0);
