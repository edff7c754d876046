// The columns of the study table: names, widths, what is sorted by. Pure.

import { TAG, clock, day, text } from "./dicom.js";

// `width` is the least in pixels; `grow` shares what is left. Where there is no room, the highest `last` go first.
export const COLUMNS = [
  { id: "patient", name: "Patient", width: 200, grow: 3, by: ["PatientName"], fixed: true },
  { id: "id", name: "ID", width: 108, by: ["PatientID"], last: 3 },
  { id: "date", name: "Date", width: 156, by: ["StudyDate", "StudyTime"], fixed: true, descending: true },
  { id: "modality", name: "Modality", width: 88, by: ["ModalitiesInStudy"], last: 1 },
  { id: "description", name: "Description", width: 160, grow: 4, by: ["StudyDescription"], last: 2 },
  { id: "accession", name: "Accession", width: 108, by: ["AccessionNumber"], last: 5 },
  { id: "referrer", name: "Referrer", width: 140, grow: 1, by: ["ReferringPhysicianName"], last: 7 },
  { id: "series", name: "Series", width: 64, by: ["NumberOfStudyRelatedSeries"], number: true, last: 6, descending: true },
  { id: "images", name: "Images", width: 72, by: ["NumberOfStudyRelatedInstances"], number: true, last: 4, descending: true },
  { id: "standing", name: "State", width: 112, by: [], last: 2.5 },
];
const CHECKBOX = 40;
const GUTTER = 24;

// Whether these attributes are those of a column.
export function columnNames(attributes) {
  return COLUMNS.some((column) => column.by.length && column.by.join() === attributes.join());
}

// The columns that are chosen and fit into a width.
export function fitting(chosen, width) {
  const found = COLUMNS.filter((column) => column.fixed || chosen.includes(column.id));
  const needed = () => found.reduce((sum, column) => sum + column.width, CHECKBOX + GUTTER);
  while (needed() > width && found.some((column) => !column.fixed)) {
    const least = found.reduce((worst, column) => ((column.last || 0) > (worst.last || 0) ? column : worst));
    found.splice(found.indexOf(least), 1);
  }
  return found;
}

// The `grid-template-columns` of a row.
export function template(columns) {
  const track = (column) => (column.grow ? `minmax(${column.width}px, ${column.grow}fr)` : `${column.width}px`);
  return `${CHECKBOX}px ${columns.map(track).join(" ")}`;
}

// "ascending", "descending" or "none" for a column under an order.
export function sorted(column, sort) {
  if (!column.by.length) return "none";
  if (sort === column.by.join()) return "ascending";
  return sort === column.by.map((name) => `-${name}`).join() ? "descending" : "none";
}

// The order after a click on a column's header: its natural direction first, then the other one.
export function turned(column, sort) {
  const now = sorted(column, sort);
  const down = now === "none" ? Boolean(column.descending) : now === "ascending";
  return column.by.map((name) => (down ? `-${name}` : name)).join();
}

// Studies in an order, for an archive that cannot sort; empty values come last.
export function inSort(studies, sort) {
  const keys = sort.split(",").map((name) => ({ tag: TAG[name.replace("-", "")], sign: name.startsWith("-") ? -1 : 1 }));
  const compare = (a, b) => {
    for (const { tag, sign } of keys) {
      const [x, y] = [text(a, tag), text(b, tag)];
      if (x === y) continue;
      if (!x || !y) return x ? -1 : 1;
      return sign * x.localeCompare(y, undefined, { numeric: true });
    }
    return 0;
  };
  return [...studies].sort(compare);
}

// What a cell of a plain column says.
export function cellText(column, study) {
  if (column.id === "date") return [day(text(study, TAG.StudyDate)), clock(text(study, TAG.StudyTime))].filter(Boolean).join("  ");
  return text(study, TAG[column.by[0]]);
}
