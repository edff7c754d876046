// Conflicts as a worklist: SOP Instance UIDs that mean more than one object. Two are compared, one is chosen, either goes.

import { BASE, ask, askJson, search } from "./archive.js";
import { TAG, day, nameParts, text } from "./dicom.js";
import { h, uidButton } from "./dom.js";
import { icon } from "./icons.js";
import { OPERATIONS, Section, act, ago, link, moment, nothing, plural, state, table } from "./op-section.js";
import { askWhy, run } from "./op-reason.js";
import { store } from "./page.js";

const PAGE = 50;
const REASONS = ["The second one is right", "The first one is right", "Sent with a wrong UID", "Test images"];

// What kind of conflict the sides are, in a few words. Pure.
export function kindOf(sides) {
  const places = new Set(sides.map((side) => `${side.study_instance_uid} ${side.series_instance_uid}`)).size;
  const other = sides.some((side) => side.aside);
  if (places > 1) return other ? `in ${places} series, and other bytes` : `in ${places} series`;
  return other ? "other bytes" : "the same bytes";
}

export function stateOf(side) {
  if (side.lost) return ["error", "lost"];
  if (side.current) return ["ok", "current"];
  return side.aside ? ["warning", "aside"] : ["busy", "redundant"];
}

// What the index says of some studies, by UID; what cannot be found out is left out.
async function studies(uids, signal) {
  const asked = new URLSearchParams({ StudyInstanceUID: [...new Set(uids)].join(","), includefield: "StudyDescription", limit: 200 });
  const { items } = await search(`${BASE}/studies?${asked}`, signal).catch((error) => (error.name === "AbortError" ? Promise.reject(error) : { items: [] }));
  return new Map(items.map((study) => [text(study, TAG.StudyInstanceUID), study]));
}

function patient(study) {
  return study ? nameParts(study, TAG.PatientName).main || text(study, TAG.PatientID) || "(no name)" : "";
}

class ConflictsSection extends Section {
  title_ = "Conflicts";

  load([uid = ""], asked, signal) {
    return uid ? this.one(uid, asked, signal) : this.list(Number(asked.get("offset")) || 0, signal);
  }

  async list(offset, signal) {
    const found = await askJson(`${OPERATIONS}/conflicts?limit=${PAGE}&offset=${offset}`, { signal });
    const known = await studies(found.conflicts.flatMap(({ sides }) => sides.map((side) => side.study_instance_uid)), signal);
    this.dispatchEvent(new CustomEvent("count", { bubbles: true, detail: found.count }));
    if (!found.count) return [nothing("No conflicts", "Each SOP Instance UID means one object. An instance that is sent again with other bytes is listed here, and so are two series that have an instance of one UID.")];
    const rows = found.conflicts.map(({ sop_instance_uid: uid, sides }) => {
      const newest = sides.reduce((last, side) => (side.received_ms > last.received_ms ? side : last));
      const study = known.get(sides[0].study_instance_uid);
      return [
        link(`/operations/conflicts/${uid}`, patient(study) || "Study", { class: "row-link", "aria-label": `Compare: ${patient(study)} ${uid}` }),
        [day(text(study || {}, TAG.StudyDate)), text(study || {}, TAG.StudyDescription)].filter(Boolean).join(" · "), kindOf(sides), sides.length,
        newest.sender || "unknown", h("span", { title: moment(newest.received_ms * 1000) }, ago(newest.received_ms * 1000)),
      ];
    });
    const columns = [{ name: "Patient" }, { name: "Study", wide: true, phone: false }, { name: "Conflict" }, { name: "Objects", number: true, phone: false }, { name: "Last from", phone: false }, { name: "Received" }];
    const count = `${plural(found.count, "UID")}${found.complete ? "" : " and more"} ${found.count === 1 ? "means" : "mean"} more than one object`;
    return [h("p", { class: "second", role: "status" }, count), table("Conflicts", columns, rows), this.pages(offset, found.next)];
  }

  pages(offset, next) {
    if (!offset && next === null) return null;
    const to = (from, words) => link(`/operations/conflicts?offset=${from}`, words, { class: "button" });
    return h("nav", { class: "pages", "aria-label": "Pages" }, offset ? to(Math.max(0, offset - PAGE), "Before") : null, next === null ? null : to(next, "After"));
  }

  // ---- one of them

  async one(uid, asked, signal) {
    const back = link("/operations/conflicts", [icon("previous"), "All conflicts"], { class: "button back" });
    let found;
    try {
      found = await askJson(`${OPERATIONS}/conflicts/${encodeURIComponent(uid)}`, { signal });
    } catch (error) {
      if (error.status !== 404) throw error;
      return [h("p", {}, back), nothing("It is not in conflict", "No more than one object has this UID: it was decided, or something of it was deleted.", uid)];
    }
    const { sides } = found;
    const first = sides.find((side) => side.current) || sides[0];
    const others = sides.filter((side) => side !== first);
    const other = others.find((side) => side.receipt === asked.get("with")) || others.find((side) => side.aside) || others[0];
    const known = await studies(sides.map((side) => side.study_instance_uid), signal);
    const comparison = h("div", { class: "op-comparison" }, h("p", { class: "second", role: "status" }, "The objects are read and compared …"));
    this.compare(uid, first, other, comparison, signal);
    return [
      h("div", { class: "op-card-head bare" }, back, uidButton(uid)),
      h("div", { class: "op-sides" }, ...sides.map((side) => this.side(uid, sides, side, { shown: side === first || side === other, first, known }))),
      comparison,
    ];
  }

  side(uid, sides, side, { shown, first, known }) {
    const fact = (name, value) => h("div", {}, h("dt", {}, name), h("dd", {}, value));
    const study = known.get(side.study_instance_uid);
    const alone = sides.filter((one) => one.series_instance_uid === side.series_instance_uid && one.study_instance_uid === side.study_instance_uid);
    const chooses = store.state.mayDelete && !side.lost && alone.some((one) => one.digest !== side.digest);
    const goes = store.state.mayDelete;
    return h("section", { class: "op-card op-side", data: { shown: shown ? "yes" : "" }, "aria-label": `${stateOf(side)[1]}, from ${side.sender || "unknown"}` },
      h("div", { class: "op-card-head" }, state(...stateOf(side)), shown ? null : link(`/operations/conflicts/${uid}?with=${side.receipt}`, "Compare", { class: "button row-link" })),
      h("dl", { class: "op-facts" },
        fact("From", side.sender || "unknown"), fact("Received", moment(side.received_ms * 1000)),
        fact("Patient", study ? link(`/?${new URLSearchParams({ study: side.study_instance_uid })}`, patient(study) || "Study") : "not known"),
        fact("Study", uidButton(side.study_instance_uid)), fact("Series", uidButton(side.series_instance_uid)), fact("Receipt", uidButton(side.receipt))),
      chooses || goes ? h("div", { class: "op-actions" },
        chooses ? h("button", { type: "button", onclick: () => this.choose(uid, side) }, icon("check"), side.current ? "Keep as current" : "Make current") : null,
        goes ? h("button", { type: "button", class: "plain", onclick: () => this.remove(uid, side) }, icon("remove"), "Delete this one") : null) : null);
  }

  async compare(uid, first, other, element, signal) {
    try {
      const asked = new URLSearchParams({ one: first.receipt, other: other.receipt });
      const found = await askJson(`${OPERATIONS}/conflicts/${encodeURIComponent(uid)}/comparison?${asked}`, { signal });
      const kind = found.same_pixels ? "ok" : found.same_pixels === false ? "warning" : "busy";
      const value = (text_) => (text_ === null ? h("span", { class: "second" }, "(absent)") : text_ || h("span", { class: "second" }, "(empty)"));
      const rows = found.differences.map((one) => [one.path, value(one.one), value(one.other)]);
      const head = rows.length ? `${plural(rows.length, "attribute")}${found.more ? " and more" : ""} ${rows.length === 1 ? "differs" : "differ"}` : "No attribute differs";
      element.replaceChildren(h("h3", { class: "large" }, "Compared, as they were received"),
        h("p", {}, state(kind, `Pixels: ${found.pixels}`)), h("p", { class: "second", role: "status" }, head),
        rows.length ? table("Differences", [{ name: "Attribute" }, { name: `Current, from ${first.sender || "unknown"}`, wide: true }, { name: `Other, from ${other.sender || "unknown"}`, wide: true }], rows) : "");
    } catch (error) {
      if (error.name !== "AbortError") element.replaceChildren(h("p", { role: "alert" }, state("error", `They cannot be compared: ${error.message}`)));
    }
  }

  async choose(uid, side) {
    const why = await askWhy({
      title: "Make this one current?", named: [`From ${side.sender || "unknown"}, ${moment(side.received_ms * 1000)}`], name: "Make current", reasons: REASONS,
      words: "Those with other bytes in its series are deleted, and can be restored until the archive's grace time is over.",
    });
    if (why) await this.decide("A conflict is decided", uid, side, "choice", why.reason, (made) => `Current now; ${plural(made.deleted, "other object")} deleted`);
  }

  async remove(uid, side) {
    const why = await askWhy({
      title: "Delete this object?", named: [`From ${side.sender || "unknown"}, ${moment(side.received_ms * 1000)}`], name: "Delete", danger: true, reasons: REASONS,
      words: "The others stay. It can be restored until the archive's grace time is over.",
    });
    if (why) await this.decide("An object in conflict is deleted", uid, side, "removal", why.reason, (made) => `${plural(made.deleted, "object")} deleted`);
  }

  async decide(title, uid, side, what, reason, words) {
    const path = `${BASE}/studies/${side.study_instance_uid}/series/${side.series_instance_uid}/instances/${uid}/restore?${new URLSearchParams({ reason: "Undone on the page" })}`;
    const made = await run(title, () => act(`conflicts/${uid}/${what}`, { reason, body: { receipt: side.receipt } }), words, () => ask(path, { method: "POST", accept: "*/*" }));
    if (made) this.again();
  }
}

customElements.define("op-conflicts", ConflictsSection);
