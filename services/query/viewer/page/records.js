// Audit records in words, and as lines of a file. Pure.

// Kinds of records (docs/audit.md) under one name; "" is all of them.
export const GROUPS = [
  { id: "", name: "Everything", kinds: [] },
  { id: "seen", name: "Seen or taken", kinds: ["accessed", "begin-sending", "sent", "query", "order-read", "procedure-read", "override"] },
  { id: "stored", name: "Received", kinds: ["stored"] },
  { id: "changed", name: "Changed", kinds: ["updated", "patient", "order", "procedure", "protection"] },
  { id: "deleted", name: "Deleted", kinds: ["instances-deleted", "study-deleted"] },
  { id: "refused", name: "Refused", kinds: ["refused", "node-refused"] },
  { id: "opened", name: "Opened in an emergency", kinds: ["override"] },
  { id: "logins", name: "Logins", kinds: ["login", "logout"] },
  { id: "archive", name: "The archive itself", kinds: ["started", "stopped", "policy", "log-used", "procedure-sent"] },
];

const WORDS = {
  started: "Started", stopped: "Stopped", "log-used": "Read these records", "begin-sending": "Began to send", sent: "Sent", stored: "Stored", accessed: "Saw",
  updated: "Changed", "instances-deleted": "Deleted objects", "study-deleted": "Deleted a study", order: "Order changed", "order-read": "Saw an order",
  patient: "Patient changed", procedure: "Procedure step", "procedure-read": "Saw a procedure step", "procedure-sent": "Procedure step sent on", query: "Searched", "node-refused": "Connection refused",
  refused: "Refused", protection: "Hold or link", override: "Opened in an emergency", policy: "Policy changed", login: "Login", logout: "Logout",
};
const OUTCOMES = { 0: "Done", 4: "Failed", 8: "Failed", 12: "Failed" };
const KINDS_OF_CALLERS = { ae: "AE title", token: "token", "this machine": "on this machine", archive: "the archive" };

export function kindsOf(group) {
  return (GROUPS.find(({ id }) => id === group)?.kinds || []).join(",");
}

export function whatWasDone({ kind, operation, times }) {
  const said = [WORDS[kind] || kind, operation].filter(Boolean).join(": ");
  return times > 1 ? `${said}, ${times} times` : said;
}

export function madeBy({ requestor, requestor_is: is, user }) {
  const who = requestor || KINDS_OF_CALLERS[is] || "unknown";
  const kind = requestor && KINDS_OF_CALLERS[is] ? ` (${KINDS_OF_CALLERS[is]})` : "";
  return user ? `${user} at ${who}` : `${who}${kind}`;
}

export function place({ address }) {
  return address || "";
}

// Whom or what it was of: Patient IDs, else the end of a study's UID.
export function subject({ objects, more }) {
  const named = [...new Set(objects.map((row) => row.patient_id || (row.study_instance_uid ? `…${row.study_instance_uid.slice(-8)}` : "")).filter(Boolean))];
  const left = more + Math.max(0, named.length - 2);
  return named.slice(0, 2).join(", ") + (left ? ` and ${left} more` : "");
}

export function outcomeOf({ outcome, why }) {
  const said = OUTCOMES[outcome] || String(outcome);
  return why ? `${said}: ${why}` : said;
}

const HEADS = ["begun", "ended", "kind", "operation", "outcome", "why", "who", "who is", "user", "address", "to", "to address", "patient IDs", "studies", "times", "asked", "record"];
const iso = (at) => new Date(at / 1000).toISOString();

// A spreadsheet takes what begins with one of these for a formula: what a stranger wrote must not become one.
const quoted = (value) => {
  const said = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(said) ? `"${said.replaceAll('"', '""')}"` : said;
};

// RFC 4180, with a line of names.
export function csv(records) {
  const each = (one, name) => [...new Set(one.objects.map((row) => row[name]).filter(Boolean))].join(" ");
  const lines = records.map((one) => [iso(one.begun_at), iso(one.at), one.kind, one.operation, OUTCOMES[one.outcome] || one.outcome, one.why, one.requestor, one.requestor_is, one.user,
    one.address, one.peer, one.peer_address, each(one, "patient_id"), each(one, "study_instance_uid"), one.times, one.query, one.record]);
  return [HEADS, ...lines].map((line) => `${line.map((value) => quoted(String(value ?? ""))).join(",")}\r\n`).join("");
}
