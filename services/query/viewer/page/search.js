// What one box understands: `doe jane ct last week acc:A20*` becomes terms, and terms become QIDO-RS parameters. Pure.

export const MODALITIES = (
  "AR AU BDUS BI BMD CR CT DG DMS DOC DX ECG EEG EMG EPS ES GM HC HD IO IVOCT IVUS KER KO LEN LS MG MR NM OAM OCT OP OPM " +
  "OPT OPV OSS OT PLAN PR PT PX REG RESP RF RG RTDOSE RTIMAGE RTPLAN RTRECORD RTSTRUCT RWV SC SEG SM SMR SR SRF STAIN US VA XA XC"
).split(" ");

const FIELDS = {
  name: "name", patient: "name", n: "name",
  id: "id", mrn: "id", pid: "id",
  acc: "accession", accession: "accession",
  mod: "modality", modality: "modality",
  desc: "description", description: "description",
  ref: "referrer", referrer: "referrer",
  date: "date", on: "date", since: "since", from: "since", after: "since", before: "until", until: "until",
  born: "birth", birth: "birth",
  sex: "sex",
  issuer: "issuer",
  uid: "study", study: "study",
};

export const WORDS = {
  name: "Name", id: "ID", accession: "Accession", modality: "Modality", date: "Date", description: "Description",
  referrer: "Referrer", birth: "Born", sex: "Sex", issuer: "Issuer", study: "Study UID",
};

// ---- dates

function stamp(date) {
  const two = (value) => String(value).padStart(2, "0");
  return `${date.getFullYear()}${two(date.getMonth() + 1)}${two(date.getDate())}`;
}

function moved(date, { days = 0, months = 0 }) {
  return new Date(date.getFullYear(), date.getMonth() + months, date.getDate() + days);
}

function week(now, weeks) {
  const monday = moved(now, { days: -((now.getDay() + 6) % 7) + 7 * weeks });
  return [monday, moved(monday, { days: 6 })];
}

function month(now, months) {
  const start = new Date(now.getFullYear(), now.getMonth() + months, 1);
  return [start, moved(start, { months: 1, days: -1 })];
}

function year(now, years) {
  return [new Date(now.getFullYear() + years, 0, 1), new Date(now.getFullYear() + years, 11, 31)];
}

const PHRASES = {
  today: (now) => [now, now],
  yesterday: (now) => [moved(now, { days: -1 }), moved(now, { days: -1 })],
  "this week": (now) => week(now, 0),
  "last week": (now) => week(now, -1),
  "this month": (now) => month(now, 0),
  "last month": (now) => month(now, -1),
  "this year": (now) => year(now, 0),
  "last year": (now) => year(now, -1),
};
const BACK = {
  day: (now, many) => moved(now, { days: 1 - many }),
  week: (now, many) => moved(now, { days: 1 - 7 * many }),
  month: (now, many) => moved(now, { months: -many }),
  year: (now, many) => moved(now, { months: -12 * many }),
};

// A phrase of dates at the start of some words: {range, length}, or null.
function phrase(words, now) {
  for (const length of [3, 2, 1]) {
    const said = words.slice(0, length).join(" ").toLowerCase();
    if (words.length < length) continue;
    if (PHRASES[said]) return { range: PHRASES[said](now).map(stamp), length };
    const back = /^(?:last )?(\d{1,3}) (day|week|month|year)s?$/.exec(said);
    if (back && +back[1] > 0) return { range: [BACK[back[2]](now, +back[1]), now].map(stamp), length };
  }
  return null;
}

// The first and last day that a written date names ("2024", "2024-01", "2024-01-31", "31.01.2024"), or null.
function written(word) {
  const found = /^(\d{4})(?:-(\d\d)(?:-(\d\d))?)?$/.exec(word) || /^(\d{4})(\d\d)(\d\d)$/.exec(word);
  const turned = /^(\d{1,2})\.(\d{1,2})\.(\d{4})$/.exec(word);
  const [y, m, d] = turned ? [turned[3], turned[2], turned[1]] : found ? found.slice(1) : [];
  if (!y || +y < 1880 || +y > 2200) return null;
  const start = new Date(+y, m ? +m - 1 : 0, d ? +d : 1);
  if ((m && start.getMonth() !== +m - 1) || (d && start.getDate() !== +d)) return null;
  const end = d ? start : m ? moved(start, { months: 1, days: -1 }) : new Date(+y, 11, 31);
  return [stamp(start), stamp(end)];
}

// "2024-01..2024-03", "2024-01-31.." and a single date; null for anything else.
function dates(word) {
  const ends = /^(.*?)\.\.(.*)$/.exec(word);
  if (!ends) return written(word);
  const from = ends[1] ? written(ends[1]) : ["", ""];
  const to = ends[2] ? written(ends[2]) : ["", ""];
  return from && to && (ends[1] || ends[2]) ? [from[0], to[1]] : null;
}

// ---- terms

// Words as they are written; what stands between quotation marks is one word.
function split(text) {
  return [...text.matchAll(/(?:[^\s":]+:)?"[^"]*"?|\S+/g)].map((found) => found[0]);
}

function ranged(kind, range, source) {
  return { kind, range, source, value: range[0] === range[1] ? range[0] : `${range[0]}-${range[1]}` };
}

function fielded(kind, value, source, rest, now) {
  if (kind === "date" || kind === "since" || kind === "until" || kind === "birth") {
    const said = PHRASES[value.toLowerCase()] ? phrase([value], now) : phrase([value, ...rest], now);
    const range = said ? said.range : dates(value);
    if (!range) return null;
    const used = said ? said.length - 1 : 0;
    const ends = kind === "since" ? [range[0], ""] : kind === "until" ? ["", range[1]] : range;
    return { term: ranged(kind === "birth" ? "birth" : "date", ends, [source, ...rest.slice(0, used)].join(" ")), used };
  }
  const upper = kind === "modality" || kind === "sex";
  // What stands between quotation marks is the whole value: id:"4711" is not 47110.
  const exact = /^[a-z]+:"/i.test(source) ? { exact: true } : {};
  return value ? { term: { kind, value: upper ? value.toUpperCase() : value, source, ...exact }, used: 0 } : null;
}

function bare(word) {
  if (MODALITIES.includes(word.toUpperCase())) return { kind: "modality", value: word.toUpperCase(), source: word };
  if (/^[0-2](\.\d+){3,}$/.test(word)) return { kind: "study", value: word, source: word };
  const range = dates(word);
  if (range) return ranged("date", range, word);
  return { kind: /\d/.test(word) ? "id" : "name", value: word.replaceAll(",", " ").replaceAll("^", " ").trim(), source: word };
}

function termOf(words, now) {
  const [word, ...rest] = words;
  const named = /^([a-z]+):(.*)$/is.exec(word);
  const kind = named && FIELDS[named[1].toLowerCase()];
  if (kind) return fielded(kind, named[2].replaceAll('"', "").trim(), word, rest, now);
  if (word.startsWith('"')) {
    const value = word.replaceAll('"', "").trim();
    return value ? { term: { kind: "name", value, source: word }, used: 0 } : null;
  }
  const said = phrase(words, now);
  if (said) return { term: ranged("date", said.range, words.slice(0, said.length).join(" ")), used: said.length - 1 };
  const term = bare(word);
  return term.value ? { term, used: 0 } : null;
}

// The terms of a text: {kind, value, source}, dates with their range. `now` is a Date of the reader's own clock.
export function understand(text, now) {
  const words = split(text);
  const found = [];
  for (let at = 0; at < words.length; at += 1) {
    const one = termOf(words.slice(at), now);
    if (!one) continue;
    found.push(one.term);
    at += one.used;
  }
  return found;
}

// ---- parameters

const wild = (word) => (/[*?]/.test(word) ? word : `${word}*`);
const inside = (word) => (/[*?]/.test(word) ? word : `*${word}*`);
const KEYWORDS = {
  id: ["PatientID", wild],
  accession: ["AccessionNumber", wild],
  description: ["StudyDescription", inside],
  sex: ["PatientSex", (value) => value],
  issuer: ["IssuerOfPatientID", (value) => value],
  study: ["StudyInstanceUID", (value) => value],
};

function of(terms, kind) {
  return terms.filter((term) => term.kind === kind);
}

function names(terms, likeSound) {
  const words = terms.flatMap((term) => term.value.split(/\s+/));
  return words.map((word) => (likeSound ? word.replaceAll(/[*?]/g, "") : wild(word))).filter(Boolean).join(" ");
}

function meeting(terms) {
  const from = terms.map((term) => term.range[0]).filter(Boolean).sort().at(-1) || "";
  const to = terms.map((term) => term.range[1]).filter(Boolean).sort()[0] || "";
  return from === to ? from : `${from}-${to}`;
}

// The filters of QIDO-RS as pairs. Words of a name begin words of the stored name, in any order (fuzzymatching, PS3.18
// 8.3.4.2); with `likeSound`, sounding alike is enough.
export function parameters(terms, { likeSound = false } = {}) {
  const found = [];
  for (const [kind, keyword] of [["name", "PatientName"], ["referrer", "ReferringPhysicianName"]]) {
    const value = names(of(terms, kind), likeSound);
    if (value) found.push([keyword, value]);
  }
  if (found.length) found.push(["fuzzymatching", "true"]);
  for (const [kind, [keyword, written]] of Object.entries(KEYWORDS)) {
    const some = of(terms, kind).map((term) => (term.exact ? term.value : written(term.value)));
    if (some.length) found.push([keyword, some.join(kind === "study" ? "," : "\\")]);
  }
  const modalities = of(terms, "modality").map((term) => term.value);
  if (modalities.length) found.push(["ModalitiesInStudy", modalities.join(",")]);
  for (const [kind, keyword] of [["date", "StudyDate"], ["birth", "PatientBirthDate"]]) {
    const some = of(terms, kind);
    if (some.length) found.push([keyword, meeting(some)]);
  }
  return found;
}

// ---- in words

function dashed(value) {
  return value.replace(/^(\d{4})(\d\d)(\d\d)$/, "$1-$2-$3");
}

// What a chip says of a term: [kind in words, value in words].
export function chip(term) {
  if (!term.range) return [WORDS[term.kind], term.value];
  const [from, to] = term.range.map(dashed);
  if (from === to) return [WORDS[term.kind], from];
  return [WORDS[term.kind], from && to ? `${from} to ${to}` : from ? `since ${from}` : `until ${to}`];
}

// The text without one of its terms.
export function without(terms, term) {
  return terms.filter((one) => one !== term).map((one) => one.source).join(" ");
}

function quoted(value) {
  return /\s/.test(value) ? `"${value}"` : value;
}

// The text with a term read as another kind.
function readAs(terms, term, field) {
  const value = term.kind === "modality" ? term.source : term.value;
  return terms.map((one) => (one === term ? `${field}:${quoted(value)}` : one.source)).join(" ");
}

// What could be asked in place of a question that nothing matched: {label, text}.
export function widenings(terms) {
  const found = [];
  for (const term of terms) {
    const value = term.value;
    if (term.kind === "id") found.push({ label: `Accession ${value}`, text: readAs(terms, term, "acc") });
    if (term.kind === "accession") found.push({ label: `ID ${value}`, text: readAs(terms, term, "id") });
    if (term.kind === "name" && !/[*?]/.test(value)) found.push({ label: `Description ${value}`, text: readAs(terms, term, "desc") });
    if (term.kind === "modality" && !term.source.includes(":")) found.push({ label: `Name ${term.source}`, text: readAs(terms, term, "name") });
  }
  if (terms.length > 1) {
    for (const term of terms) found.unshift({ label: `Without ${term.source}`, text: without(terms, term) });
  }
  return found.filter((one, at) => one.text && found.findIndex((other) => other.text === one.text) === at).slice(0, 6);
}

// One line that says what is asked.
export function inWords(terms) {
  return terms.map((term) => chip(term).join(" ")).join(", ");
}
