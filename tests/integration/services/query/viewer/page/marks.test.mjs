import assert from "node:assert/strict";
import { test } from "node:test";

const { Marks } = await import(new URL("../../../../../../services/query/viewer/page/marks.js", import.meta.url));
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const plain = (states) => Object.fromEntries(states);

function asking(answer) {
  const asked = [];
  const told = [];
  const marks = new Marks(async (uids) => { asked.push(uids); return answer(uids); }, (states) => told.push(plain(states)), () => 0.15);
  return { marks, asked, told };
}

test("what comes into sight together is asked for once", async () => {
  const { marks, asked, told } = asking(() => ({ 1: ["held"], 3: ["held", "conflict"] }));
  marks.want(["1", "2"]);
  marks.want(["2", "3"]);
  await pause(100);
  assert.deepEqual(asked, [["1", "2", "3"]]);
  assert.deepEqual(told.at(-1), { 1: ["held"], 3: ["conflict", "held"] });
  marks.want(["1", "2", "3"]);
  await pause(100);
  assert.equal(asked.length, 1);
});

test("a question is never longer than its address may be, and has what is in sight now", async () => {
  const { marks, asked } = asking(() => ({}));
  marks.want(Array.from({ length: 500 }, (_, n) => String(n)));
  await pause(100);
  assert.equal(asked.length, 1);
  assert.equal(asked[0].length, 60);
  assert.equal(asked[0].at(-1), "499");
});

test("what is forgotten is asked for again when it is seen again", async () => {
  const { marks, asked } = asking(() => ({}));
  marks.want(["1", "2"]);
  await pause(100);
  marks.forget(["1"]);
  marks.want(["1", "2"]);
  await pause(100);
  assert.deepEqual(asked[1], ["1"]);
  marks.forget();
  marks.want(["1", "2"]);
  await pause(100);
  assert.deepEqual(asked[2], ["1", "2"]);
});

test("an answer that fails leaves nothing known", async () => {
  let fails = true;
  const { marks, asked, told } = asking(() => { if (fails) throw new Error("away"); return { 1: ["held"] }; });
  marks.want(["1"]);
  await pause(100);
  assert.deepEqual(told, []);
  fails = false;
  marks.want(["1"]);
  await pause(100);
  assert.equal(asked.length, 2);
  assert.deepEqual(told.at(-1), { 1: ["held"] });
});

test("a study arrives until nothing of it came for the quiet time", async () => {
  const { marks, told } = asking(() => ({}));
  marks.arrived(["1"]);
  assert.deepEqual(told.at(-1), { 1: ["arriving"] });
  await pause(100);
  marks.arrived(["1"]);
  await pause(100);
  assert.deepEqual(told.at(-1), { 1: ["arriving"] });
  await pause(100);
  assert.deepEqual(told.at(-1), {});
});

test("where nobody says when a study is complete none is said to arrive", () => {
  const told = [];
  const marks = new Marks(async () => ({}), (states) => told.push(states), () => 0);
  marks.arrived(["1"]);
  assert.deepEqual(told, []);
});
