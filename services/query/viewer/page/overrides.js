// Overrides (docs/access.md#breaking-the-glass): what is open for a time, in words and addresses. Pure.

import { write } from "./address.js";

// {name, href} for one that stands: what it opens, and where that is.
export function openedBy({ study, patient, issuer }) {
  if (study) return { name: `study …${study.slice(-8)}`, href: write({ study }) };
  return { name: `patient ${patient}${issuer ? ` (${issuer})` : ""}`, href: write({ q: `id:${quoted(patient)}` }) };
}

// The latest end of all that stand, as a clock says it, and how many milliseconds it is until the first of them ends.
export function endsOf(overrides, now) {
  const ends = overrides.map(({ until }) => Date.parse(until));
  return { last: new Date(Math.max(...ends)), wait: Math.max(0, Math.min(...ends) - now) };
}

// What somebody looked for and did not find, as it stands in the form.
export function soughtBy(terms) {
  const named = (kind) => terms.find((term) => term.kind === kind)?.value || "";
  return named("study") ? { study: named("study") } : { patient: named("id") };
}

// A word of the search box that is the whole ID. It knows no quotation mark within others: then it is what begins so.
function quoted(value) {
  return value.includes('"') ? value : `"${value}"`;
}
