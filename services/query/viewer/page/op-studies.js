// Sections of Operations about studies.

import { BASE, ask, askJson, search } from "./archive.js";
import { TAG, day, nameParts, text } from "./dicom.js";
import { h, uidButton } from "./dom.js";
import { releaseHold } from "./study-history.js";
import { icon } from "./icons.js";
import { OPERATIONS, Section, act, ago, askWhy, link, moment, nothing, plural, run, size, state, table } from "./operations.js";
import { store, visit } from "./page.js";

// ---- Where is my study?

const HEADINGS = { received: "Received", indexed: "Indexed", committed: "Committed", happened: "Happened", held: "Held", delivered: "Delivered", "sent on": "Sent on", told: "Told", failed: "Failed" };

// The four stations of a study: [name, state, words]. Pure.
export function stations(account) {
  const sum = (list, name) => list.reduce((total, one) => total + one[name], 0);
  const received = sum(account.arrivals, "instances");
  const owed = account.commitments.filter((one) => !one.reported_at).length;
  const refused = account.commitments.filter((one) => one.reported_at && (one.failed || !one.delivered)).length;
  const sent = sum(account.deliveries, "completed");
  const unsent = sum(account.deliveries, "failed");
  const indexed = account.dead.length ? ["error", `${account.dead.length} failed`]
    : account.unread ? ["busy", `${account.unread} to come`]
      : account.lost ? ["error", `${account.lost} lost`]
        : account.searchable ? ["ok", `${account.searchable} found`] : ["warning", account.deleted ? "deleted" : "none"];
  return [
    ["Received", received ? "ok" : "warning", received ? plural(received, "object") : "not known"],
    ["Searchable", ...indexed],
    ["Committed", refused ? "error" : owed ? "busy" : account.commitments.length ? "ok" : "", refused ? "not all" : owed ? "report owed" : account.commitments.length ? "reported" : "not asked"],
    ["Delivered", unsent ? "warning" : sent ? "ok" : "", unsent ? `${unsent} were not` : sent ? plural(sent, "instance") : "to nobody"],
  ];
}

class WhereSection extends Section {
  title_ = "Where is my study?";

  connectedCallback() {
    super.connectedCallback();
    if (this.input) return;
    this.input = h("input", { type: "search", id: "where-term", name: "term", autocomplete: "off", spellcheck: "false", maxLength: 64, placeholder: "Accession number, Patient ID or UID" });
    const form = h("form", { role: "search", class: "op-search", "aria-label": "Where is my study?", onsubmit: (event) => this.submit(event) },
      h("label", { for: "where-term", class: "spoken" }, "Accession number, Patient ID, or UID of a study, a series or an instance"),
      icon("search"), this.input, h("button", { class: "primary" }, "Find"));
    this.head.append(form);
  }

  submit(event) {
    event.preventDefault();
    const term = this.input.value.trim();
    visit(`/operations/where${term ? `?${new URLSearchParams({ term })}` : ""}`);
  }

  async load(path, asked, signal) {
    const term = asked.get("term") || "";
    if (this.input.value.trim() !== term) this.input.value = term;
    if (!term) {
      this.input.focus();
      return [h("p", { class: "op-hint" }, "From whom it came and when, whether it can be found, what became of it and who got it.")];
    }
    const found = await askJson(`${OPERATIONS}/where?${new URLSearchParams({ term })}`, { signal });
    const count = h("p", { class: "second", role: "status" }, found.more ? `The first ${found.accounts.length} studies; ask by a UID or an accession number for others` : plural(found.accounts.length, "study", "studies"), found.merged.length ? ` of ${found.merged.join(", ")}` : "");
    return found.accounts.length ? [count, ...found.accounts.map((one) => this.account(one))] : [this.unknown(term, found)];
  }

  unknown(term, { behind, dead, partly }) {
    return h("div", { class: "message", role: "status" }, h("h3", { class: "large" }, "Nothing is known of it"),
      h("p", {}, `No study, series or instance has ${term} as its UID, accession number or Patient ID.`),
      h("ul", { class: "op-list" },
        behind ? h("li", {}, `The index is ${plural(behind, "record")} behind the log: it may be among these. `, h("button", { type: "button", onclick: () => this.again() }, "Ask again")) : null,
        dead ? h("li", {}, `${plural(dead, "instance")} could not be made searchable: it may be one of them.`) : null,
        partly ? h("li", {}, "There is too much that was deleted or rejected to look through.") : null,
        h("li", {}, "Did its sender reach the archive?")));
  }

  account(account) {
    const uid = account.study_instance_uid;
    const open = account.searchable ? link(`/?${new URLSearchParams({ study: uid })}`, "Open the study", { class: "button row-link" }) : null;
    const groups = Map.groupBy(account.told, (line) => line.of);
    const facts = [...groups].map(([of, lines]) => h("div", {}, h("dt", {}, HEADINGS[of] || of), ...lines.map((line) => h("dd", {}, line.fact))));
    const todo = account.advice.length ? h("div", { class: "op-todo", role: "note" }, icon("warning"), h("ul", {}, ...account.advice.map((step) => h("li", {}, `${step} `, step.includes("gantry conflicts") ? link("/operations/conflicts", "Conflicts") : step.includes("gantry dlq") ? link("/operations/letters", "Dead letters") : null)))) : null;
    return h("section", { class: "op-card", "aria-label": `Study ${uid}` },
      h("div", { class: "op-card-head" }, uidButton(uid), open),
      h("ol", { class: "stations" }, ...stations(account).map(([name, kind, words]) => h("li", {}, h("span", { class: "second" }, name), kind ? state(kind, words) : h("span", { class: "op-state" }, words)))),
      todo, h("dl", { class: "op-facts" }, ...facts, h("div", {}, h("dt", {}, "Audit"), h("dd", {}, link(`/audit/records?${new URLSearchParams({ about: uid, days: "90" })}`, "Who saw it")))));
  }
}

customElements.define("op-where", WhereSection);

// ---- Conflicts as a worklist: UIDs that mean more than one object. Two are compared, one is chosen, either goes.

const CONFLICTS = 50;
const SIDES = ["The second one is right", "The first one is right", "Sent with a wrong UID", "Test images"];

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
    const found = await askJson(`${OPERATIONS}/conflicts?limit=${CONFLICTS}&offset=${offset}`, { signal });
    const known = await studies(found.conflicts.flatMap(({ sides }) => sides.map((side) => side.study_instance_uid)), signal);
    this.dispatchEvent(new CustomEvent("count", { bubbles: true, detail: found.count }));
    if (!found.count) return [nothing("No conflicts", "An instance that is sent again with other bytes is listed here, and so are two series with an instance of one UID.")];
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
    return h("nav", { class: "pages", "aria-label": "Pages" }, offset ? to(Math.max(0, offset - CONFLICTS), "Before") : null, next === null ? null : to(next, "After"));
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
      title: "Make this one current?", named: [`From ${side.sender || "unknown"}, ${moment(side.received_ms * 1000)}`], name: "Make current", reasons: SIDES,
      words: "Those with other bytes in its series are deleted, and can be restored until the archive's grace time is over.",
    });
    if (why) await this.decide("A conflict is decided", uid, side, "choice", why.reason, (made) => `Current now; ${plural(made.deleted, "other object")} deleted`);
  }

  async remove(uid, side) {
    const why = await askWhy({
      title: "Delete this object?", named: [`From ${side.sender || "unknown"}, ${moment(side.received_ms * 1000)}`], name: "Delete", danger: true, reasons: SIDES,
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

// ---- Holds that stand, on studies and on patients, by whom, since when and why; released from here.

const HOLDERS = 25;

class HoldsSection extends Section {
  title_ = "Holds";

  connectedCallback() {
    super.connectedCallback();
    if (this.input) return;
    this.input = h("input", { type: "search", id: "holds-term", autocomplete: "off", spellcheck: "false", maxLength: 64, placeholder: "Patient ID or Study Instance UID" });
    this.head.append(h("form", { role: "search", class: "op-search", "aria-label": "Holds", onsubmit: (event) => this.submit(event) },
      h("label", { for: "holds-term", class: "spoken" }, "Patient ID or Study Instance UID"), icon("search"), this.input, h("button", {}, "Find")));
  }

  submit(event) {
    event.preventDefault();
    const term = this.input.value.trim();
    visit(`/operations/holds${term ? `?${new URLSearchParams({ term })}` : ""}`);
  }

  async load(path, asked, signal) {
    const term = asked.get("term") || "";
    const after = asked.get("after") || "";
    if (this.input.value.trim() !== term) this.input.value = term;
    const found = await askJson(`${OPERATIONS}/holds?${new URLSearchParams({ limit: HOLDERS, ...(term ? { term } : {}), ...(after ? { after } : {}) })}`, { signal });
    if (!found.holds.length) {
      return [term ? nothing("No hold stands on it", `Asked for: ${term}.`) : nothing("Nothing is held", "Holds are placed from the study list, or from a study.")];
    }
    const rows = found.holds.map((one) => [
      one.study_instance_uid ? link(`/?${new URLSearchParams({ study: one.study_instance_uid })}`, one.study_instance_uid, { class: "row-link uid-link" }) : h("span", { title: "Holds on patients are kept as a digest, which names nobody: ask by a Patient ID" }, `A patient (${one.holder.split(":").pop().slice(0, 8)})`),
      one.on, moment(one.at), one.by ?? "not found", one.reason ?? "not found",
      store.state.mayHold ? h("button", { type: "button", onclick: () => this.release(one) }, "Release") : "",
    ]);
    const columns = [{ name: "Held", mono: true }, { name: "On", phone: false }, { name: "Since" }, { name: "By", phone: false }, { name: "Reason", wide: true }, { name: "" }];
    const count = `${plural(found.holds.length, "hold")}${found.next ? " on this page" : ""}`;
    const next = found.next ? link(`/operations/holds?${new URLSearchParams({ after: found.next })}`, "After", { class: "button" }) : null;
    const first = after ? link("/operations/holds", "First", { class: "button" }) : null;
    return [h("p", { class: "second", role: "status" }, count), table("Holds", columns, rows), next || first ? h("nav", { class: "pages", "aria-label": "Pages" }, first, next) : null];
  }

  async release({ holder, hold, on, by, reason }) {
    const words = `On a ${on}${by ? `, by ${by}: ${reason}` : ""}`;
    if (await releaseHold(words, (why) => act("holds/release", { reason: why, body: { holder, hold } }))) this.again();
  }
}

customElements.define("op-holds", HoldsSection);

// ---- Retention: what the rules would let go by a day, as a list. Nothing is deleted here.

const GOING = 50;
const UNITS = { y: "year", m: "month", d: "day" };

// A rule in words. Pure.
export function ruleWords(rule) {
  const keep = rule.keep === "forever" ? "for ever" : `for ${plural(Number(rule.keep.slice(0, -1)), UNITS[rule.keep.at(-1)])}`;
  const since = { study: "from the Study Date", receipt: "from its receipt", access: "from its last access" }[rule.since];
  const which = [...rule.where, rule.sources.length && `from ${rule.sources.join(", ")}`, rule.younger_than && `patients under ${rule.younger_than}`].filter(Boolean).join(", ") || "all studies";
  return `${which}: kept ${keep}${rule.keep === "forever" ? "" : ` ${since}`}, then ${rule.then === "delete" ? "deleted" : "free to be deleted by a person"}`;
}

class RetentionSection extends Section {
  title_ = "Retention";

  connectedCallback() {
    super.connectedCallback();
    if (this.input) return;
    this.input = h("input", { type: "date", id: "retention-by", required: true, onchange: () => this.ask() });
    this.head.append(h("label", { class: "op-field", for: "retention-by" }, "What would go by", this.input));
  }

  ask() {
    if (this.input.value) visit(`/operations/retention?${new URLSearchParams({ by: this.input.value })}`);
  }

  async load(path, asked, signal) {
    const [by, cursor] = [asked.get("by") || "", asked.get("cursor") || ""];
    const found = await askJson(`${OPERATIONS}/retention?${new URLSearchParams({ limit: GOING, ...(by ? { by } : {}), ...(cursor ? { cursor } : {}) })}`, { signal });
    if (document.activeElement !== this.input) this.input.value = found.by;
    const rules = h("details", { class: "op-rules", open: found.rules.length < 4 }, h("summary", {}, plural(found.rules.length, "rule")), h("dl", { class: "op-facts" }, ...found.rules.map((rule) => h("div", {}, h("dt", {}, rule.name), h("dd", {}, ruleWords(rule))))));
    if (!found.rules.some((rule) => rule.then === "delete")) {
      return [nothing("Nothing goes by itself", "No rule in lifecycle.retention says then: delete."), found.rules.length ? rules : null];
    }
    const rows = found.studies.map((one) => [
      link(`/?${new URLSearchParams({ study: one.study })}`, one.study, { class: "row-link uid-link" }), one.rule, one.until, one.instances.toLocaleString("en"), size(one.bytes),
      one.holds ? state("warning", "held, stays") : state("ok", "goes"),
    ]);
    const columns = [{ name: "Study Instance UID", mono: true, wide: true }, { name: "Rule" }, { name: "Kept until" }, { name: "Images", number: true, phone: false }, { name: "Size", number: true, phone: false }, { name: "State" }];
    const page = (more, words) => link(`/operations/retention?${new URLSearchParams({ by: found.by, ...more })}`, words, { class: "button" });
    const looked = `${found.studies.length} of ${plural(found.examined, "study", "studies")} that ${found.examined === 1 ? "was" : "were"} looked at${found.next ? "; there are more to look at" : ""}`;
    return [rules, h("p", { class: "second", role: "status" }, `By ${found.by}: ${looked}. This is a list; nothing is deleted here.`),
      rows.length ? table("What retention would let go", columns, rows) : nothing("Nothing of these goes by then"),
      found.next || cursor ? h("nav", { class: "pages", "aria-label": "Pages" }, cursor ? page({}, "First") : null, found.next ? page({ cursor: found.next }, "After") : null) : null];
  }
}

customElements.define("op-retention", RetentionSection);
