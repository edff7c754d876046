// The frames of a series as rendered pictures: wheel, keys, touch, slider; window by drag; cine.

import { ask, askJson } from "./archive.js";
import { h, say } from "./dom.js";
import { icon } from "./icons.js";
import { PRESETS, around, dragged, pictureUrl, windowOf } from "./imaging.js";

const AHEAD = 40;
const AT_ONCE = 3;
const KEPT = 160;
const WHEEL = 60;

class ImageStack extends HTMLElement {
  connectedCallback() {
    if (this.stage) return;
    this.reset();
    this.canvas = h("canvas", { width: 1, height: 1, "aria-hidden": "true" });
    this.place = h("span", { class: "place-in-stack" });
    this.windowing = h("span", { class: "windowing" });
    this.message = h("p", { class: "stack-message" });
    this.stage = h("div", { class: "stage", tabIndex: 0, role: "group", "aria-label": "Image" }, this.canvas, this.place, this.windowing, this.message);
    this.slider = h("input", { type: "range", min: 1, max: 1, value: 1, "aria-label": "Image in the series", oninput: () => this.show(this.slider.value - 1) });
    const button = (name, symbol, action) => h("button", { type: "button", class: "plain", "aria-label": name, title: name, onclick: action }, icon(symbol));
    this.cineButton = button("Play", "play", () => this.play(!this.playing));
    this.presets = h("select", { "aria-label": "Window", onchange: () => this.preset(this.presets.value) },
      h("option", { value: "" }, "As stored"), ...PRESETS.map((preset, at) => h("option", { value: at }, preset.name)));
    this.append(this.stage, h("div", { class: "stack-controls" }, this.cineButton, this.slider, this.presets, button("Window as stored", "reset", () => this.preset(""))));
    this.listen();
  }

  disconnectedCallback() {
    this.play(false);
    this.running.abort();
  }

  reset() {
    this.running?.abort();
    this.running = new AbortController();
    this.cache?.forEach((picture) => picture.close?.());
    Object.assign(this, { frames: [], at: 0, window: null, cache: new Map(), loading: new Map(), metadata: new Map(), queue: [] });
  }

  // Show other frames, beginning in their middle.
  load(frames, name, modality = "") {
    this.play(false);
    this.reset();
    this.put(null);
    this.frames = frames;
    this.name = name;
    this.slider.max = Math.max(frames.length, 1);
    this.presets.value = "";
    // The windows that have a name are those of Hounsfield units.
    this.presets.hidden = modality !== "CT";
    this.toggleAttribute("data-single", frames.length < 2);
    say(this.message, frames.length ? "" : "No images in this series");
    if (frames.length) this.show(Math.floor((frames.length - 1) / 2));
    else this.blank();
  }

  // Something else in the place of pictures, until there are others; or nothing.
  put(element) {
    URL.revokeObjectURL(this.paper?.src);
    this.paper?.remove();
    this.paper = element;
    if (!element) return;
    this.blank();
    say(this.message, "");
    this.stage.append(element);
  }

  // All frames of a video are one.
  only(frame) {
    this.frames = this.frames.filter((one) => one === frame || one.instance !== frame.instance);
    this.at = this.frames.indexOf(frame);
    this.slider.max = this.frames.length;
    this.slider.value = this.at + 1;
    this.toggleAttribute("data-single", this.frames.length < 2);
  }

  blank() {
    this.canvas.width = this.canvas.height = 1;
    say(this.place, "");
    say(this.windowing, "");
  }

  get frame() {
    return this.frames[this.at];
  }

  step(by) {
    if (this.frames.length) this.show(Math.min(Math.max(this.at + by, 0), this.frames.length - 1));
  }

  async show(at) {
    this.at = at;
    this.slider.value = at + 1;
    this.slider.setAttribute("aria-valuetext", `Image ${at + 1} of ${this.frames.length}`);
    say(this.place, `${at + 1} / ${this.frames.length}`);
    say(this.windowing, this.window ? `C ${this.window.center}  W ${this.window.width}` : "");
    this.stage.setAttribute("aria-label", `Image ${at + 1} of ${this.frames.length}${this.name ? `, ${this.name}` : ""}`);
    this.queue = around(at, this.frames.length, AHEAD);
    const url = this.url(at);
    try {
      const picture = await this.picture(url);
      if (this.url(this.at) === url) {
        this.put(null);
        this.draw(picture);
      }
      this.prefetch();
    } catch (error) {
      if (error.name === "AbortError" || this.at !== at) return;
      if (error.video) {
        const { video } = await import("./documents.js");
        if (this.frame && this.url(this.at) === url) {
          this.put(video(error.video));
          this.only(this.frame);
        }
        return;
      }
      this.put(null);
      this.blank();
      say(this.message, `This image cannot be shown: ${error.message}`);
    }
  }

  url(at) {
    return pictureUrl(this.frames[at], this.window);
  }

  draw(picture) {
    const { canvas } = this;
    if (canvas.width !== picture.width || canvas.height !== picture.height) Object.assign(canvas, { width: picture.width, height: picture.height });
    canvas.getContext("2d").drawImage(picture, 0, 0);
    say(this.message, "");
    if (!this.drawn) this.dispatchEvent(new Event("drawn", { bubbles: true }));
    this.drawn = true;
    this.dispatchEvent(new CustomEvent("frame", { bubbles: true, detail: this.frame }));
  }

  // The picture of a URL: from memory, on its way already, or asked for now.
  picture(url) {
    if (this.cache.has(url)) return Promise.resolve(this.cache.get(url));
    if (!this.loading.has(url)) {
      const { signal } = this.running;
      const { cache, loading } = this;
      const coming = ask(url, { accept: "image/jpeg, image/png;q=0.5, video/mp4;q=0.1", signal })
        .then((response) => response.blob()).then(decoded)
        .then((picture) => {
          cache.set(url, picture);
          if (cache.size > KEPT) this.forget(cache);
          return picture;
        }).finally(() => loading.delete(url));
      loading.set(url, coming);
    }
    return this.loading.get(url);
  }

  forget(cache) {
    const [oldest] = cache.keys();
    cache.get(oldest).close();
    cache.delete(oldest);
  }

  prefetch() {
    while (this.loading.size < AT_ONCE && this.queue.length) {
      const url = this.url(this.queue.shift());
      if (this.cache.has(url)) continue;
      this.picture(url).then(() => this.prefetch(), () => {});
    }
  }

  // ---- window

  async objectHead() {
    const path = this.frame.instance;
    if (!this.metadata.has(path)) {
      const { signal } = this.running;
      this.metadata.set(path, askJson(`${path}/metadata`, { accept: "application/dicom+json", signal }).then((items) => items[0]));
    }
    return this.metadata.get(path);
  }

  async dragWindow(x, y) {
    if (!this.frame) return;
    this.window ??= windowOf(await this.objectHead().catch(() => ({})));
    this.window = dragged(this.window, x, y);
    this.presets.value = "";
    this.redraw();
  }

  // One picture at a time while somebody drags; the last window wins.
  async redraw() {
    if (this.redrawing) return;
    this.redrawing = true;
    let shown = "";
    while (this.frame && shown !== this.url(this.at)) {
      shown = this.url(this.at);
      await this.show(this.at);
    }
    this.redrawing = false;
  }

  preset(value) {
    const chosen = this.presets.hidden ? undefined : PRESETS[value];
    this.window = value !== "" && chosen ? { center: chosen.center, width: chosen.width } : null;
    this.presets.value = this.window ? value : "";
    if (this.frames.length) this.redraw();
  }

  // ---- cine

  play(on) {
    clearInterval(this.timer);
    this.playing = on && this.frames.length > 1;
    if (this.playing) this.timer = setInterval(() => this.nextInCine(), 80);
    if (!this.cineButton) return;
    this.cineButton.replaceChildren(icon(this.playing ? "pause" : "play"));
    this.cineButton.setAttribute("aria-label", this.playing ? "Pause" : "Play");
    this.cineButton.title = this.playing ? "Pause" : "Play";
  }

  nextInCine() {
    const next = (this.at + 1) % this.frames.length;
    // What is not here yet is waited for, rather than passed over.
    if (this.cache.has(this.url(next)) || !this.loading.size) this.show(next);
  }

  // ---- pointers

  listen() {
    let rolled = 0;
    this.stage.addEventListener("wheel", (event) => {
      if (this.paper) return;
      event.preventDefault();
      rolled += event.deltaMode ? event.deltaY * WHEEL : event.deltaY;
      const steps = Math.trunc(rolled / WHEEL);
      rolled -= steps * WHEEL;
      if (steps) this.step(steps);
    }, { passive: false });
    this.stage.addEventListener("pointerdown", (event) => this.drag(event));
  }

  // A mouse changes the window; one finger goes through the images, a second one changes the window.
  drag(start) {
    if (start.button || this.paper) return;
    this.fingers = (this.fingers || 0) + 1;
    const touch = start.pointerType === "touch";
    let [x, y] = [start.clientX, start.clientY];
    let moved = 0;
    const pixels = Math.max(4, Math.min(24, this.stage.clientHeight / (this.frames.length || 1)));
    const move = (event) => {
      if (event.pointerId !== start.pointerId) return;
      const [dx, dy] = [event.clientX - x, event.clientY - y];
      [x, y] = [event.clientX, event.clientY];
      if (!touch || this.fingers > 1) {
        this.dragWindow(dx, dy);
        return;
      }
      moved += dy;
      const steps = Math.trunc(moved / pixels);
      moved -= steps * pixels;
      if (steps) this.step(steps);
    };
    const end = (event) => {
      if (event.pointerId !== start.pointerId) return;
      this.fingers -= 1;
      for (const [name, action] of [["pointermove", move], ["pointerup", end], ["pointercancel", end]]) this.stage.removeEventListener(name, action);
    };
    this.stage.setPointerCapture(start.pointerId);
    for (const [name, action] of [["pointermove", move], ["pointerup", end], ["pointercancel", end]]) this.stage.addEventListener(name, action);
  }
}

async function decoded(blob) {
  if (blob.type.startsWith("video/")) throw Object.assign(new Error("it is a video"), { video: blob });
  return createImageBitmap(blob);
}

customElements.define("image-stack", ImageStack);
