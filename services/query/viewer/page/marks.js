// What stands out of the studies in sight: asked for once the rows are there, and again when a study changed. Knows no
// document: `ask(uids)` resolves to {uid: [names]}; `changed(states)` is told of a new Map of uid to names; `quiet()` is for
// how many seconds nothing comes of a study that is complete.

const MOST = 60; // in one question: UIDs stand in its address
const KEPT = 5000;
const GATHER = 60; // ms
const ORDER = ["arriving", "conflict", "rejected", "held"];

export class Marks {
  constructor(ask, changed, quiet) {
    Object.assign(this, { ask, changed, quiet, known: new Map(), wanted: new Set(), arriving: new Map(), timer: 0 });
  }

  // These studies are in sight.
  want(uids) {
    for (const uid of uids) if (!this.known.has(uid)) this.wanted.add(uid);
    if (this.wanted.size && !this.timer) this.timer = setTimeout(() => this.fetch(), GATHER);
  }

  async fetch() {
    const uids = [...this.wanted].slice(-MOST);
    this.wanted.clear(); // what went out of sight meanwhile is asked for when it is seen again
    if (this.known.size > KEPT) this.known.clear();
    try {
      const found = await this.ask(uids);
      for (const uid of uids) this.known.set(uid, found[uid] || []);
      this.tell();
    } catch {
      // The rows stand without them; whatever is in sight then is asked for again.
    } finally {
      this.timer = 0;
      if (this.wanted.size) this.want([]);
    }
  }

  // Something was decided about these studies, or about any: asked for again when they are seen.
  forget(uids = [...this.known.keys()]) {
    for (const uid of uids) this.known.delete(uid);
  }

  // Something of these studies came just now: they arrive until nothing comes for a while.
  arrived(uids) {
    const quiet = this.quiet();
    if (!quiet) return;
    for (const uid of uids) {
      clearTimeout(this.arriving.get(uid));
      this.arriving.set(uid, setTimeout(() => {
        this.arriving.delete(uid);
        this.tell();
      }, quiet * 1000));
    }
    if (uids.length) this.tell();
  }

  tell() {
    const states = new Map();
    for (const uid of new Set([...this.known.keys(), ...this.arriving.keys()])) {
      const names = new Set([...(this.known.get(uid) || []), ...(this.arriving.has(uid) ? ["arriving"] : [])]);
      if (names.size) states.set(uid, ORDER.filter((name) => names.has(name)));
    }
    this.changed(states);
  }
}
