// The Markdown that agents write, as DOM nodes, while it is still being written.
//
// A block that another one follows cannot change any more and is never drawn again; only the last
// is. No markup of the text survives: all of it becomes text nodes.

import { copyButton, element } from "./element.js";
import { renderInline } from "./inline.js";

const DEEPEST = 5;
const LONGEST = 200_000; // what is longer is shown without markup

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^\s`]{0,40})/;
const HEADING = /^ {0,3}(#{1,6}) +(\S.*)$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,6})([-*+]|[0-9]{1,9}[.)])( {1,4}|$)/;
const DELIMITERS = /^ {0,3}\|?(?:\s*:?-+:?\s*\|)+\s*(?::?-+:?\s*)?$/;

/** Text that grows in `root`; `onBlock(text)` is told of each block that is finished. */
export class GrowingMarkdown {
  #root;
  #onBlock;
  #source = "";
  #settled = 0; // up to here, nothing will be drawn again
  #tail = []; // the drawn blocks that still may change
  #rest = null; // the plain text of what is too long

  constructor(root, onBlock = () => {}) {
    this.#root = root;
    this.#onBlock = onBlock;
  }

  get source() {
    return this.#source;
  }

  append(text) {
    this.#source += text;
  }

  /** Nothing will be appended any more. */
  close() {
    this.draw({ last: true });
  }

  /** Bring the page up to date with the text. */
  draw({ last = false } = {}) {
    if (this.#source.length > LONGEST) return this.#drawPlain();
    const text = this.#source.slice(this.#settled);
    const blocks = parse(text);
    // a line that is not complete may still turn out to belong to the block before it
    const certain = blocks.at(-2)?.closed || text.includes("\n", blocks.at(-1)?.start);
    const open = last ? 0 : certain ? 1 : 2;
    blocks.forEach((block, index) => this.#place(block, index));
    for (const { node } of this.#tail.splice(blocks.length)) node.remove();
    const done = this.#tail.splice(0, Math.max(0, blocks.length - open));
    for (const { node } of done) this.#onBlock(node.textContent);
    if (done.length > 0) this.#settled += done.at(-1).block.end;
  }

  #place(block, index) {
    const drawn = this.#tail[index];
    if (drawn && same(drawn.block, block)) {
      drawn.block = block;
    } else if (drawn?.update && block.type === "code" && block.language === drawn.block.language) {
      drawn.update(block.text);
      drawn.block = block;
    } else {
      const made = render(block);
      if (drawn) drawn.node.replaceWith(made.node);
      else this.#root.append(made.node);
      this.#tail[index] = { block, ...made };
    }
  }

  #drawPlain() {
    if (!this.#rest) {
      this.#rest = document.createTextNode("");
      for (const { node } of this.#tail.splice(0)) node.remove();
      this.#root.append(element("pre", { class: "plain-text", dir: "auto" }, this.#rest));
    }
    this.#rest.appendData(this.#source.slice(this.#settled + this.#rest.length));
  }
}

/** A text that will not grow. */
export function renderMarkdown(root, text) {
  const markdown = new GrowingMarkdown(root);
  markdown.append(text);
  markdown.close();
}

function same(one, other) {
  return one.type === other.type && one.raw === other.raw;
}

/** The blocks of a text, each with where it starts and ends in it. */
function parse(text, depth = 0) {
  const lines = text.split("\n").map((line) => line.replace(/\r$/, ""));
  const starts = [];
  let offset = 0;
  for (const line of text.split("\n")) {
    starts.push(offset);
    offset += line.length + 1;
  }
  starts.push(text.length);
  const blocks = [];
  let at = 0;
  while (at < lines.length) {
    if (lines[at].trim() === "") {
      at += 1;
      continue;
    }
    const block = readBlock(lines, at, depth);
    block.start = starts[at];
    block.end = Math.min(starts[block.next] ?? text.length, text.length);
    block.closed = block.type !== "list" && lines[block.next]?.trim() === "";
    block.raw = text.slice(block.start, block.end).trimEnd();
    blocks.push(block);
    at = block.next;
  }
  return blocks;
}

function readBlock(lines, at, depth) {
  const line = lines[at];
  const fence = FENCE.exec(line);
  if (fence) return readFence(lines, at, fence);
  const heading = HEADING.exec(line);
  if (heading) return { type: "heading", level: heading[1].length, text: heading[2], next: at + 1 };
  if (RULE.test(line)) return { type: "rule", next: at + 1 };
  if (depth < DEEPEST && QUOTE.test(line)) return readQuote(lines, at, depth);
  if (depth < DEEPEST && ITEM.test(line)) return readList(lines, at, depth);
  if (line.includes("|") && DELIMITERS.test(lines[at + 1] ?? "")) return readTable(lines, at);
  let next = at + 1;
  while (next < lines.length && !endsParagraph(lines[next])) next += 1;
  return { type: "paragraph", text: lines.slice(at, next).join("\n"), next };
}

function endsParagraph(line) {
  if (line.trim() === "" || FENCE.test(line) || HEADING.test(line) || RULE.test(line)) return true;
  return QUOTE.test(line) || (ITEM.test(line) && line.trim().length > 2);
}

function readFence(lines, at, [, mark, language]) {
  let next = at + 1;
  const closing = (line) => line.trim().startsWith(mark) && /^[`~]+$/.test(line.trim());
  while (next < lines.length && !closing(lines[next])) next += 1;
  const text = lines.slice(at + 1, next).join("\n");
  return { type: "code", language, text, next: Math.min(next + 1, lines.length) };
}

function readQuote(lines, at, depth) {
  let next = at;
  while (next < lines.length && QUOTE.test(lines[next])) next += 1;
  const inner = lines.slice(at, next).map((line) => line.replace(QUOTE, ""));
  return { type: "quote", blocks: parse(inner.join("\n"), depth + 1), next };
}

function readList(lines, at, depth) {
  const first = ITEM.exec(lines[at]);
  const ordered = /[0-9]/.test(first[2]);
  const items = [];
  let next = at;
  while (next < lines.length) {
    const found = ITEM.exec(lines[next]);
    if (!found || found[1].length > first[1].length + 1 || /[0-9]/.test(found[2]) !== ordered) break;
    if (RULE.test(lines[next])) break;
    const indent = found[0].length;
    const inner = [lines[next].slice(indent)];
    next += 1;
    while (next < lines.length && belongs(lines, next, first[1].length)) {
      inner.push(lines[next].replace(new RegExp(`^ {0,${indent}}`), ""));
      next += 1;
    }
    while (inner.length > 1 && inner.at(-1).trim() === "") inner.pop();
    items.push(parse(inner.join("\n"), depth + 1));
  }
  return { type: "list", ordered, first: ordered ? parseInt(first[2], 10) : null, items, next };
}

/** Whether a line goes on with the item before it: it is indented, or goes on with its paragraph. */
function belongs(lines, at, indent) {
  const line = lines[at];
  if (line.trim() === "") {
    const following = lines[at + 1] ?? "";
    return following.trim() !== "" && (/^ {2,}/.test(following) || ITEM.test(following));
  }
  if (/^ +/.exec(line)?.[0].length > indent + 1) return true;
  return lines[at - 1].trim() !== "" && !endsParagraph(line) && !ITEM.test(line);
}

function readTable(lines, at) {
  let next = at + 2;
  while (next < lines.length && lines[next].includes("|")) next += 1;
  const rows = [lines[at], ...lines.slice(at + 2, next)].map((line) =>
    line.trim().replace(/^\||\|$/g, "").split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|")),
  );
  return { type: "table", rows, next };
}

function render(block) {
  switch (block.type) {
    case "code":
      return renderCode(block);
    case "heading":
      return { node: element(`h${Math.min(block.level + 2, 6)}`, { dir: "auto" }, ...renderInline(block.text)) };
    case "rule":
      return { node: element("hr") };
    case "quote":
      return { node: element("blockquote", { dir: "auto" }, ...block.blocks.map((inner) => render(inner).node)) };
    case "list":
      return { node: renderList(block) };
    case "table":
      return { node: renderTable(block) };
    default:
      return { node: element("p", { dir: "auto" }, ...renderInline(block.text)) };
  }
}

function renderCode({ language, text }) {
  const shown = document.createTextNode(text);
  const node = element(
    "figure",
    { class: "code" },
    element("figcaption", {}, element("span", {}, language || "text"), copyButton(() => shown.data, "Copy the code")),
    element("pre", { tabindex: "0", dir: "ltr" }, element("code", {}, shown)),
  );
  const update = (newer) => {
    if (newer.startsWith(shown.data)) shown.appendData(newer.slice(shown.data.length));
    else shown.data = newer;
  };
  return { node, update };
}

function renderList({ ordered, first, items }) {
  const children = items.map((blocks) => {
    const tight = blocks.length > 0 && blocks[0].type === "paragraph";
    const head = tight ? renderInline(blocks[0].text) : [];
    const rest = (tight ? blocks.slice(1) : blocks).map((block) => render(block).node);
    return element("li", { dir: "auto" }, ...head, ...rest);
  });
  return ordered ? element("ol", { start: first }, ...children) : element("ul", {}, ...children);
}

function renderTable({ rows: [head, ...body] }) {
  const row = (cells, tag) =>
    element("tr", {}, ...cells.map((cell) => element(tag, { dir: "auto" }, ...renderInline(cell))));
  return element(
    "div",
    { class: "table", tabindex: "0" },
    element("table", {}, element("thead", {}, row(head, "th")), element("tbody", {}, ...body.map((cells) => row(cells, "td")))),
  );
}
