// A text/event-stream, as it arrives. Pure. https://html.spec.whatwg.org/multipage/server-sent-events.html

// Feed it text; it calls `onEvent({id, event, data})` for each event that is whole, and `onRetry(milliseconds)`.
export function eventReader(onEvent, onRetry = () => {}) {
  let buffer = "";
  let id = "";
  let event = "";
  let data = [];

  const line = (written) => {
    if (!written) {
      if (data.length) onEvent({ id, event: event || "message", data: data.join("\n") });
      event = "";
      data = [];
      return;
    }
    const found = /^([^:]*)(?:: ?(.*))?$/s.exec(written);
    const [field, value] = [found[1], found[2] || ""];
    if (field === "data") data.push(value);
    else if (field === "event") event = value;
    else if (field === "id" && !value.includes("\0")) id = value;
    else if (field === "retry" && /^\d+$/.test(value)) onRetry(Number(value));
  };

  return (text) => {
    buffer += text;
    // A carriage return at the end may be half of a line's end.
    const lines = buffer.split(/\r\n|\n|\r(?!$)/);
    buffer = lines.pop();
    lines.forEach(line);
  };
}
