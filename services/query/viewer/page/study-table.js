// The table of studies: only the rows in sight exist, however many match.

import { COLUMNS, cellText, fitting, sorted, template, turned } from "./columns.js";
import { TAG, day, family, nameParts, personFacts, text, values } from "./dicom.js";
import { h, say } from "./dom.js";
import { icon } from "./icons.js";
import { choose, go, list, select, store, studyAddress, uidOf } from "./page.js";
import { stateFor } from "./states.js";

const HEIGHTS = { compact: 28, normal: 36, touch: 48 };
const HEAD = 36;
const BEYOND = 8;
const PHONE = 640;

// ---- one row: made once, filled again and again while somebody scrolls

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
  const states = inWords(statesOf(study));
  const facts = phone ? [states, text(study, TAG.StudyDescription), COUNTS(study)].filter(Boolean).join(" · ") : personFacts(study);
  say(parts.second, facts);
  const spoken = [main || "no name", other, text(study, TAG.ModalitiesInStudy), day(text(study, TAG.StudyDate)), text(study, TAG.StudyDescription), states];
  parts.link.setAttribute("aria-label", spoken.filter(Boolean).join(", "));
}

// As many as there is room for.
function fillChips(cell, modalities) {
  const key = modalities.join(", ");
  if (cell.dataset.key === key) return;
  cell.dataset.key = key;
  cell.title = key;
  const shown = modalities.length > 2 ? [...modalities.slice(0, 1), `+${modalities.length - 1}`] : modalities;
  cell.replaceChildren(...chips(shown));
}

// What stands out of a study: an icon and a word each, so that it is no matter of colour.
export const STATES = { arriving: ["busy", "Arriving"], conflict: ["warning", "Conflict"], rejected: ["error", "Rejected"], held: ["hold", "Held"] };
const statesOf = (study) => store.state.states.get(uidOf(study)) || [];
const inWords = (names) => names.map((name) => STATES[name][1]).join(", ");

// The first one in words, the others as icons.
function fillStanding(cell, study) {
  const names = statesOf(study);
  const key = names.join();
  if (cell.dataset.key === key) return;
  cell.dataset.key = key;
  cell.title = inWords(names);
  cell.replaceChildren(...names.map((name, at) => h("span", { class: "stands", data: { state: name } }, icon(STATES[name][0]), h("span", { class: at ? "spoken" : "" }, STATES[name][1]))));
}

const FILL = {
  standing: fillStanding,
  id: (cell, study) => {
    say(cell, text(study, TAG.PatientID));
    const issuer = text(study, TAG.IssuerOfPatientID);
    cell.title = [cell.textContent, issuer && `issued by ${issuer}`].filter(Boolean).join(", ");
  },
  modality: (cell, study) => fillChips(cell, values(study, TAG.ModalitiesInStudy)),
};

class StudyRow {
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

// ---- the table

class StudyTable extends HTMLElement {
  connectedCallback() {
    this.rows = new Map();
    this.spare = [];
    this.head = h("div", { role: "rowgroup", class: "head" });
    this.body = h("div", { role: "rowgroup", class: "body" });
    this.grid = h("div", { role: "grid", "aria-label": "Studies", "aria-multiselectable": "true", class: "grid" }, this.head, this.body);
    this.scroller = h("div", { class: "scroller", id: "scroller", tabIndex: -1 }, this.grid);
    this.state = h("div", { class: "state", hidden: true });
    this.skeleton = h("div", { class: "skeleton", "aria-hidden": "true" }, ...Array.from({ length: 14 }, () => h("div", {}, h("i"), h("i"), h("i"))));
    this.append(this.scroller, this.skeleton, this.state);
    this.scroller.addEventListener("scroll", () => this.draw(), { passive: true });
    this.body.addEventListener("click", (event) => this.clicked(event));
    this.body.addEventListener("dblclick", (event) => this.opened(event));
    this.body.addEventListener("focusin", (event) => this.focused(event));
    new ResizeObserver(() => this.resize()).observe(this);
    store.on(["columns", "density", "sort"], () => this.layOut());
    store.on(["version", "selected", "states", "look", "current", "settings", "mayOverride"], () => this.soon());
    this.layOut();
  }

  resize() {
    const width = this.clientWidth;
    if (width && (width !== this.width || !this.columns)) this.layOut();
    else this.draw();
  }

  // Columns and heights anew; the rows that were made are of no use then.
  layOut() {
    const focused = this.hasFocus;
    this.width = this.clientWidth;
    this.phone = this.width > 0 && this.width < PHONE;
    const shown = this.phone ? COLUMNS.filter((column) => ["patient", "date"].includes(column.id)) : fitting(store.state.columns, this.width || 1200);
    this.height = HEIGHTS[this.phone ? "touch" : store.state.density] || HEIGHTS.normal;
    this.columns = shown;
    this.toggleAttribute("data-phone", this.phone);
    this.dataset.density = this.phone ? "touch" : store.state.density;
    this.style.setProperty("--columns", this.phone ? "40px minmax(0, 1fr) 96px" : template(shown));
    this.style.setProperty("--row", `${this.height}px`);
    this.grid.setAttribute("aria-colcount", shown.length + 1);
    this.head.replaceChildren(this.headRow());
    for (const row of this.rows.values()) row.element.remove();
    this.rows.clear();
    this.spare = [];
    this.draw();
    if (focused) this.focusRow();
  }

  headRow() {
    this.all = h("input", { type: "checkbox", "aria-label": "Select all that are loaded", onchange: () => this.selectAll() });
    const cell = (column) => {
      const direction = sorted(column, store.state.sort);
      if (!column.by.length) return h("div", { role: "columnheader", class: "unsorted" }, column.name);
      const button = h("button", { type: "button", class: "sort", onclick: () => this.sortBy(column) }, h("span", {}, column.name));
      return h("div", { role: "columnheader", "aria-sort": direction, class: column.number ? "number" : "" }, button);
    };
    return h("div", { role: "row", class: "row", "aria-rowindex": 1 }, h("div", { role: "columnheader", class: "check" }, this.all), ...this.columns.map(cell));
  }

  sortBy(column) {
    go({ sort: turned(column, store.state.sort) });
    this.head.querySelector(`[role=columnheader]:nth-child(${this.columns.indexOf(column) + 2}) button`).focus();
  }

  selectAll() {
    const loaded = [...list.pages.values()].flatMap((page) => page.items);
    select(loaded, this.all.checked);
  }

  soon() {
    this.asked ||= requestAnimationFrame(() => {
      this.asked = 0;
      this.draw();
    });
  }

  draw() {
    if (this.searched !== list.pages) this.begin();
    const { total } = list;
    const shown = list.ready && !list.error && total > 0;
    this.skeleton.hidden = Boolean(list.ready);
    this.setAttribute("aria-busy", String(Boolean(list.busy)));
    this.scroller.hidden = !shown;
    this.showState(shown);
    this.grid.setAttribute("aria-rowcount", list.exact ? total + 1 : -1);
    this.body.style.height = `${total * this.height}px`;
    if (!shown) return;
    const top = this.scroller.scrollTop;
    const from = Math.max(0, Math.floor(top / this.height) - BEYOND);
    const to = Math.min(total, Math.ceil((top + this.scroller.clientHeight) / this.height) + BEYOND);
    this.retire(from, to);
    for (let place = from; place < to; place += 1) this.put(place);
    for (const row of this.spare) row.element.remove();
    if (!list.exact && to === total) list.at(total);
    this.dispatchEvent(new CustomEvent("sight", { detail: [...this.rows.values()].filter((row) => row.study).map((row) => uidOf(row.study)) }));
    const { size } = store.state.selected;
    this.all.checked = size > 0;
    this.all.indeterminate = size > 0 && size < total;
  }

  // Another list is shown than before: from its top.
  begin() {
    this.searched = list.pages;
    this.scroller.scrollTop = 0;
    this.anchor = undefined;
    const at = list.uids.get(store.state.look) ?? 0;
    store.set({ current: at });
    if (at) this.reveal(at);
  }

  showState(shown) {
    const state = shown || !list.ready ? null : stateFor(list, store.state);
    this.state.hidden = !state;
    if (!state) this.state.replaceChildren();
    else if (this.state.dataset.key !== state.key || !this.state.firstChild) this.state.replaceChildren(state.make());
    this.state.dataset.key = state ? state.key : "";
  }

  retire(from, to) {
    for (const [place, row] of this.rows) {
      const kept = (place >= from && place < to) || (place < list.total && row.element.contains(document.activeElement));
      if (kept) continue;
      this.rows.delete(place);
      this.spare.push(row);
    }
  }

  put(place) {
    let row = this.rows.get(place);
    if (!row) {
      row = this.spare.pop() || new StudyRow(this.columns, this.phone, studyAddress);
      this.rows.set(place, row);
      row.element.style.transform = `translateY(${place * this.height}px)`;
      if (!row.element.isConnected) this.body.append(row.element);
    }
    const study = list.at(place);
    const { selected, look, current } = store.state;
    const uid = study && uidOf(study);
    row.fill(study, place, { current: place === current, selected: selected.has(uid), looked: Boolean(uid) && uid === look });
  }

  rowOf(event) {
    const element = event.target.closest(".row");
    return element && [...this.rows.values()].find((row) => row.element === element);
  }

  clicked(event) {
    const row = this.rowOf(event);
    if (!row || !row.study || event.button || event.ctrlKey || event.metaKey) return;
    const box = event.target === row.box || event.target.classList.contains("check");
    if (event.shiftKey) {
      event.preventDefault();
      this.selectTo(row.place);
      return;
    }
    this.anchor = row.place;
    if (box) {
      select([row.study], !store.state.selected.has(uidOf(row.study)));
      store.set({ current: row.place });
    } else {
      event.preventDefault();
      this.focusRow(row.place);
      go({ look: uidOf(row.study) }, { push: !store.state.look });
    }
  }

  opened(event) {
    const row = this.rowOf(event);
    if (row && row.study && event.target !== row.box) go({ look: "", study: uidOf(row.study), series: "" }, { push: true });
  }

  focused(event) {
    const row = this.rowOf(event);
    if (row && row.place !== store.state.current) store.set({ current: row.place });
  }

  // Everything from the row that was clicked before to another one.
  selectTo(place) {
    const anchor = Math.min(this.anchor ?? place, list.total - 1);
    const [from, to] = [Math.min(anchor, place), Math.max(anchor, place)];
    const some = [];
    for (let at = from; at <= to; at += 1) if (list.at(at)) some.push(list.at(at));
    select(some, true);
    this.focusRow(place);
  }

  reveal(place) {
    const { scroller, height } = this;
    const top = place * height;
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    else if (top + height + HEAD > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = top + height + HEAD - scroller.clientHeight;
  }

  // Give a row the keyboard, and show it.
  focusRow(place = store.state.current) {
    if (!list.total) return;
    const at = Math.min(Math.max(place, 0), list.total - 1);
    store.set({ current: at });
    this.anchor ??= at;
    this.reveal(at);
    this.draw();
    this.rows.get(at)?.link.focus({ preventScroll: true });
  }

  get pageSize() {
    return Math.max(1, Math.floor((this.scroller.clientHeight - HEAD) / this.height) - 1);
  }

  get hasFocus() {
    return this.body.contains(document.activeElement);
  }
}

export function choosingColumns() {
  const toggle = (id) => {
    const { columns } = store.state;
    choose("columns", columns.includes(id) ? columns.filter((one) => one !== id) : [...columns, id]);
  };
  return COLUMNS.filter((column) => !column.fixed).map((column) => h("label", {},
    h("input", { type: "checkbox", checked: store.state.columns.includes(column.id), onchange: () => toggle(column.id) }), column.name));
}

customElements.define("study-table", StudyTable);
