// Puts the page together: the address, and the first search. All that can wait until there are rows is in `rest.js`.

import "./frame.js";
import "./study-table.js";
import { placeOf, read } from "./address.js";
import { askJson, onTokenNeeded, pageSettings } from "./archive.js";
import { go, list, store, uidOf } from "./page.js";
import { understand } from "./search.js";

function follow() {
  store.on(["terms", "sort"], () => {
    if (store.state.place !== "studies") return;
    store.set({ fresh: new Set(), selected: new Map() });
    list.search(store.state.terms, store.state.sort);
  });
  addEventListener("popstate", () => {
    const place = placeOf(location.pathname);
    if (place !== "studies") {
      store.set({ place, at: location.pathname + location.search, look: "", study: "", series: "" });
      return;
    }
    const given = read(location.search);
    const terms = given.q === store.state.q ? store.state.terms : understand(given.q, new Date());
    store.set({ ...given, place, terms });
  });
}

async function askForToken(wrong) {
  await import("./dialogs.js");
  return document.querySelector("token-dialog").ask(wrong);
}

// Which place is shown. Another one than the studies comes with modules of its own, when somebody goes there.
function showPlace() {
  const elsewhere = store.state.place !== "studies";
  document.body.classList.toggle("elsewhere", elsewhere);
  if (elsewhere) return import("./places.js").then(({ begin: show }) => show());
  return list.ready || list.busy ? null : list.search(store.state.terms, store.state.sort);
}

async function begin() {
  onTokenNeeded(askForToken);
  follow();
  store.on(["place"], showPlace);
  const first = showPlace();
  pageSettings().then((settings) => {
    store.set({ settings });
    if (settings.share) document.body.dataset.share = settings.share;
    if (!settings.login) return null;
    window.session.begin();
    return askJson("/login/session").then((who) => store.set({ who }));
  }).catch(() => {});
  // Somebody who follows a link to a study waits for its images, not for the list.
  if (!store.state.look && !store.state.study) {
    // Another system asked for one study, and knew no more than its accession number or its patient.
    const open = new URLSearchParams(location.search).get("open");
    await first;
    if ((open && list.total === 1) || (open === "newest" && list.total)) go({ study: uidOf(list.at(0)) });
  }
  requestAnimationFrame(() => setTimeout(() => import("./rest.js")));
}

begin();
