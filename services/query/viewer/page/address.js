// The state of the page in its address, so that it can be sent to somebody. Pure.

import { columnNames } from "./columns.js";

export const NEWEST = "-StudyDate,-StudyTime";

// {q, sort, look, study, series} of a query string; what is not there is "".
export function read(search) {
  const given = new URLSearchParams(search);
  const uid = (name) => (/^[0-9.]{1,64}$/.test(given.get(name) || "") ? given.get(name) : "");
  const sort = given.get("sort") || "";
  return {
    q: given.get("q") || "",
    sort: isSort(sort) ? sort : NEWEST,
    look: uid("look"),
    study: uid("study"),
    series: uid("series"),
  };
}

function isSort(sort) {
  return /^-?[A-Za-z]+(,-?[A-Za-z]+)?$/.test(sort) && columnNames(sort.replaceAll("-", "").split(","));
}

// The place of the page that a path is of.
export function placeOf(pathname) {
  return /^\/(operations|worklist|shares|audit)(\/|$)/.exec(pathname)?.[1] || "studies";
}

// The address of a state.
export function write({ q = "", sort = NEWEST, look = "", study = "", series = "" }) {
  const asked = new URLSearchParams();
  if (study) asked.set("study", study);
  if (study && series) asked.set("series", series);
  if (q) asked.set("q", q);
  if (sort !== NEWEST) asked.set("sort", sort);
  if (!study && look) asked.set("look", look);
  const line = asked.toString();
  return line ? `/?${line}` : "/";
}
