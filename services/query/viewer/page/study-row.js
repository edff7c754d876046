// One row of the study table: made once, filled again and again while somebody scrolls.

import { cellText } from "./columns.js";
import { TAG, day, family, nameParts, personFacts, text, values } from "./dicom.js";
import { h, say } from "./dom.js";

const COUNTS = (study) => {
  const many = text(study, TAG.NumberOfStudyRelatedInstances);
  return many ? `${many} ${many === "1" ? "image" : "images"}` : "";
};

export function chips(modalities) {
  return modalities.map((modality) => h("span", { class: "chip", data: { family: family(modality) } }, modality));
}

function fillPatient(parts, study, phone) {
  const { main, other } = nameParts(study, TAG.PatientName);
  say(parts.name, main || "(no name)");
  say(parts.other, other);
  const facts = phone ? [text(study, TAG.StudyDescription), COUNTS(study)].filter(Boolean).join(" · ") : personFacts(study);
  say(parts.second, facts);
  const spoken = [main || "no name", other, text(study, TAG.ModalitiesInStudy), day(text(study, TAG.StudyDate)), text(study, TAG.StudyDescription)];
  parts.link.setAttribute("aria-label", spoken.filter(Boolean).join(", "));
}

function fillChips(cell, modalities) {
  const key = modalities.join("\\");
  if (cell.dataset.key === key) return;
  cell.dataset.key = key;
  cell.replaceChildren(...chips(modalities));
}

const FILL = {
  id: (cell, study) => {
    say(cell, text(study, TAG.PatientID));
    const issuer = text(study, TAG.IssuerOfPatientID);
    cell.title = [cell.textContent, issuer && `issued by ${issuer}`].filter(Boolean).join(", ");
  },
  modality: (cell, study) => fillChips(cell, values(study, TAG.ModalitiesInStudy)),
};

export class StudyRow {
  // `address(uid)` is the address of a study's page.
  constructor(columns, phone, address) {
    this.phone = phone;
    this.columns = columns;
    this.address = address;
    this.box = h("input", { type: "checkbox", tabIndex: -1 });
    this.name = h("span", { class: "name" });
    this.other = h("span", { class: "other" });
    this.second = h("span", { class: "second" });
    this.link = h("a", { class: "link", tabIndex: -1, draggable: "false" }, this.name, this.other);
    this.cells = new Map(columns.map((column) => [column.id, this.cell(column)]));
    const check = h("div", { role: "gridcell", class: "check" }, this.box);
    this.element = h("div", { role: "row", class: "row" }, check, ...this.cells.values());
  }

  cell(column) {
    if (column.id === "patient") return h("div", { role: "gridcell", class: "patient" }, this.link, this.second);
    return h("div", { role: "gridcell", class: column.number ? "number" : column.id });
  }

  // Show a study at a place of the list; undefined shows that it is not here yet.
  fill(study, place, { current, selected, looked }) {
    const { element, link, box } = this;
    this.study = study;
    this.place = place;
    element.setAttribute("aria-rowindex", place + 2);
    element.classList.toggle("waiting", !study);
    link.tabIndex = current ? 0 : -1;
    if (!study) return this.empty();
    const uid = text(study, TAG.StudyInstanceUID);
    link.href = this.address(uid);
    element.dataset.study = uid;
    element.setAttribute("aria-selected", String(selected));
    element.classList.toggle("looked", looked);
    box.checked = selected;
    fillPatient(this, study, this.phone);
    box.setAttribute("aria-label", `Select ${this.name.textContent}`);
    for (const column of this.columns) {
      if (column.id !== "patient") this.fillCell(column, this.cells.get(column.id), study);
    }
    return undefined;
  }

  fillCell(column, cell, study) {
    if (this.phone && column.id === "date") return this.fillWhen(cell, study);
    if (FILL[column.id]) return FILL[column.id](cell, study);
    const shown = cellText(column, study);
    say(cell, shown);
    return column.grow ? (cell.title = shown) : undefined;
  }

  fillWhen(cell, study) {
    if (!cell.firstChild) cell.append(h("span", { class: "when" }), h("span", { class: "modalities" }));
    say(cell.firstChild, day(text(study, TAG.StudyDate)));
    fillChips(cell.lastChild, values(study, TAG.ModalitiesInStudy));
  }

  empty() {
    this.link.removeAttribute("href");
    this.link.setAttribute("aria-label", "Loading");
    delete this.element.dataset.study;
    this.element.classList.remove("looked");
    this.element.setAttribute("aria-selected", "false");
    this.box.checked = false;
    this.box.setAttribute("aria-label", "Loading");
    for (const part of [this.name, this.other, this.second]) say(part, "");
    for (const [id, cell] of this.cells) {
      if (id === "patient") continue;
      cell.replaceChildren();
      delete cell.dataset.key;
    }
  }
}
