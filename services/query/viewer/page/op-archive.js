// Sections of Operations about the archive: how it is, what it could not apply, and with whom it speaks.

import { ask, askJson, authorization } from "./archive.js";
import { readAll } from "./changes.js";
import { copy, h, uidButton } from "./dom.js";
import { OPERATIONS, Section, act, ago, askWhy, link, moment, nothing, plural, run, size, state, table } from "./operations.js";
import { store } from "./page.js";

// ---- Health, live: processes, what lags, what was verified and compared, how long there is room.

const STATES = { ready: ["ok", "ready"], troubled: ["error", "not ready"], silent: ["warning", "not heard of"] };

// Days until a store is full at a growth in bytes a day; null where nobody can say. Pure.
export function daysLeft(free, perDay) {
  return perDay > 0 ? Math.floor(free / perDay) : null;
}

// The disks of embedded stores, each once: {host, stores, free, size}. Pure.
export function disks(processes) {
  const found = new Map();
  for (const { host, spaces } of processes.filter((one) => one.state !== "silent")) {
    for (const { store, free, size: whole } of spaces) {
      const key = [...found.keys()].find((one) => found.get(one).host === host && found.get(one).size === whole) || `${host} ${store}`;
      const disk = found.get(key) || { host, stores: [], free, size: whole };
      if (!disk.stores.includes(store)) disk.stores.push(store);
      found.set(key, { ...disk, free: Math.min(disk.free, free) });
    }
  }
  return [...found.values()];
}

// The worst of it in one line: [state, words]. Pure.
export function summary(found) {
  const processes = found.processes || [];
  const troubled = processes.filter((one) => one.state === "troubled").length;
  const silent = processes.filter((one) => one.state === "silent").length;
  if (found.unknown.length) return ["error", `Not everything can be found out: ${found.unknown.join("; ")}`];
  if (found.missing.length) return ["error", `Nobody plays ${found.missing.join(", ")}`];
  if (troubled) return ["error", `${plural(troubled, "process", "processes")} of ${processes.length} ${troubled === 1 ? "is" : "are"} not ready`];
  if (silent) return ["warning", `${plural(silent, "process", "processes")} went without a word`];
  const lag = (found.lag || []).reduce((sum, one) => sum + one.records, 0);
  if (found.dead_letters) return ["warning", `All processes are ready; ${plural(found.dead_letters, "dead letter")} ${found.dead_letters === 1 ? "waits" : "wait"} for a decision`];
  return lag > 1000 ? ["busy", `All processes are ready; ${plural(lag, "record")} to come`] : ["ok", "All is well"];
}

// What a pass over everything came to: [state, words]. Pure.
export function passWords(one, what, now = Date.now()) {
  if (!one) return ["", "not made yet"];
  const wrong = what === "verification" ? one.missing + one.damaged : one.unindexed + one.undecided + one.missing;
  const done = what === "verification" ? `${plural(one.objects, "object")}, ${size(one.bytes)}` : plural(one.events, "event");
  const found = wrong ? `, ${wrong.toLocaleString("en")} ${what === "verification" ? "missing or damaged" : "drifted"}` : "";
  const when = one.finished_at ? `ended ${ago(one.finished_at, now)}` : `under way since ${ago(one.begun_at, now)}`;
  return [wrong ? "error" : one.finished_at ? "ok" : "busy", `${done}${found}; ${when}`];
}

class HealthSection extends Section {
  title_ = "Health";

  connectedCallback() {
    super.connectedCallback();
    if (this.live) return;
    this.live = h("p", { class: "second end", role: "status" });
    this.head.append(this.live);
  }

  // Follows the stream until another section is shown; comes again where it breaks off.
  async show() {
    this.running.abort();
    this.running = new AbortController();
    const { signal } = this.running;
    this.again = () => {};
    for (let wait = 1000; !signal.aborted; wait = Math.min(wait * 2, 30000)) {
      try {
        const response = await fetch(`${OPERATIONS}/health`, { headers: { Accept: "text/event-stream", ...authorization() }, signal });
        if (!response.ok) {
          // The answer in words, as every section has it; a token may be asked for on the way.
          await super.show([], new URLSearchParams());
          return;
        }
        wait = 1000;
        await readAll(response.body, ({ event, data }) => event === "health" && this.take(JSON.parse(data)));
      } catch (error) {
        if (error.name === "AbortError") return;
      }
      this.live.textContent = "Not live: the archive does not answer";
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }

  async load(path, asked, signal) {
    return this.made(await askJson(`${OPERATIONS}/health`, { signal }));
  }

  take(found) {
    this.live.textContent = `Live · ${moment(found.at).slice(11)}`;
    const focused = this.body.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    const open = this.body.querySelector("details")?.open;
    this.body.replaceChildren(...this.made(found).filter(Boolean));
    if (open) this.body.querySelector("details").open = true;
    if (focused) this.body.querySelector(`a[href="${focused}"]`)?.focus();
    this.dispatchEvent(new CustomEvent("counts", { bubbles: true, detail: { letters: found.dead_letters } }));
  }

  made(found) {
    return [h("p", { class: "op-summary" }, state(...summary(found))), this.tiles(found), this.processes(found), this.lag(found), this.storage(found)];
  }

  tiles(found) {
    const counts = found.counts || {};
    const tile = (name, value, href) => h("li", {}, h("span", { class: "second" }, name), href ? link(href, value, { class: "row-link" }) : h("span", {}, value));
    const many = (value) => (value === undefined || value === null ? "not known" : value.toLocaleString("en"));
    const pass = (name, what) => h("li", { class: "broad" }, h("span", { class: "second" }, name), found[what] === undefined ? h("span", {}, "not known") : passTile(passWords(found[what], what)));
    return h("ul", { class: "op-tiles", "aria-label": "The archive" },
      tile("Studies", many(counts.studies)), tile("Instances", many(counts.instances)),
      tile("Kept aside", many(counts.aside), counts.aside ? "/operations/conflicts" : ""), tile("Dead letters", many(found.dead_letters), found.dead_letters ? "/operations/letters" : ""),
      pass("Verification", "verification"), pass("Comparison with the index", "comparison"));
  }

  processes({ processes, at }) {
    if (!processes) return null;
    const rows = processes.map((one) => [
      one.roles.length === 5 ? "all roles" : one.roles.join(", "), h("span", { title: `version ${one.version}` }, one.process),
      state(...STATES[one.state]), one.problems.length ? one.problems.join("; ") : one.state === "silent" ? `since ${ago(one.at, at / 1000)}` : "", one.associations, one.transfers, ago(one.started_at, at / 1000).replace(" ago", ""),
    ]);
    const columns = [{ name: "Roles" }, { name: "Process", phone: false }, { name: "State" }, { name: "Why", wide: true }, { name: "Associations", number: true, phone: false }, { name: "Transfers", number: true, phone: false }, { name: "Running for", number: true, phone: false }];
    return h("section", { class: "op-part" }, h("h3", {}, "Processes, as they report themselves"),
      rows.length ? table("Processes", columns, rows) : h("p", { class: "second" }, "None reported in the last hour: upkeep.report_every is 0, or they have just begun"));
  }

  lag({ lag }) {
    const rows = [...Map.groupBy(lag || [], (one) => one.group)].map(([group, topics]) => {
      const sum = topics.reduce((all, one) => all + one.records, 0);
      const behind = topics.filter((one) => one.records).map((one) => `${one.topic} ${one.records.toLocaleString("en")}`).join(", ");
      return [group, state(sum > 1000 ? "warning" : sum ? "busy" : "ok", sum.toLocaleString("en")), behind || h("span", { class: "second" }, "has read everything")];
    });
    return rows.length ? h("section", { class: "op-part" }, h("h3", {}, "Records that a consumer has not read"), table("Lag", [{ name: "Consumer" }, { name: "Behind" }, { name: "Of which topics", wide: true }], rows)) : null;
  }

  storage({ processes, received, usage }) {
    const perDay = (received || []).reduce((sum, one) => sum + one.week, 0) / 7;
    const rooms = disks(processes || []).map((one) => {
      const days = one.stores.includes("objects") ? daysLeft(one.free, perDay) : null;
      return [one.stores.join(", "), one.host, size(one.size - one.free), size(one.free), days === null ? "" : state(days < 14 ? "error" : days < 60 ? "warning" : "ok", days > 3650 ? "over 10 years" : plural(days, "day"))];
    });
    const growth = (received || []).slice(0, 20).map((one) => [one.ae_title, size(one.today), size(one.week)]);
    const stored = (what, amounts) => table(`Stored, by ${what}`, [{ name: what === "modality" ? "Modality" : "AE title or name", wide: true }, { name: "Instances", number: true }, { name: "Bytes", number: true }],
      Object.entries(amounts).sort((one, other) => other[1][1] - one[1][1]).slice(0, 20).map(([name, [instances, bytes]]) => [name || "not known", instances.toLocaleString("en"), size(bytes)]));
    return h("section", { class: "op-part" }, h("h3", {}, "Storage"),
      rooms.length ? table("Room", [{ name: "Stores" }, { name: "Host", wide: true }, { name: "Used on the disk", number: true, phone: false }, { name: "Free", number: true }, { name: "Days left" }], rooms) : h("p", { class: "second" }, "The stores do not tell their capacity"),
      growth.length ? h("details", {}, h("summary", {}, perDay ? `${size(perDay)} a day over the last week, by source` : "Received by source"), table("Received by source", [{ name: "AE title", wide: true }, { name: "Today (UTC)", number: true }, { name: "Last 7 days", number: true }], growth),
        h("p", { class: "second" }, "What came over HTTP is not in it.")) : null,
      usage?.finished_at ? h("details", {}, h("summary", {}, `${size(usage.bytes)} in ${plural(usage.instances, "instance")}, by modality and source, counted ${ago(usage.finished_at)}`), stored("modality", usage.modalities), stored("source", usage.senders)) : null);
  }
}

const passTile = ([kind, words]) => (kind ? state(kind, words) : h("span", {}, words));

customElements.define("op-health", HealthSection);

// ---- Dead letters: events that a group could not apply. The object is there; the cause is mended, then it is replayed.

const PAGE = 50;
const DECIDED = { open: "error", replayed: "ok", discarded: "busy" };
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
      every ? state(DECIDED[one.state], one.state) : null, one.state === "open" ? this.buttons(one) : "",
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
    const value = (name) => (["study_instance_uid", "sop_instance_uid", "receipt"].includes(name) ? uidButton(letter[name]) : name === "state" ? state(DECIDED[letter.state], letter.state) : String(letter[name]));
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
    const why = await askWhy({ title: "Discard this dead letter?", named: [letter.reason], name: "Discard", danger: true, words: "Its event is not applied. The object that it tells of stays in the object store." });
    if (why && (await run("A dead letter is discarded", () => act(`${path(letter)}/discard`, { reason: why.reason }), () => "Discarded"))) this.again();
  }
}

customElements.define("op-letters", LettersSection);

// ---- Peers: who is configured, when it called last and what went wrong; who was refused; whether a peer answers.

// What to write into the policy so that a caller gets in; null for a title that is none. Pure.
export function allowing({ ae_title: title, address }) {
  return /^[\x20-\x5b\x5d-\x7e]{1,16}$/.test(title) && title.trim() && /^[0-9a-f.:]+$/i.test(address) ? `- {ae_title: ${JSON.stringify(title)}, host: ${JSON.stringify(address)}, may: [echo, store]}` : null;
}

// What a caller that was refused may be let in for: [value, words, permissions].
const ALLOWED = [
  ["store", "Send objects, and have them committed (store, commit, echo)", ["commit", "echo", "store"]],
  ["read", "Search and fetch (find, retrieve, echo)", ["echo", "find", "retrieve"]],
  ["echo", "Nothing but be verified (echo)", ["echo"]],
];
const peerPath = (title) => `${OPERATIONS}/peers/${encodeURIComponent(title)}`;
const because = (reason) => (reason ? `?${new URLSearchParams({ reason })}` : "");

// The entry of a caller, for the API; `choice` is a value of ALLOWED. Pure.
export function entryOf({ address }, choice) {
  return { host: address, may: ALLOWED.find(([value]) => value === choice)[2] };
}

// A peer as it is now removed: if somebody has changed it since it was seen, it stays.
async function removePeer(title, reason, etag) {
  const seen = etag || (await ask(peerPath(title), { accept: "application/json" })).headers.get("ETag") || "";
  return askJson(`${peerPath(title)}${because(reason)}`, { method: "DELETE", conditions: { "If-Match": seen } });
}

class PeersSection extends Section {
  title_ = "Peers";

  async load(path, asked, signal) {
    const found = await askJson(`${OPERATIONS}/peers`, { signal });
    return [this.peers(found), this.refused(found)];
  }

  peers({ peers, ours }) {
    if (!peers.length) return nothing("No peer is configured, and none called", "Peers are those of the policy file, and those that are added here: AE title, address, and what each may.");
    const rows = peers.map((one) => [
      one.known ? h("span", { title: `may ${one.may.join(", ") || "nothing"}` }, one.ae_title, one.source === "api" ? h("span", { class: "second" }, " added") : "") : h("span", {}, one.ae_title, " ", h("span", { class: "second" }, "not configured")),
      one.known ? [one.host && `${one.host}${one.port ? `:${one.port}` : ""}`, ...one.from].filter(Boolean).join(", ") : one.address,
      one.at ? h("span", { title: `${moment(one.at)} from ${one.address}: ${one.outcome}` }, ago(one.at)) : h("span", { class: "second" }, "not in 14 days"),
      one.error ? h("span", { title: moment(one.error_at) }, `${one.error} `, h("span", { class: "second" }, ago(one.error_at))) : "",
      this.buttons(one),
    ]);
    return h("section", { class: "op-part" }, h("p", { class: "second", role: "status" }, `${plural(peers.filter((one) => one.known).length, "configured peer")}; we are ${ours}`),
      table("Peers", [{ name: "AE title" }, { name: "Address", phone: false }, { name: "Last contact" }, { name: "Last error", wide: true }, { name: "" }], rows));
  }

  buttons(one) {
    const test = one.known && one.port && h("button", { type: "button", class: "row-link", "aria-label": `Test ${one.ae_title}`, onclick: (event) => this.test(one, event.currentTarget) }, "Test");
    const remove = one.known && one.source === "api" && h("button", { type: "button", class: "row-link", "aria-label": `Remove ${one.ae_title}`, onclick: () => this.remove(one) }, "Remove");
    if (!test && !remove) return "";
    return h("span", { class: "op-buttons" }, ...[h("output", { class: "second" }), test, remove].filter(Boolean));
  }

  async allow(caller) {
    const title = caller.ae_title;
    const why = await askWhy({ title: `Let ${title} in?`, named: [`${title} from ${caller.address}`], name: "Allow", choices: ALLOWED.map(([value, words]) => [value, words]), words: "It gets in from this address, at every process, within seconds." });
    if (!why) return;
    const body = JSON.stringify(entryOf(caller, why.choice));
    const put = async () => {
      const made = await ask(`${peerPath(title)}${because(why.reason)}`, { accept: "application/json", method: "PUT", body, type: "application/json", conditions: { "If-None-Match": "*" } });
      return { etag: made.headers.get("ETag") };
    };
    if (await run(`${title} is let in`, put, () => why.reason, ({ etag }) => removePeer(title, "taken back", etag))) this.again();
  }

  async remove(peer) {
    const why = await askWhy({ title: `Remove ${peer.ae_title}?`, named: [`${peer.ae_title}: may ${peer.may.join(", ")}`], name: "Remove", danger: true, words: "Its open associations end by themselves; new ones are rejected." });
    if (why && (await run(`${peer.ae_title} is removed`, () => removePeer(peer.ae_title, why.reason), () => why.reason))) this.again();
  }

  refused({ refused }) {
    const head = h("h3", {}, "Refused callers, 14 days");
    if (!refused.length) return h("section", { class: "op-part" }, head, nothing("Nobody was refused", "What the front door rejects itself is in its log."));
    const rows = refused.map((one) => {
      const line = allowing(one);
      const unknown = line && /not known/.test(one.why);
      const offered = unknown ? h("span", { class: "op-buttons" },
        h("button", { type: "button", class: "row-link", "aria-label": `Allow ${one.ae_title}`, onclick: () => this.allow(one) }, "Allow …"),
        h("button", { type: "button", class: "row-link", title: `${line}: into the policy file, below peers`, onclick: (event) => copy(event.currentTarget, line) }, "Copy a rule")) : "";
      return [one.ae_title || h("span", { class: "second" }, "(none)"), one.address, one.called, one.why, one.times, h("span", { title: moment(one.at) }, ago(one.at)), offered];
    });
    return h("section", { class: "op-part" }, head, table("Refused callers", [{ name: "Calling" }, { name: "From" }, { name: "Called", phone: false }, { name: "Why", wide: true }, { name: "Times", number: true, phone: false }, { name: "Last" }, { name: "" }], rows),
      h("p", { class: "second" }, "“Allow” adds a peer to the running archive; “Copy a rule” copies a line for the policy file, below peers: look at what it allows first."));
  }

  async test(peer, button) {
    const output = button.previousElementSibling;
    button.disabled = true;
    output.replaceChildren("calling …");
    try {
      const found = await act(`peers/${encodeURIComponent(peer.ae_title)}/echo`);
      output.replaceChildren(found.ok ? state("ok", `answers (${Math.round(found.seconds * 1000)} ms)`) : state("error", found.why));
      output.title = `called from ${found.called_from}`;
    } catch (error) {
      output.replaceChildren(state("error", error.message));
    }
    button.disabled = false;
    if (store.state.place === "operations" && document.activeElement === document.body) button.focus();
  }
}

customElements.define("op-peers", PeersSection);
