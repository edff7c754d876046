// Which key does what. `KEYS` is what the help shows; `actionOf` names the action of a key. Pure.

const key = (shown, what, ...acts) => ({ shown, what, acts });

// `acts` are [key, action]; keys with Shift are written so.
export const KEYS = {
  Find: [
    key("/", "Search", ["/", "search"]),
    key("↑ ↓", "Through the list (also k, j)", ["ArrowUp", "up"], ["ArrowDown", "down"], ["k", "up"], ["j", "down"]),
    key("Home End", "First, last", ["Home", "first"], ["End", "last"], ["PageUp", "pageUp"], ["PageDown", "pageDown"]),
    key("Esc", "Close, clear, go back", ["Escape", "escape"]),
  ],
  Look: [
    key("Space", "Quick look", [" ", "look"]),
    key("Enter", "Open the study", ["Enter", "open"]),
    key("O", "Open in OHIF, in a new tab", ["o", "viewer"]),
    key("← →", "Image before, after", ["ArrowLeft", "imageBefore"], ["ArrowRight", "imageAfter"]),
    key("[ ]", "Series before, after", ["[", "seriesBefore"], ["]", "seriesAfter"]),
    key("1 2 3 4", "Window: soft tissue, lung, bone, brain", ["1", "window0"], ["2", "window1"], ["3", "window2"], ["4", "window3"]),
    key("0", "Window as stored", ["0", "window"]),
    key("P", "Play, pause", ["p", "play"]),
  ],
  Do: [
    key("X", "Select", ["x", "select"]),
    key("Shift ↑ ↓", "Select more", ["Shift ArrowUp", "selectUp"], ["Shift ArrowDown", "selectDown"]),
    key("D", "Download ZIP", ["d", "download"]),
    key("S", "Send to …", ["s", "send"]),
    key("C", "Correct …", ["c", "correct"]),
    key("Del", "Delete …", ["Delete", "remove"]),
    key("U", "Upload files", ["u", "upload"]),
    key("?", "This list", ["?", "help"]),
  ],
};

const ACTIONS = new Map(Object.values(KEYS).flat().flatMap(({ acts }) => acts));

// The action of a key event; "" for none. Keys with Ctrl, Alt or Meta belong to the browser.
export function actionOf({ key: pressed, shiftKey, ctrlKey, altKey, metaKey }) {
  if (ctrlKey || altKey || metaKey) return "";
  const plain = pressed.length === 1 ? pressed.toLowerCase() : pressed;
  if (shiftKey && pressed.length > 1) return ACTIONS.get(`Shift ${pressed}`) || "";
  return ACTIONS.get(plain) || "";
}
