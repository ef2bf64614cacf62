// Inside a line of Markdown: code, emphasis, links. The text is hostile until proven otherwise: nodes
// are made one by one, a link must be http or https, and every search is bounded, so that a line of
// a hundred thousand brackets costs no more than any other.

import { element } from "./element.js";

const DEEPEST = 4;
const LONGEST_LINK = 2000;
const EMPHASIS = [
  ["***", ["strong", "em"]],
  ["**", ["strong"]],
  ["__", ["strong"]],
  ["~~", ["del"]],
  ["*", ["em"]],
  ["_", ["em"]],
];
const SPECIAL = /[\\`*_~[<h]/g;

/** The nodes of one run of text. */
export function renderInline(text, depth = 0) {
  const nodes = [];
  const hopeless = new Set(); // what was looked for once and is not in the rest of the text
  let plain = "";
  let at = 0;
  const flush = () => {
    if (plain) nodes.push(document.createTextNode(plain));
    plain = "";
  };
  while (at < text.length) {
    SPECIAL.lastIndex = at;
    const next = SPECIAL.exec(text)?.index ?? text.length;
    plain += text.slice(at, next);
    at = next;
    if (at === text.length) break;
    const found = construct(text, at, depth, hopeless);
    if (found === null) {
      plain += text[at];
      at += 1;
    } else {
      if (found.node) {
        flush();
        nodes.push(found.node);
      } else {
        plain += found.text;
      }
      at = found.end;
    }
  }
  flush();
  return nodes;
}

function construct(text, at, depth, hopeless) {
  switch (text[at]) {
    case "\\":
      return /[!-/:-@[-`{-~]/.test(text[at + 1] ?? "") ? { text: text[at + 1], end: at + 2 } : null;
    case "`":
      return code(text, at, hopeless);
    case "[":
      return depth < DEEPEST ? namedLink(text, at, depth) : null;
    case "<":
    case "h":
      return bareLink(text, at);
    default:
      return depth < DEEPEST ? emphasis(text, at, depth, hopeless) : null;
  }
}

function code(text, at, hopeless) {
  const ticks = /^`+/.exec(text.slice(at, at + 20))[0];
  if (hopeless.has(ticks)) return { text: ticks, end: at + ticks.length };
  let close = text.indexOf(ticks, at + ticks.length);
  while (close >= 0 && text[close + ticks.length] === "`") {
    while (text[close] === "`") close += 1;
    close = text.indexOf(ticks, close);
  }
  if (close < 0) {
    hopeless.add(ticks);
    return { text: ticks, end: at + ticks.length };
  }
  let inner = text.slice(at + ticks.length, close);
  if (inner.startsWith(" ") && inner.endsWith(" ") && inner.trim()) inner = inner.slice(1, -1);
  return { node: element("code", { dir: "auto" }, inner), end: close + ticks.length };
}

function emphasis(text, at, depth, hopeless) {
  for (const [mark, tags] of EMPHASIS) {
    if (!text.startsWith(mark, at) || hopeless.has(mark)) continue;
    const start = at + mark.length;
    const inWord = mark[0] === "_" && isWord(text[at - 1]);
    if (inWord || isSpace(text[start])) continue;
    let close = text.indexOf(mark, start + 1);
    while (close >= 0 && !closes(text, close, mark)) close = text.indexOf(mark, close + 1);
    if (close < 0) {
      hopeless.add(mark);
      continue;
    }
    const children = renderInline(text.slice(start, close), depth + 1);
    const node = tags.reduceRight((inner, tag) => [element(tag, {}, ...inner)], children)[0];
    return { node, end: close + mark.length };
  }
  // a run of marks that means nothing is skipped whole
  const run = /^[*_~]+/.exec(text.slice(at, at + 100))[0];
  return { text: run, end: at + run.length };
}

function closes(text, close, mark) {
  const after = text[close + mark.length];
  if (isSpace(text[close - 1]) || text[close - 1] === "\\" || after === mark[0]) return false;
  return mark[0] !== "_" || !isWord(after);
}

function namedLink(text, at, depth) {
  const near = text.slice(at, at + LONGEST_LINK);
  const found = /^\[([^[\]\n]{1,500})\]\((<?)([^\s()<>]{1,1500})>?(?:\s+"[^"\n]{0,200}")?\)/.exec(near);
  const url = found && webAddress(found[3]);
  if (!url) return null;
  return { node: link(url, renderInline(found[1], Math.max(depth + 1, DEEPEST))), end: at + found[0].length };
}

function bareLink(text, at) {
  const angle = text[at] === "<" ? 1 : 0;
  if (!angle && isWord(text[at - 1])) return null;
  const near = text.slice(at + angle, at + angle + LONGEST_LINK);
  const found = /^https?:\/\/[^\s<>"`\u2028\u2029]+/.exec(near)?.[0];
  if (!found) return null;
  let shown = found;
  while (!angle && ".,;:!?'*_~])}".includes(shown.at(-1))) {
    if (shown.at(-1) === ")" && shown.includes("(")) break; // as in Wikipedia's addresses
    shown = shown.slice(0, -1);
  }
  const url = webAddress(shown);
  if (!url || (angle && near[found.length] !== ">")) return null;
  return { node: link(url, [shown]), end: at + shown.length + 2 * angle };
}

/** The address if it is one of the web's; `javascript:` and its kin are not. */
function webAddress(text) {
  try {
    const url = new URL(text);
    return url.protocol === "https:" || url.protocol === "http:" ? url.href : null;
  } catch {
    return null;
  }
}

function link(url, children) {
  // the title shows where it leads, whatever it calls itself
  return element("a", { href: url, title: url, target: "_blank", rel: "noopener noreferrer nofollow" }, ...children);
}

const isSpace = (character) => character === undefined || /\s/.test(character);
const isWord = (character) => character !== undefined && /[\p{L}\p{N}]/u.test(character);
