// What became of a study in this archive, for who may operate it: the account of "Where is my study?", as moments.

import { askJson } from "./archive.js";
import { h } from "./dom.js";
import { OPERATIONS, link, moment, plural } from "./operations.js";

const over = ({ over: how, receiver, times, completed, failed }) => {
  const who = receiver || "somebody without a token";
  if (how === "DICOMweb") return `Looked at or fetched by ${who}, ${plural(times, "request")}`;
  return `${plural(completed, "instance")} sent to ${who} over ${how}${failed ? `, ${failed} not` : ""}`;
};

const committed = ({ calling_ae_title: by, reported_at: at, instances, failed, delivered }) => {
  const who = by || "a client over HTTP";
  if (!at) return `Storage commitment asked by ${who}: a report is owed`;
  return `Storage commitment of ${plural(instances, "instance")} reported to ${who}${failed ? `, ${failed} not committed` : ""}${delivered ? "" : ", who did not take the report"}`;
};

// {at, what} of an account, earliest first; `at` in microseconds. Pure.
export function momentsOf(account) {
  return [
    ...account.arrivals.map((one) => ({ at: one.first_at, what: `${plural(one.instances, "object")} received from ${one.calling_ae_title || "a client over HTTP"}` })),
    ...account.commitments.map((one) => ({ at: one.reported_at || one.requested_at, what: committed(one) })),
    ...account.elsewhere.map((one) => ({ at: one.reported_at, what: `${plural(one.committed, "instance")} committed by ${one.ae_title}${one.failed ? `, ${one.failed} not` : ""}` })),
    ...account.happened.map((one) => ({ at: one.at, what: `${one.what}${one.by ? ` by ${one.by}` : ""}${one.why ? `: ${one.why}` : ""}` })),
    ...account.deliveries.map((one) => ({ at: one.at, what: over(one) })),
  ].sort((a, b) => a.at - b.at);
}

// How far the index is with it. Pure.
export function indexed({ searchable, unread, dead }) {
  return [`${plural(searchable, "instance")} indexed`, unread && `${unread} to come`, dead.length && `${dead.length} failed`].filter(Boolean).join(", ");
}

// The lines of a study; raises `ArchiveError`.
export async function timesOf(uid, signal) {
  const { accounts } = await askJson(`${OPERATIONS}/where?${new URLSearchParams({ term: uid })}`, { signal });
  const account = accounts.find((one) => one.study_instance_uid === uid);
  if (!account) return [];
  const line = ({ at, what }) => h("li", {}, h("span", { class: "moment" }, moment(at)), h("span", {}, what));
  return [h("h3", {}, "In this archive"), h("ol", { class: "times" }, ...momentsOf(account).map(line)),
    h("p", { class: "second" }, `${indexed(account)}. `, link(`/audit/records?${new URLSearchParams({ about: uid, days: "90" })}`, "Who looked at it"))];
}
