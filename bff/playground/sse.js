// Server-Sent Events, as text comes in: https://html.spec.whatwg.org/multipage/server-sent-events.html
// The browser's own EventSource can neither POST nor send a header, so the page reads streams itself.

export class EventParser {
  #rest = "";
  #data = [];
  #event = "";
  #id = "";
  retry = null;

  /** The events that this piece of text completes, each `{id, event, data}`. */
  push(text) {
    // a CR that ends the piece may be half of a CRLF: it waits
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop();
    return lines.map((line) => this.#line(line)).filter((event) => event !== null);
  }

  #line(line) {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#event = value;
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    else if (field === "retry" && /^[0-9]+$/.test(value)) this.retry = Number(value);
    return null;
  }

  #dispatch() {
    const event = { id: this.#id, event: this.#event || "message", data: this.#data.join("\n") };
    const empty = this.#data.length === 0;
    this.#data = [];
    this.#event = "";
    return empty ? null : event;
  }
}
