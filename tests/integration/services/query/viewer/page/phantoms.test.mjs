// The samples of an empty archive; that they are stored and shown is tried in a browser (tests/e2e/test_viewer_samples.py).

import assert from "node:assert/strict";
import { test } from "node:test";

const { COUNT, brightness, samples } = await import(new URL("../../../../../../services/query/viewer/page/phantoms.js", import.meta.url));
const one = (object, tag) => object[tag].Value[0];

test("samples are of two people, three series, and the same whenever they are made", () => {
  const first = [...samples(new Date("2026-01-05T10:00:00Z"))];
  const again = [...samples(new Date("2026-02-05T10:00:00Z"))];
  const uids = (all) => all.flat().map((object) => one(object, "00080018"));
  assert.equal(first.flat().length, COUNT);
  assert.deepEqual(uids(first), uids(again));
  assert.equal(new Set(uids(first)).size, COUNT);
  assert.ok(uids(first).every((uid) => uid.length <= 64 && /^2\.25\.[1-9]\d*(\.\d+)*$/.test(uid)));
  assert.equal(new Set(first.flat().map((object) => one(object, "0020000D"))).size, 2);
  assert.deepEqual(first.map((series) => one(series[0], "00080060")), ["CT", "MR", "MR"]);
  assert.equal(one(first[0][0], "00080020"), "20260105");
});

test("pixels are of the size that the attributes say, and show a head", () => {
  const [ct] = samples(new Date("2026-01-05T10:00:00Z"));
  const middle = Buffer.from(ct[10]["7FE00010"].InlineBinary, "base64");
  assert.equal(middle.length, 2 * one(ct[10], "00280010") * one(ct[10], "00280011"));
  const hounsfield = (x, y) => middle.readUInt16LE(2 * (y * 128 + x)) - 1024;
  assert.equal(hounsfield(0, 0), -1000, "air");
  assert.ok(hounsfield(64, 64) > 0 && hounsfield(64, 64) < 100, "brain");
  assert.ok(hounsfield(64, 6) > 500, "bone");
  assert.ok(brightness(0, 0, 0) > 0.1);
  assert.equal(brightness(0.99, 0.99, 0), 0);
  assert.equal(brightness(0.5, 0.5, 1), 0);
});
