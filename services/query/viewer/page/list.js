// The studies that match, page by page, as far as somebody scrolled. Knows no document: `archive` asks.

import { inSort } from "./columns.js";
import { TAG, text } from "./dicom.js";
import { parameters } from "./search.js";

export const PAGE = 100;
const MOST = 100000;

export class StudyList {
  // `archive` has search(path, signal) and count(path, signal); `changed` is called whenever there is something to show.
  constructor(base, archive, changed) {
    this.base = base;
    this.archive = archive;
    this.changed = changed;
    this.running = new AbortController();
    this.reset();
  }

  reset() {
    Object.assign(this, { pages: new Map(), wanted: new Set(), total: 0, exact: true, error: null, alike: false, uids: new Map(), pageError: null });
  }

  // Search anew. What is shown stays until the first page of the answer is there.
  async search(terms, sort) {
    this.running.abort();
    this.running = new AbortController();
    const { signal } = this.running;
    this.busy = true;
    this.changed();
    try {
      let found = await this.first(terms, sort, false, signal);
      const named = terms.some((term) => term.kind === "name" || term.kind === "referrer");
      const alike = named && !found.items.length;
      if (alike) found = await this.first(terms, sort, true, signal);
      if (signal.aborted) return;
      this.reset();
      Object.assign(this, { terms, sort, alike: alike && found.items.length > 0, busy: false, ready: true });
      this.take(0, found);
      if (found.next || found.items.length === PAGE) this.count(signal);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.reset();
      Object.assign(this, { terms, sort, error, busy: false, ready: true });
    }
    this.changed();
  }

  async first(terms, sort, alike, signal) {
    this.filters = new URLSearchParams(parameters(terms, { likeSound: alike }));
    const found = await this.archive.search(this.path(sort, 0), signal);
    // An archive that cannot sort says so; what fits on one page is sorted here.
    if (/orderby/i.test(found.warning) && !found.next) found.items = inSort(found.items, sort);
    return found;
  }

  path(sort, page) {
    const asked = new URLSearchParams(this.filters);
    asked.set("orderby", sort);
    asked.set("limit", PAGE);
    if (page) asked.set("offset", page * PAGE);
    return `${this.base}/studies?${asked}`;
  }

  take(page, found) {
    this.pages.set(page, found);
    found.items.forEach((study, at) => this.uids.set(text(study, TAG.StudyInstanceUID), page * PAGE + at));
    const known = page * PAGE + found.items.length;
    const last = found.items.length < PAGE && !found.next;
    if (last) Object.assign(this, { total: known, exact: true });
    else if (known >= this.total) Object.assign(this, { total: known, exact: false });
  }

  async count(signal) {
    try {
      const { count } = await this.archive.count(`${this.base}/studies/count?${this.filters}`, signal);
      if (signal.aborted) return;
      this.total = Math.min(Math.max(count, this.total), MOST);
      this.exact = count <= MOST;
      this.changed();
    } catch {
      // The total stays "more than what is loaded", and grows while one scrolls.
    }
  }

  // The study at a place, or undefined where it is not here yet; then it is fetched.
  at(place) {
    const page = Math.floor(place / PAGE);
    const found = this.pages.get(page);
    if (!found) this.fetch(page);
    return found && found.items[place % PAGE];
  }

  async fetch(page) {
    if (this.wanted.has(page) || !this.ready) return;
    this.wanted.add(page);
    const { signal } = this.running;
    const before = this.pages.get(page - 1);
    try {
      // A cursor goes on behind the page before, whatever arrived meanwhile; a jump goes by number.
      const found = await this.archive.search(before?.next || this.path(this.sort, page), signal);
      if (signal.aborted) return;
      this.pageError = null;
      this.take(page, found);
      if (!this.exact && !found.items.length) Object.assign(this, { total: page * PAGE, exact: true });
    } catch (error) {
      if (error.name === "AbortError") return;
      this.pageError = error;
      setTimeout(() => {
        this.wanted.delete(page);
        if (!signal.aborted) this.changed();
      }, 3000);
    }
    this.changed();
  }

  // Of some studies that changed: `fresh` match what is asked and are not shown yet, `gone` are shown and match no
  // more. Those that are shown and match are brought up to date; `grown` are those of them that have more images now.
  async matching(uids) {
    const asked = new URLSearchParams(this.filters);
    asked.set("StudyInstanceUID", uids.join(","));
    const { items } = await this.archive.search(`${this.base}/studies?${asked}`, this.running.signal);
    const images = (study) => Number(text(study, TAG.NumberOfStudyRelatedInstances));
    const grown = [];
    const fresh = items.filter((study) => {
      const place = this.uids.get(text(study, TAG.StudyInstanceUID));
      if (place === undefined) return true;
      const page = this.pages.get(Math.floor(place / PAGE));
      if (images(study) > images(page.items[place % PAGE])) grown.push(study);
      page.items[place % PAGE] = study;
      return false;
    });
    if (fresh.length < items.length) this.changed();
    const uidOf = (study) => text(study, TAG.StudyInstanceUID);
    const found = new Set(items.map(uidOf));
    return { fresh: fresh.map(uidOf), grown: grown.map(uidOf), gone: uids.filter((uid) => this.uids.has(uid) && !found.has(uid)) };
  }
}
