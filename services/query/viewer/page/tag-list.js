// The attributes of one object, with a box that filters them by number, name or value.

import { dictionary } from "./archive.js";
import { nameInWords } from "./dicom.js";
import { h, say, uidButton } from "./dom.js";

const MOST = 400;

// A flat list of what a data set holds: {tag, vr, name, value, depth}. Pure.
export function flat(data, names, depth = 0) {
  return Object.keys(data).sort().flatMap((tag) => {
    const { vr = "", Value: held = [], BulkDataURI: bulk, InlineBinary: inline } = data[tag];
    const line = { tag: `(${tag.slice(0, 4)},${tag.slice(4)})`, vr, name: names[tag] || "", depth, value: "" };
    if (vr === "SQ") {
      line.value = held.length === 1 ? "1 item" : `${held.length} items`;
      return [line, ...held.flatMap((item) => flat(item || {}, names, depth + 1))];
    }
    line.value = bulk || inline ? "binary" : held.map((value) => shown(value, vr)).join(" \\ ");
    if (vr === "UI") line.meaning = names[line.value] || "";
    return [line];
  });
}

function shown(value, vr) {
  if (value === null || value === undefined) return "";
  return vr === "PN" ? nameInWords(value) : String(value);
}

class TagList extends HTMLElement {
  connectedCallback() {
    if (this.rows) return;
    this.filter = h("input", { type: "search", class: "filter", "aria-label": "Filter tags", placeholder: "Filter by number, name or value", oninput: () => this.draw() });
    this.rows = h("tbody");
    this.count = h("p", { class: "second", role: "status" });
    const heads = ["Tag", "Name", "Value"].map((name) => h("th", { scope: "col" }, name));
    this.append(this.filter, this.count, h("table", { class: "tags" }, h("thead", {}, h("tr", {}, ...heads)), this.rows));
  }

  // `data` is a data set in DICOM JSON, or a promise of one.
  async show(data) {
    this.wanted = data;
    const [found, names] = await Promise.all([data, dictionary().catch(() => ({}))]).catch((error) => [error, {}]);
    if (this.wanted !== data) return;
    this.failed = found instanceof Error ? found : null;
    this.lines = this.failed ? [] : flat(found, names);
    this.draw();
  }

  draw() {
    const wanted = this.filter.value.trim().toLowerCase();
    const lines = (this.lines || []).filter((line) => !wanted || [line.tag, line.tag.replace(/[(),]/g, ""), line.name, line.value, line.meaning].join(" ").toLowerCase().includes(wanted));
    say(this.count, this.failed ? `The tags cannot be shown: ${this.failed.message}` : `${lines.length} of ${(this.lines || []).length} attributes${lines.length > MOST ? `, ${MOST} shown` : ""}`);
    this.rows.replaceChildren(...lines.slice(0, MOST).map((line) => this.row(line)));
  }

  row(line) {
    const value = line.vr === "UI" && line.value ? [uidButton(line.value), line.meaning ? h("span", { class: "second" }, line.meaning) : null] : [line.value];
    return h("tr", { data: { depth: Math.min(line.depth, 4) } },
      h("td", { class: "tag", title: line.vr }, line.tag), h("td", {}, line.name || "—"), h("td", { class: "value" }, ...value));
  }
}

customElements.define("tag-list", TagList);
