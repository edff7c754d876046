// Where a study is shown: in a panel beside the list (quick look), or as a page of its own.

import { h } from "./dom.js";
import { list, store } from "./page.js";
import "./study-view.js";

function known(uid) {
  const place = list.uids.get(uid);
  return place === undefined ? undefined : list.at(place);
}

// A host has one view while there is a study, and none otherwise, so that names in the document stay unique.
class StudyHost extends HTMLElement {
  connectedCallback() {
    this.hidden = true;
    store.on([this.part], () => this.follow());
    this.follow();
  }

  follow() {
    const uid = store.state[this.part];
    this.hidden = !uid;
    if (!uid) {
      this.replaceChildren();
      this.view = null;
      this.onClosed();
      return;
    }
    if (!this.view) {
      this.view = h("study-view", this.part === "study" ? { "data-page": "" } : {});
      this.append(this.view);
    }
    clearTimeout(this.timer);
    // Somebody who holds an arrow key passes studies by: they are not asked for.
    this.timer = setTimeout(() => this.view?.show(uid, known(uid), store.state.series), this.shownBefore ? 90 : 0);
    this.shownBefore = true;
    this.onOpened();
  }

  onOpened() {}

  onClosed() {
    this.shownBefore = false;
  }
}

class QuickLook extends StudyHost {
  part = "look";

  onOpened() {
    document.body.classList.add("looking");
  }

  onClosed() {
    super.onClosed();
    document.body.classList.remove("looking");
  }
}

class StudyPage extends StudyHost {
  part = "study";

  onOpened() {
    document.body.classList.add("on-study");
    document.title = "Study · Gantry";
    setTimeout(() => this.querySelector("h2")?.focus({ preventScroll: true }), 60);
  }

  onClosed() {
    super.onClosed();
    document.body.classList.remove("on-study");
    if (store.state.place === "studies") document.title = "Studies · Gantry";
  }
}

customElements.define("quick-look", QuickLook);
customElements.define("study-page", StudyPage);
