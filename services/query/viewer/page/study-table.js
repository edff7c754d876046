// The table of studies: only the rows in sight exist, however many match.

import { COLUMNS, fitting, sorted, template, turned } from "./columns.js";
import { h } from "./dom.js";
import { choose, go, list, select, store, studyAddress, uidOf } from "./page.js";
import { StudyRow } from "./study-row.js";
import { stateFor } from "./states.js";

const HEIGHTS = { compact: 28, normal: 36, touch: 48 };
const HEAD = 36;
const BEYOND = 8;
const PHONE = 640;

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
    store.on(["version", "selected", "look", "current", "settings"], () => this.soon());
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
