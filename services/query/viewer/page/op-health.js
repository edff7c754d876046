// How the archive is, live: processes, what lags, what was verified and compared, what is kept and how long there is room.

import { authorization } from "./archive.js";
import { readAll } from "./changes.js";
import { h } from "./dom.js";
import { OPERATIONS, Section, ago, link, moment, plural, state, table } from "./op-section.js";
import { size } from "./op-retention.js";

const STATES = { ready: ["ok", "ready"], troubled: ["error", "not ready"], silent: ["warning", "not heard of"] };
const NAMES = { processes: "Processes", lag: "Lag", counts: "Counts", dead_letters: "Dead letters", received: "What was received", verification: "Verification", comparison: "Comparison" };

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
  if (found.unknown.length) return ["error", `Not everything can be found out: ${found.unknown.map(named).join("; ")}`];
  if (found.missing.length) return ["error", `Nobody plays ${found.missing.join(", ")}`];
  if (troubled) return ["error", `${plural(troubled, "process", "processes")} of ${processes.length} ${troubled === 1 ? "is" : "are"} not ready`];
  if (silent) return ["warning", `${plural(silent, "process", "processes")} went without a word`];
  const lag = (found.lag || []).reduce((sum, one) => sum + one.records, 0);
  if (found.dead_letters) return ["warning", `All processes are ready; ${plural(found.dead_letters, "dead letter")} wait for a decision`];
  return lag > 1000 ? ["busy", `All processes are ready; ${plural(lag, "record")} to come`] : ["ok", "All is well"];
}

const named = (line) => line.replace(/^(\w+):/, (all, name) => `${NAMES[name] || name}:`);

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
    const { askJson } = await import("./archive.js");
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
      one.roles.length > 3 ? "all roles" : one.roles.join(", "), h("span", { title: `version ${one.version}` }, one.process),
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

  storage({ processes, received, at }) {
    const perDay = (received || []).reduce((sum, one) => sum + one.week, 0) / 7;
    const rooms = disks(processes || []).map((one) => {
      const days = one.stores.includes("objects") ? daysLeft(one.free, perDay) : null;
      return [one.stores.join(", "), one.host, size(one.size - one.free), size(one.free), days === null ? "" : state(days < 14 ? "error" : days < 60 ? "warning" : "ok", days > 3650 ? "over 10 years" : plural(days, "day"))];
    });
    const growth = (received || []).slice(0, 20).map((one) => [one.ae_title, size(one.today), size(one.week)]);
    return h("section", { class: "op-part" }, h("h3", {}, "Storage"),
      rooms.length ? table("Room", [{ name: "Stores" }, { name: "Host", wide: true }, { name: "Used on the disk", number: true, phone: false }, { name: "Free", number: true }, { name: "Days left" }], rooms) : h("p", { class: "second" }, "The stores do not tell their capacity: look at the bucket's and the brokers' own"),
      growth.length ? h("details", {}, h("summary", {}, `${size(perDay)} a day over the last week, by source`), table("Received by source", [{ name: "AE title", wide: true }, { name: "Today (UTC)", number: true }, { name: "Last 7 days", number: true }], growth),
        h("p", { class: "second" }, "Bytes that came over associations; what came over HTTP is not in it.")) : null);
  }
}

const passTile = ([kind, words]) => (kind ? state(kind, words) : h("span", {}, words));

customElements.define("op-health", HealthSection);
