// One study: who and what, its series as thumbnails, its images, tags, priors and times. In a panel beside the list
// (quick look), or as a page of its own.

import { BASE, ask, pageSettings, search, searchAll, studyPath, viewerUrl } from "./archive.js";
import { TAG, clock, day, inOrder, nameParts, personFacts, text, timeline, values } from "./dicom.js";
import { h, say, uidButton } from "./dom.js";
import { icon } from "./icons.js";
import { frames } from "./imaging.js";
import { go, list, listAddress, store, studyAddress } from "./page.js";
import { chips } from "./study-table.js";
import "./image-stack.js";
import "./study-history.js";
import "./tag-list.js";

const FIELDS = "includefield=StudyDescription,IssuerOfPatientID";
const SERIES = "includefield=SeriesDescription,NumberOfSeriesRelatedInstances,SeriesDate,SeriesTime,BodyPartExamined";
const AT_ONCE = 2;
// Modalities (PS3.3 C.7.3.1.1.1) whose objects hold none.
const PICTURELESS = /^(DOC|ECG|KO|PLAN|PR|REG|SR|RT(PLAN|RECORD|STRUCT))$/;
const TABS = { tags: "Tags", priors: "Other studies", times: "Times", history: "History" };

class StudyView extends HTMLElement {
  connectedCallback() {
    if (this.head) return;
    this.running = new AbortController();
    this.head = h("div", { class: "study-head" });
    this.strip = h("ul", { class: "strip", "aria-label": "Series" });
    this.stack = h("image-stack");
    this.tags = h("tag-list");
    this.panels = Object.fromEntries(Object.keys(TABS).map((id) => [id, h("div", { role: "tabpanel", id: `tab-${id}`, "aria-labelledby": `for-${id}`, hidden: id !== "tags" })]));
    this.panels.tags.append(this.tags);
    this.moments = h("div");
    this.became = h("div");
    this.panels.times.append(this.became, this.moments);
    this.history = h("study-history");
    this.holds = h("study-holds");
    this.panels.history.append(this.holds, this.history);
    this.addEventListener("holds", ({ detail }) => this.showHeld(detail));
    this.addEventListener("corrected", () => this.show(this.uid, null));
    this.tabs = h("div", { role: "tablist", "aria-label": "About this study" }, ...Object.entries(TABS).map(([id, name], at) =>
      h("button", { role: "tab", type: "button", id: `for-${id}`, "aria-controls": `tab-${id}`, "aria-selected": String(!at), tabIndex: at ? -1 : 0, onclick: () => this.tab(id) }, name)));
    this.tabs.addEventListener("keydown", (event) => this.tabKey(event));
    this.append(this.head, this.strip, this.stack, h("section", { class: "about", "aria-label": "Details" }, this.tabs, ...Object.values(this.panels)));
    store.on(["mayOperate"], () => this.showBecame());
    this.offerReject();
    store.on(["mayReject"], () => this.offerReject());
    this.addEventListener("frame", (event) => this.framed(event.detail));
  }

  // Among what is done with the images, for who may.
  offerReject() {
    const name = "Reject series or images …";
    this.rejecting ||= h("button", { type: "button", class: "plain", title: name, "aria-label": name, onclick: async () => (await import("./rejections.js")).rejectParts(this) }, icon("reject"));
    this.rejecting.hidden = !store.state.mayReject.length;
    this.stack.lastChild.append(this.rejecting);
  }

  get page() { return this.hasAttribute("data-page"); }

  // Show another study; `known` is what a list says of it already, so that its head is there at once.
  async show(uid, known, wanted = "") {
    this.running.abort();
    this.running = new AbortController();
    const { signal } = this.running;
    this.uid = uid;
    this.tagged = "";
    this.strip.replaceChildren();
    this.stack.load([], "");
    say(this.stack.message, "");
    this.showHead(known);
    this.became.replaceChildren();
    this.showBecame();
    try {
      const [study, series] = await Promise.all([known || this.study(uid, signal), this.series(uid, signal)]);
      if (signal.aborted) return;
      if (!study) throw new Error("there is no such study");
      Object.assign(this, { current: study, all: series });
      store.set({ shown: study });
      if (!known) this.showHead(study);
      this.showStrip(series, signal);
      const start = series.find((one) => text(one, TAG.SeriesInstanceUID) === wanted) || series[0];
      this.showTimes({});
      this.showPriors(study, signal);
      this.showHistory(signal);
      if (start) await this.choose(start);
      else say(this.stack.message, "This study has no series");
    } catch (error) {
      if (error.name !== "AbortError") this.failed(error);
    }
  }

  async study(uid, signal) {
    return (await search(`${BASE}/studies?StudyInstanceUID=${encodeURIComponent(uid)}&${FIELDS}`, signal)).items[0];
  }

  async series(uid, signal) {
    return inOrder(await searchAll(`${studyPath(uid)}/series?${SERIES}`, signal), TAG.SeriesNumber, TAG.SeriesInstanceUID);
  }

  failed(error) {
    say(this.stack.message, `This study cannot be shown: ${error.message}`);
    if (this.current) return;
    const open = h("button", { type: "button", onclick: () => store.set({ emergency: { study: this.uid } }) }, icon("warning"), "Emergency access …");
    this.head.replaceChildren(h("h2", { tabIndex: -1 }, "Study"), this.actions(), ...(store.state.mayOverride ? [open] : []));
  }

  // ---- head

  showHead(study) {
    this.current = study;
    if (!study) {
      this.head.replaceChildren(h("h2", { tabIndex: -1 }, "\u00a0"), h("p", { class: "second" }, "\u00a0"), h("p", { class: "what" }), h("p", { class: "second" }, "\u00a0"), this.actions());
      return;
    }
    const { main, other } = nameParts(study, TAG.PatientName);
    const issuer = text(study, TAG.IssuerOfPatientID);
    const when = [day(text(study, TAG.StudyDate)), clock(text(study, TAG.StudyTime))].filter(Boolean).join(" ");
    const accession = text(study, TAG.AccessionNumber);
    this.head.replaceChildren(
      h("h2", { tabIndex: -1 }, main || "(no name)", other ? h("span", { class: "other" }, other) : null),
      h("p", { class: "second" }, [text(study, TAG.PatientID), issuer && `issued by ${issuer}`, personFacts(study)].filter(Boolean).join(" · ")),
      h("p", { class: "what" }, ...chips(values(study, TAG.ModalitiesInStudy)), h("span", {}, text(study, TAG.StudyDescription))),
      h("p", { class: "second" }, [when, accession && `Accession ${accession}`].filter(Boolean).join(" · ")),
      this.actions());
  }

  actions() {
    const close = () => go({ look: "", study: "", series: "" });
    const download = h("a", { class: "button", href: `${studyPath(this.uid)}?accept=application/zip`, download: `${this.uid}.zip`, onclick: (event) => this.download(event) }, icon("download"), h("span", {}, "Download ZIP"));
    const viewer = h("a", { class: "button", target: "_blank", rel: "noopener", hidden: true }, icon("viewer"), h("span", {}, "Open in OHIF"));
    const open = h("a", { class: "button primary", href: studyAddress(this.uid), onclick: (event) => this.open(event) }, icon("open"), h("span", {}, "Open"));
    const back = this.page
      ? h("a", { class: "button back", href: listAddress(), onclick: (event) => this.back(event) }, icon("previous"), h("span", {}, "Studies"))
      : h("button", { type: "button", class: "plain back", "aria-label": "Close", title: "Close (Esc)", onclick: close }, icon("close"));
    pageSettings().then(({ ohif, reason }) => {
      viewer.hidden = !ohif;
      viewer.href = ohif ? viewerUrl([this.uid], listAddress()) : "/ohif/";
      if (!ohif) this.dataset.viewer = reason;
    }, () => {});
    return h("div", { class: "study-actions" }, this.page ? null : open, viewer, download, back);
  }

  open(event) {
    if (event.ctrlKey || event.metaKey || event.button) return;
    event.preventDefault();
    go({ look: "", study: this.uid, series: "" }, { push: true });
  }

  back(event) {
    if (event.ctrlKey || event.metaKey || event.button) return;
    event.preventDefault();
    go({ look: "", study: "", series: "" }, { push: true });
  }

  download(event) {
    event.preventDefault();
    this.dispatchEvent(new CustomEvent("download", { bubbles: true, detail: [this.current] }));
  }

  // ---- series

  showStrip(series, signal) {
    const waiting = [];
    this.strip.replaceChildren(...series.map((one) => {
      const uid = text(one, TAG.SeriesInstanceUID);
      const image = h("img", { alt: "", width: 72, height: 72, hidden: true });
      const many = text(one, TAG.NumberOfSeriesRelatedInstances);
      const name = text(one, TAG.SeriesDescription) || "Series";
      const spoken = `Series ${text(one, TAG.SeriesNumber)}, ${name}, ${text(one, TAG.Modality)}, ${many} ${many === "1" ? "image" : "images"}`;
      const button = h("button", { type: "button", class: "series", "aria-pressed": "false", title: spoken, data: { series: uid }, onclick: () => this.choose(one) },
        h("span", { class: "thumbnail", "aria-hidden": "true" }, image, h("span", { class: "count" }, many)),
        h("span", { class: "spoken" }, "Series "),
        h("span", { class: "series-name" }, [text(one, TAG.SeriesNumber), name].filter(Boolean).join(" · ")),
        h("span", { class: "spoken" }, `, ${text(one, TAG.Modality)}, ${many} ${many === "1" ? "image" : "images"}`));
      waiting.push([image, `${studyPath(this.uid)}/series/${encodeURIComponent(uid)}/thumbnail`, text(one, TAG.Modality)]);
      return h("li", {}, button);
    }));
    for (let worker = 0; worker < AT_ONCE; worker += 1) this.thumbnails(waiting, signal);
  }

  // A few at a time: the images of the stack go through the same connections.
  async thumbnails(waiting, signal) {
    while (waiting.length && !signal.aborted) await this.thumbnail(...waiting.shift(), signal);
  }

  // A small picture; what it is, where no picture can be made of it.
  async thumbnail(image, path, kind, signal) {
    try {
      // As if it had been asked for in vain.
      if (PICTURELESS.test(kind)) throw kind;
      const blob = await (await ask(path, { accept: "image/jpeg, image/png;q=0.5", signal })).blob();
      image.addEventListener("load", () => URL.revokeObjectURL(image.src), { once: true });
      image.src = URL.createObjectURL(blob);
      image.hidden = false;
    } catch {
      if (!signal.aborted) image.replaceWith(h("span", {}, kind));
    }
  }

  async choose(series) {
    const uid = text(series, TAG.SeriesInstanceUID);
    this.chosen = uid;
    for (const button of this.strip.querySelectorAll(".series")) {
      button.setAttribute("aria-pressed", String(button.dataset.series === uid));
      if (button.dataset.series === uid) button.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
    const base = `${studyPath(this.uid)}/series/${encodeURIComponent(uid)}`;
    const { signal } = this.running;
    try {
      const found = await searchAll(`${base}/instances?limit=1000`, signal);
      if (signal.aborted || this.chosen !== uid) return;
      const instances = inOrder(found, TAG.InstanceNumber, TAG.SOPInstanceUID);
      this.instances = instances;
      this.stack.load(frames(base, instances), text(series, TAG.SeriesDescription), text(series, TAG.Modality));
      if (this.stack.frames.length || !instances.length) return;
      this.tagsOf(`${base}/instances/${text(instances[0], TAG.SOPInstanceUID)}`);
      const { documents } = await import("./documents.js");
      if (this.chosen === uid && !signal.aborted) this.stack.put(documents(base, instances, signal));
    } catch (error) {
      if (error.name !== "AbortError") say(this.stack.message, `The images cannot be listed: ${error.message}`);
    }
  }

  // The series before or after the one that is shown.
  step(by) {
    const buttons = [...this.strip.querySelectorAll(".series")];
    const at = buttons.findIndex((button) => button.dataset.series === this.chosen);
    buttons[Math.min(Math.max(at + by, 0), buttons.length - 1)]?.click();
  }

  // ---- tags, priors, times

  framed(frame) {
    clearTimeout(this.tagging);
    this.tagging = setTimeout(() => this.tagsOf(frame.instance), 150);
  }

  async tagsOf(path) {
    if (this.tagged === path) return;
    this.tagged = path;
    const { signal } = this.running;
    const data = ask(`${path}/metadata`, { signal }).then((response) => response.json()).then((items) => items[0]);
    this.tags.show(data);
    const object = await data.catch(() => null);
    if (object && this.tagged === path) this.showTimes(object);
  }

  showTimes(object) {
    const moments = timeline(this.current, this.all || [], object);
    this.moments.replaceChildren(h("h3", {}, "In the images"), moments.length
      ? h("ol", { class: "times" }, ...moments.map((one) => h("li", {}, h("span", { class: "moment" }, `${one.date}  ${one.time}`), h("span", {}, one.what))))
      : h("p", { class: "second" }, "Nothing in this study has a date"));
  }

  // Asked for when somebody looks: that he asked is on record.
  async showBecame() {
    const { uid, running: { signal } } = this;
    if (!uid || this.panels.times.hidden || !store.state.mayOperate || this.asked === signal) return;
    this.asked = signal;
    const { timesOf } = await import("./study-times.js");
    const lines = await timesOf(uid, signal).catch((error) => (error.name === "AbortError" ? [] : [h("p", { role: "alert", class: "second" }, `What became of it cannot be told: ${error.message}`)]));
    if (!signal.aborted) this.became.replaceChildren(...lines);
  }

  async showPriors(study, signal) {
    const panel = this.panels.priors;
    const patient = text(study, TAG.PatientID);
    const issuer = text(study, TAG.IssuerOfPatientID);
    const asked = new URLSearchParams({ PatientID: patient.replaceAll(/[*?\\]/g, "?"), ...(issuer ? { IssuerOfPatientID: issuer } : {}), includefield: "StudyDescription", orderby: "-StudyDate,-StudyTime", limit: 100 });
    const found = patient ? (await search(`${BASE}/studies?${asked}`, signal).catch(() => ({ items: [] }))).items : [];
    if (signal.aborted) return;
    const others = found.filter((one) => text(one, TAG.StudyInstanceUID) !== this.uid && text(one, TAG.PatientID) === patient)
      .sort((a, b) => text(b, TAG.StudyDate).localeCompare(text(a, TAG.StudyDate)));
    this.tabs.querySelector("#for-priors").textContent = others.length ? `${TABS.priors} (${others.length})` : TABS.priors;
    panel.replaceChildren(others.length ? h("ul", { class: "priors" }, ...others.map((one) => this.prior(one))) : h("p", { class: "second" }, "This patient has no other study here"),
      h("p", { class: "second" }, "Study Instance UID"), uidButton(this.uid));
  }

  async showHistory(signal) {
    this.holds.show(this.uid, signal);
    const made = await this.history.show(this.uid, signal).catch(() => 0);
    if (!signal.aborted) this.tabs.querySelector("#for-history").textContent = made ? `${TABS.history} (${made})` : TABS.history;
  }

  // A state beside the description, where its place is reserved.
  showHeld(many) {
    const line = this.head.querySelector(".what");
    line?.querySelector(".held")?.remove();
    if (many) line?.prepend(h("button", { type: "button", class: "held", title: "Nothing of it is deleted: History says why", onclick: () => this.tab("history") }, icon("hold"), "Held"));
  }

  prior(study) {
    const uid = text(study, TAG.StudyInstanceUID);
    const follow = (event) => {
      if (event.ctrlKey || event.metaKey || event.button) return;
      event.preventDefault();
      go(this.page ? { study: uid, series: "" } : { look: uid }, { push: true });
    };
    return h("li", {}, h("a", { href: studyAddress(uid), onclick: follow }, h("span", { class: "moment" }, day(text(study, TAG.StudyDate)) || "no date"),
      ...chips(values(study, TAG.ModalitiesInStudy)), h("span", {}, text(study, TAG.StudyDescription))));
  }

  tab(id) {
    for (const [name, panel] of Object.entries(this.panels)) {
      panel.hidden = name !== id;
      const tab = this.tabs.querySelector(`#for-${name}`);
      tab.setAttribute("aria-selected", String(name === id));
      tab.tabIndex = name === id ? 0 : -1;
    }
    this.showBecame();
  }

  tabKey(event) {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    const tabs = [...this.tabs.children];
    const next = tabs[(tabs.indexOf(document.activeElement) + by + tabs.length) % tabs.length];
    next.click();
    next.focus();
  }
}

customElements.define("study-view", StudyView);

// ---- where it is shown

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
