// Elements are made here, from text and never from markup.

// h("button", {class: "quiet", type: "button", onclick: action, "aria-label": "Close"}, "text", element, …)
export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

export function svg(tag, properties = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name in PROPERTIES) element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const PROPERTIES = { checked: 1, value: 1, hidden: 1, disabled: 1, tabIndex: 1, indeterminate: 1 };

// Show some text only where it is another one: readers of screens are told of each change.
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// A text field has the keyboard.
export function isTyping(target) {
  return target.matches?.("input:not([type=checkbox]):not([type=range]):not([type=radio]), textarea, select") ?? false;
}

// A UID in its own type, copied by a click.
export function uidButton(uid) {
  const button = h("button", { class: "uid", type: "button", title: `${uid} (click to copy)`, onclick: () => copy(button, uid) }, uid);
  return button;
}

export async function copy(button, text) {
  try {
    await navigator.clipboard.writeText(text);
    button.dataset.copied = "yes";
    setTimeout(() => delete button.dataset.copied, 1200);
  } catch {
    // Without a secure context there is no clipboard: the text can be selected.
    getSelection().selectAllChildren(button);
  }
}

export function saveBlob(blob, name) {
  const link = h("a", { href: URL.createObjectURL(blob), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}
