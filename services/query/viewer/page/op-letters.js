// Dead letters: events that a consumer group could not apply. The object is there; the cause is mended, then it is replayed.

import { askJson } from "./archive.js";
import { h, uidButton } from "./dom.js";
import { OPERATIONS, Section, act, ago, link, moment, nothing, plural, state, table } from "./op-section.js";
import { askWhy, run } from "./op-reason.js";

const PAGE = 50;
const REASONS = ["It was sent again", "It cannot be mended", "Test images"];
const STATES = { open: "error", replayed: "ok", discarded: "busy" };
const FACTS = [["state", "State"], ["reason", "Reason"], ["event", "Event"], ["group", "Group"], ["topic", "Topic"], ["offset", "Offset"], ["sender", "From"], ["study_instance_uid", "Study"], ["sop_instance_uid", "Instance"],
  ["receipt", "Receipt"], ["trace", "Trace"], ["decided_by", "Decided by"], ["decided_why", "Why"]];

const path = (letter) => `letters/${encodeURIComponent(letter.id)}`;

// What came of a replay, in words. Pure.
export function outcome({ handled, again }, group) {
  if (again) return `Failed again: ${again.reason}`;
  return handled ? `Handled by ${group}` : `Published; ${group} is behind or not running, and handles it when it can`;
}

class LettersSection extends Section {
  title_ = "Dead letters";

  load([id = ""], asked, signal) {
    return id ? this.one(id, signal) : this.list(asked.get("state") === "all", Number(asked.get("offset")) || 0, signal);
  }

  async list(every, offset, signal) {
    const found = await askJson(`${OPERATIONS}/letters?${new URLSearchParams({ state: every ? "all" : "open", limit: PAGE, offset })}`, { signal });
    this.dispatchEvent(new CustomEvent("count", { bubbles: true, detail: found.open }));
    const other = every ? link("/operations/letters", "Only open ones") : link("/operations/letters?state=all", "Also those that were replayed or discarded");
    if (!found.letters.length) return [nothing(every ? "No dead letters in the last 30 days" : "No open dead letters", "An event that cannot be applied, as one of an object that is missing, is put aside and listed here; its object stays."), every ? null : h("p", {}, other)];
    const rows = found.letters.map((one) => [
      link(`/operations/${path(one)}`, one.id.slice(0, 12), { class: "row-link uid-link", "aria-label": `Dead letter ${one.id}` }),
      h("span", { title: moment(one.failed_at) }, ago(one.failed_at)), one.event || "unreadable", one.group, one.sender || "", one.reason,
      every ? state(STATES[one.state], one.state) : null, one.state === "open" ? this.buttons(one) : "",
    ].filter((cell) => cell !== null));
    const columns = [{ name: "Letter" }, { name: "When" }, { name: "Event", phone: false }, { name: "Group", phone: false }, { name: "From", phone: false }, { name: "Reason", wide: true }, ...(every ? [{ name: "State" }] : []), { name: "" }];
    const to = (from, words) => link(`/operations/letters?${new URLSearchParams({ ...(every ? { state: "all" } : {}), offset: from })}`, words, { class: "button" });
    const open = found.letters.filter((one) => one.state === "open");
    return [
      h("p", { class: "op-line" }, h("span", { class: "second", role: "status" }, every ? `${plural(found.count, "dead letter")}, ${found.open} of them open` : `${plural(found.count, "open dead letter")}`), other,
        open.length > 1 ? h("button", { type: "button", onclick: () => this.replayAll(open) }, `Replay ${open.length === found.open ? "all" : "these"} ${open.length}`) : null),
      table("Dead letters", columns, rows),
      offset || found.next !== null ? h("nav", { class: "pages", "aria-label": "Pages" }, offset ? to(Math.max(0, offset - PAGE), "Newer") : null, found.next === null ? null : to(found.next, "Older")) : null];
  }

  buttons(letter) {
    return h("span", { class: "op-buttons" }, h("button", { type: "button", onclick: () => this.replay(letter) }, "Replay"), h("button", { type: "button", class: "plain", onclick: () => this.discard(letter) }, "Discard …"));
  }

  async one(id, signal) {
    const letter = await askJson(`${OPERATIONS}/letters/${encodeURIComponent(id)}`, { signal });
    const value = (name) => (["study_instance_uid", "sop_instance_uid", "receipt"].includes(name) ? uidButton(letter[name]) : name === "state" ? state(STATES[letter.state], letter.state) : String(letter[name]));
    const facts = FACTS.filter(([name]) => letter[name] !== "").map(([name, words]) => h("div", {}, h("dt", {}, words), h("dd", {}, value(name))));
    facts.splice(2, 0, h("div", {}, h("dt", {}, "Failed"), h("dd", {}, `${moment(letter.failed_at)} (${ago(letter.failed_at)})`)));
    if (letter.decided_at) facts.push(h("div", {}, h("dt", {}, "Decided"), h("dd", {}, moment(letter.decided_at))));
    const where = letter.study_instance_uid ? link(`/operations/where?${new URLSearchParams({ term: letter.study_instance_uid })}`, "Where is its study?", { class: "button row-link" }) : null;
    return [
      h("div", { class: "op-card-head bare" }, link("/operations/letters", "All dead letters", { class: "button back" }), uidButton(letter.id)),
      h("section", { class: "op-card", "aria-label": `Dead letter ${letter.id}` }, h("dl", { class: "op-facts" }, ...facts),
        h("div", { class: "op-actions" }, letter.state === "open" ? this.buttons(letter) : null, where))];
  }

  async replay(letter, again = true) {
    const made = await run(`Replay of a dead letter`, () => act(`${path(letter)}/replay`), (found) => outcome(found, letter.group));
    if (again) this.again();
    return made;
  }

  async replayAll(letters) {
    for (const letter of letters) if (!(await this.replay(letter, false))) break;
    this.again();
  }

  async discard(letter) {
    const why = await askWhy({ title: "Discard this dead letter?", named: [letter.reason], name: "Discard", danger: true, reasons: REASONS, words: "Its event is not applied. The object that it tells of stays in the object store." });
    if (why && (await run("A dead letter is discarded", () => act(`${path(letter)}/discard`, { reason: why.reason }), () => "Discarded"))) this.again();
  }
}

customElements.define("op-letters", LettersSection);
