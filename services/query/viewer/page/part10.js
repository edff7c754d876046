// What the head of a DICOM file says of it (PS3.10 7.1), and what STOW-RS says became of it. Pure.

const LONG = ["OB", "OW", "UN", "SQ", "UT", "OD", "OF", "OL", "OV", "UC", "UR", "SV", "UV"];

// Whether 132 bytes are those of a DICOM file.
export function isDicom(bytes) {
  return String.fromCharCode(...bytes.subarray(128, 132)) === "DICM";
}

// The SOP Instance UID in the file meta information at the beginning of a file; "" where it cannot be read.
export function instanceUid(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 132;
  while (at + 8 <= bytes.length && view.getUint16(at, true) === 2) {
    const element = view.getUint16(at + 2, true);
    const long = LONG.includes(String.fromCharCode(bytes[at + 4], bytes[at + 5]));
    if (long && at + 12 > bytes.length) return "";
    const length = long ? view.getUint32(at + 8, true) : view.getUint16(at + 6, true);
    const start = at + (long ? 12 : 8);
    if (element === 3) return String.fromCharCode(...bytes.subarray(start, start + length)).replace(/[\0 ]+$/, "");
    at = start + length;
  }
  return "";
}

// Files in groups that one request carries. No group has two files of one UID: the answer could not tell them apart.
export function batches(files, { most = 50, bytes = 64 << 20 } = {}) {
  const made = [];
  let size = Infinity;
  let uids = new Set();
  for (const file of files) {
    if (size + file.size > bytes || made.at(-1).length === most || uids.has(file.uid)) {
      made.push([]);
      size = 0;
      uids = new Set();
    }
    made.at(-1).push(file);
    size += file.size;
    if (file.uid) uids.add(file.uid);
  }
  return made;
}

const REASONS = {
  0x0110: "the archive failed: see its log",
  0x0122: "this kind of object is not stored here",
  0x0124: "you are not allowed to store",
  0xa700: "the archive has no room, or its store is away: try again later",
  0xa900: "the object contradicts itself, or belongs to another study",
  0xc000: "this is not a DICOM object that can be read",
};

// The words of a Failure Reason (0008,1197).
export function reasonInWords(reason) {
  return REASONS[reason] || `failure reason ${Number(reason).toString(16).toUpperCase().padStart(4, "0")}H`;
}

const CONFLICT = 0xb111;

const items = (answer, tag) => (answer[tag] && answer[tag].Value) || [];
const value = (item, tag) => items(item, tag)[0];

// PS3.18 10.5.3: what became of each file of a request, in their order: {outcome, reason}; a conflict is stored, and has
// one. `files` have the `uid` of their head; `known` are UIDs that were stored before.
export function outcomes(answer, files, known = new Set()) {
  const stored = new Map(items(answer, "00081199").map((item) => [value(item, "00081155"), value(item, "00081196")]));
  const failed = new Map(items(answer, "00081198").map((item) => [value(item, "00081155"), value(item, "00081197")]));
  const others = items(answer, "0008119A").map((item) => value(item, "00081197"));
  return files.map(({ uid }) => {
    if (stored.get(uid) === CONFLICT) return { outcome: "conflict", reason: "this UID is here with other content; kept aside, the first stays current" };
    if (stored.has(uid)) return { outcome: known.has(uid) ? "there already" : "stored", reason: "" };
    const reason = failed.has(uid) ? failed.get(uid) : others.shift();
    if (reason === undefined) return { outcome: "refused", reason: "the archive does not say what became of it" };
    return { outcome: "refused", reason: reasonInWords(reason) };
  });
}
