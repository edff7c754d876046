// What the sections of Operations say, without a page around them.
import assert from "node:assert/strict";
import { test } from "node:test";

const nothing = () => new Proxy(function () {}, { get: (_, name) => (name === Symbol.toPrimitive ? () => "" : nothing()), apply: () => nothing(), construct: () => nothing() });
for (const name of ["document", "customElements", "location", "history", "matchMedia", "localStorage", "sessionStorage", "addEventListener"]) {
  if (!(name in globalThis) || name.endsWith("Storage")) Object.defineProperty(globalThis, name, { value: nothing(), configurable: true, writable: true });
}
globalThis.window = globalThis;
globalThis.HTMLElement = class {};

const from = (name) => import(`../../../../../../services/query/viewer/page/${name}.js`);
const { ago, moment, plural, size } = await from("operations");
const { allowing, daysLeft, disks, entryOf, outcome, passWords, summary } = await from("op-archive");
const { health, next, words } = await from("op-routes");
const { kindOf, ruleWords, stateOf, stations } = await from("op-studies");

const WELL = { processes: [{ state: "ready" }], unknown: [], missing: [], lag: [], dead_letters: 0 };

test("numbers, sizes and times as people read them", () => {
  assert.deepEqual([plural(1, "study", "studies"), plural(1200, "object")], ["1 study", "1,200 objects"]);
  assert.deepEqual([size(null), size(999), size(1500), size(99_960_000), size(2e15)], ["", "999 B", "1.5 kB", "100 MB", "2.0 PB"]);
  assert.equal(moment(1_700_000_000_000_000), "2023-11-14 22:13:20Z");
  const now = 1_700_000_000_000;
  assert.deepEqual([0, 30, 90, 7200, 200_000].map((s) => ago((now / 1000 - s) * 1e6, now)), ["just now", "30 seconds ago", "1 minute ago", "2 hours ago", "2 days ago"]);
});

test("the worst of everything is said first", () => {
  assert.deepEqual(summary(WELL), ["ok", "All is well"]);
  assert.equal(summary({ ...WELL, unknown: ["lag"], missing: ["query"] })[1], "Not everything can be found out: lag");
  assert.deepEqual(summary({ ...WELL, missing: ["query"] }), ["error", "Nobody plays query"]);
  assert.equal(summary({ ...WELL, processes: [{ state: "troubled" }, { state: "silent" }] })[1], "1 process of 2 is not ready");
  assert.equal(summary({ ...WELL, processes: [{ state: "silent" }] })[0], "warning");
  assert.equal(summary({ ...WELL, dead_letters: 2 })[0], "warning");
  assert.equal(summary({ ...WELL, lag: [{ records: 2000 }] })[0], "busy");
});

test("a disk that several processes tell of is one disk, and nobody knows how long it lasts without growth", () => {
  const space = (store, free) => ({ store, free, size: 100 });
  const found = disks([
    { host: "a", state: "ready", spaces: [space("objects", 50), space("log", 50)] },
    { host: "a", state: "ready", spaces: [space("objects", 40)] },
    { host: "b", state: "silent", spaces: [space("objects", 1)] },
  ]);
  assert.deepEqual(found, [{ host: "a", stores: ["objects", "log"], free: 40, size: 100 }]);
  assert.deepEqual([daysLeft(1000, 100), daysLeft(1000, 0)], [10, null]);
});

test("a pass says what it found, and whether it has ended", () => {
  const now = 1_700_000_000_000;
  const at = (now / 1000 - 60) * 1e6;
  const verified = { objects: 3, bytes: 1500, missing: 0, damaged: 0, begun_at: at, finished_at: at };
  assert.deepEqual(passWords(null, "verification"), ["", "not made yet"]);
  assert.deepEqual(passWords(verified, "verification", now), ["ok", "3 objects, 1.5 kB; ended 1 minute ago"]);
  assert.deepEqual(passWords({ ...verified, damaged: 1, finished_at: 0 }, "verification", now), ["error", "3 objects, 1.5 kB, 1 missing or damaged; under way since 1 minute ago"]);
  assert.equal(passWords({ events: 2, unindexed: 1, undecided: 0, missing: 0, begun_at: at, finished_at: at }, "comparison", now)[0], "error");
});

test("what came of a replay", () => {
  assert.equal(outcome({ handled: true }, "indexer"), "Handled by indexer");
  assert.equal(outcome({ again: { reason: "still so" } }, "indexer"), "Failed again: still so");
  assert.match(outcome({ handled: false }, "indexer"), /^Published; indexer is behind/);
});

test("a line of the policy is offered for a caller with a title and an address, and never breaks out of it", () => {
  assert.equal(allowing({ ae_title: "CT 1", address: "192.0.2.8" }), '- {ae_title: "CT 1", host: "192.0.2.8", may: [echo, store]}');
  assert.equal(allowing({ ae_title: 'A"}, may: [x]', address: "192.0.2.8" }), '- {ae_title: "A\\"}, may: [x]", host: "192.0.2.8", may: [echo, store]}');
  for (const [title, address] of [["", "192.0.2.8"], ["A\\B", "192.0.2.8"], ["SEVENTEEN_LETTERS", "192.0.2.8"], ["CT1", "not an address"]]) {
    assert.equal(allowing({ ae_title: title, address }), null);
  }
});

test("a caller that is let in may what was chosen, from its address alone", () => {
  assert.deepEqual(entryOf({ ae_title: "CT1", address: "192.0.2.8" }, "store"), { host: "192.0.2.8", may: ["commit", "echo", "store"] });
  assert.deepEqual(entryOf({ ae_title: "CT1", address: "192.0.2.8" }, "echo"), { host: "192.0.2.8", may: ["echo"] });
});

test("a study's four stations", () => {
  const account = { arrivals: [{ instances: 2 }], commitments: [], deliveries: [], dead: [], unread: 0, lost: 0, searchable: 2, deleted: 0 };
  assert.deepEqual(stations(account).map(([, state, words]) => [state, words]), [["ok", "2 objects"], ["ok", "2 found"], ["", "not asked"], ["", "to nobody"]]);
  const troubled = { ...account, dead: [{}], commitments: [{ reported_at: 1, delivered: true, failed: 1 }], deliveries: [{ completed: 1, failed: 1 }] };
  assert.deepEqual(stations(troubled).slice(1).map(([, state, words]) => [state, words]), [["error", "1 failed"], ["error", "not all"], ["warning", "1 were not"]]);
  assert.equal(stations({ ...account, searchable: 0, deleted: 2 })[1][2], "deleted");
  assert.equal(stations({ ...account, unread: 1 })[1][1], "busy");
});

test("what kind of conflict the sides are, and how each stands", () => {
  const side = (series, more = {}) => ({ study_instance_uid: "1", series_instance_uid: series, ...more });
  assert.equal(kindOf([side("a"), side("b")]), "in 2 series");
  assert.equal(kindOf([side("a"), side("b", { aside: true })]), "in 2 series, and other bytes");
  assert.deepEqual([kindOf([side("a"), side("a", { aside: true })]), kindOf([side("a"), side("a")])], ["other bytes", "the same bytes"]);
  assert.deepEqual([stateOf({ lost: true })[1], stateOf({ current: true })[1], stateOf({ aside: true })[1], stateOf({})[1]], ["lost", "current", "aside", "redundant"]);
});

test("a rule of retention in words", () => {
  const rule = { where: ["Modality=CT"], sources: ["CT1"], younger_than: "", keep: "10y", since: "study", then: "delete" };
  assert.equal(ruleWords(rule), "Modality=CT, from CT1: kept for 10 years from the Study Date, then deleted");
  assert.equal(ruleWords({ ...rule, where: [], sources: [], keep: "forever", then: "release" }), "all studies: kept for ever, then free to be deleted by a person");
});

test("a destination is as bad as the worst that is known of it", () => {
  const now = 1_700_000_000_000;
  const one = { waiting: 0, oldest: 0, failed: 0, why: "" };
  assert.deepEqual(health(one, now), ["ok", "nothing waits"]);
  assert.deepEqual(health({ ...one, waiting: 3, oldest: (now - 60_000) * 1000 }, now), ["busy", "the oldest since 1 minute"]);
  assert.equal(health({ ...one, waiting: 3, oldest: (now - 7_200_000) * 1000 }, now)[0], "warning");
  assert.equal(health({ ...one, waiting: 1, oldest: now * 1000, why: "Connection refused" }, now)[0], "warning");
  assert.deepEqual(health({ ...one, waiting: 1, failed: 1200 }, now), ["error", "1,200 failed"]);
});

test("what a route did, and when it is tried next", () => {
  const now = 1_700_000_000_000;
  assert.deepEqual([0, now - 5000, now + 30_000, now + 600_000].map((at) => next(at * 1000, now)), ["now", "now", "in 30 seconds", "in 10 minutes"]);
  assert.equal(next((now + 86_400_000) * 1000, now), "2023-11-15 22:13:20Z");
  assert.deepEqual(words({ state: "waits", attempts: 2 }), ["warning", "waits"]);
  assert.deepEqual(words({ state: "new", attempts: 0 }), ["busy", "new"]);
  assert.deepEqual(words({ state: "failed", failed: 2 }), ["error", "failed, 2 instances not taken"]);
  assert.deepEqual(words({ state: "cancelled", by: "ada" }), ["busy", "given up by ada"]);
  assert.deepEqual(words({ state: "delivered", withheld: 1 }), ["warning", "delivered, 1 instance withheld"]);
});

test("what became of a study is told in the order in which it did", async () => {
  const { indexed, momentsOf } = await import("../../../../../../services/query/viewer/page/study-times.js");
  const account = {
    searchable: 3, unread: 1, dead: [],
    arrivals: [{ first_at: 10, instances: 2, calling_ae_title: "CT1" }, { first_at: 30, instances: 1, calling_ae_title: "" }],
    commitments: [{ requested_at: 20, reported_at: 25, instances: 2, failed: 0, delivered: true, calling_ae_title: "CT1" }, { requested_at: 35, reported_at: 0, instances: 1, calling_ae_title: "CT1" }],
    elsewhere: [{ reported_at: 60, committed: 3, failed: 1, ae_title: "VAULT" }],
    happened: [{ at: 40, what: "deleted", by: "ann", why: "Wrong side" }],
    deliveries: [{ at: 50, over: "C-MOVE", receiver: "DEST", completed: 3, failed: 1, times: 0 }, { at: 55, over: "DICOMweb", receiver: "ann", completed: 0, failed: 0, times: 2 }],
  };
  assert.deepEqual(momentsOf(account).map((one) => [one.at, one.what]), [
    [10, "2 objects received from CT1"],
    [25, "Storage commitment of 2 instances reported to CT1"],
    [30, "1 object received from a client over HTTP"],
    [35, "Storage commitment asked by CT1: a report is owed"],
    [40, "deleted by ann: Wrong side"],
    [50, "3 instances sent to DEST over C-MOVE, 1 not"],
    [55, "Looked at or fetched by ann, 2 requests"],
    [60, "3 instances committed by VAULT, 1 not"],
  ]);
  assert.equal(indexed(account), "3 instances indexed, 1 to come");
});
