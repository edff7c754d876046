// Puts the page together: the address, and the first search. All that can wait until there are rows is in `rest.js`.

import "./frame.js";
import "./study-table.js";
import { read } from "./address.js";
import { onTokenNeeded, pageSettings } from "./archive.js";
import { list, store } from "./page.js";
import { understand } from "./search.js";

function follow() {
  store.on(["terms", "sort"], () => {
    store.set({ fresh: new Set(), selected: new Map() });
    list.search(store.state.terms, store.state.sort);
  });
  addEventListener("popstate", () => {
    const given = read(location.search);
    const terms = given.q === store.state.q ? store.state.terms : understand(given.q, new Date());
    store.set({ ...given, terms });
  });
}

async function askForToken(wrong) {
  await import("./dialogs.js");
  return document.querySelector("token-dialog").ask(wrong);
}

async function begin() {
  onTokenNeeded(askForToken);
  follow();
  const first = list.search(store.state.terms, store.state.sort);
  pageSettings().then((settings) => store.set({ settings }), () => {});
  // Somebody who follows a link to a study waits for its images, not for the list.
  if (!store.state.look && !store.state.study) await first;
  requestAnimationFrame(() => setTimeout(() => import("./rest.js")));
}

begin();
