// What is no picture, in the place of one: reports as text, files to open, videos.

import { ask, token } from "./archive.js";
import { TAG, text } from "./dicom.js";
import { h, saveBlob } from "./dom.js";
import { icon } from "./icons.js";

// By what stands behind the root of the storage classes in their UIDs.
const HOW = { 88: report, 104: file };

// The documents among some instances as one element, or null; what they say comes when it is there.
export function documents(base, instances, signal) {
  const made = instances.map((one) => {
    const kind = text(one, TAG.SOPClassUID).split(".")[9];
    return HOW[kind] && (() => HOW[kind](`${base}/instances/${text(one, TAG.SOPInstanceUID)}/rendered`, signal));
  }).filter(Boolean).slice(0, 50).map((make) => make());
  return made.length ? h("div", { class: "papers", tabIndex: 0, role: "group", "aria-label": "Documents" }, ...made) : null;
}

function report(path, signal) {
  const shown = h("pre");
  ask(path, { accept: "text/plain", signal }).then((answer) => answer.text()).catch((error) => `It cannot be shown: ${error.message}`).then((said) => { shown.textContent = said; });
  return shown;
}

// A token does not go with a link.
function file(path, signal) {
  const inside = [icon("open"), "Open document"];
  if (!token()) return h("p", {}, h("a", { class: "button", href: path, target: "_blank", rel: "noopener" }, ...inside));
  const button = h("button", { type: "button", onclick: () => ask(path, { accept: "*/*", signal }).then((answer) => answer.blob()).then((blob) => saveBlob(blob, `document.${blob.type.split("/")[1]}`), (error) => button.replaceChildren(error.message)) }, ...inside);
  return h("p", {}, button);
}

export function video(blob) {
  return h("video", { class: "papers", controls: true, src: URL.createObjectURL(blob), "aria-label": "Video" });
}
