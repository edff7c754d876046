// Holds: nothing of a study, or of any study of its patient, is deleted while one stands. Placed and released, for a reason.

import { askJson, studyPath } from "./archive.js";
import { TAG, nameParts, text } from "./dicom.js";
import { askWhy, run } from "./op-reason.js";
import { uidOf } from "./page.js";

const PLACING = ["A trial", "A complaint", "A court's order", "Teaching"];
const RELEASING = ["The trial is over", "The case is closed", "Placed by mistake"];

const nameOf = (study) => nameParts(study, TAG.PatientName).main || text(study, TAG.PatientID) || uidOf(study);

export function release(uid, hold, reason) {
  const asked = new URLSearchParams({ reason, hold });
  return askJson(`${studyPath(uid)}/holds?${asked}`, { method: "DELETE" });
}

// Ask why, and place a hold on each of some studies or their patients. Resolves to whether something was placed.
export async function placeHolds(studies) {
  const why = await askWhy({
    title: studies.length === 1 ? "Hold this study?" : `Hold ${studies.length} studies?`, named: studies.slice(0, 5).map(nameOf), name: "Place the hold", reasons: PLACING,
    choices: [["study", studies.length === 1 ? "This study" : "These studies"], ["patient", "All studies of the patient, and those that come later"]],
    words: "Nothing of what is held is deleted or collected, whoever asks, until the hold is released.",
  });
  if (!why) return false;
  let placed = false;
  for (const study of studies) {
    const uid = uidOf(study);
    const post = () => askJson(`${studyPath(uid)}/holds?${new URLSearchParams({ reason: why.reason })}`, { method: "POST", body: JSON.stringify({ on: why.choice }), type: "application/json" });
    const made = await run(`Hold: ${nameOf(study)}`, post, () => (why.choice === "patient" ? "The patient is held, with all studies" : "The study is held"), (done) => release(uid, done.hold, "Undone on the page"));
    placed ||= Boolean(made);
  }
  dispatchEvent(new CustomEvent("decided"));
  return placed;
}

// Ask why, and release one hold by `act(reason)`.
export async function releaseHold(words, act) {
  const why = await askWhy({ title: "Release this hold?", named: [words], name: "Release", reasons: RELEASING, words: "What it held can be deleted again, unless another hold or a rule keeps it." });
  const made = why && (await run("A hold is released", () => act(why.reason), () => "Released"));
  if (made) dispatchEvent(new CustomEvent("decided"));
  return Boolean(made);
}
