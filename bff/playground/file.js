// A file on the page: a picture is shown, everything else is there to be saved. Nothing is opened.
//
// What somebody sent, or an agent made, may be anything. So a picture is shown as a picture only,
// from bytes that were fetched with our credential; no other origin is asked, and a download never
// has a type that a browser would run.

import { element, icon } from "./element.js";
import { Problem } from "./api.js";

const SHOWN = new Set(["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp"]);
const LARGEST_SHOWN_BYTES = 12 * 1024 * 1024;
const OWN = /^\/v1\/files\/(file-[0-9a-f]{32})\/content$/;

/** The files among a message's parts, as the protocol has them. */
export function filesIn(parts = []) {
  return parts.filter((part) => part.source).map(({ source, filename }) => fileOf(source.type, source.value, source.mimeType, filename));
}

/** The file of an event of the agent's. */
export function fileMade({ url, data, mimeType, filename }) {
  return fileOf(url ? "url" : "data", url ?? data, mimeType, filename);
}

function fileOf(type, value, mimeType = "", filename = "") {
  const own = type === "url" ? OWN.exec(value)?.[1] : type === "file" ? value : null;
  return { id: own, url: type === "url" && !own ? value : null, data: type === "data" ? value : null, mimeType, name: filename || "" };
}

/** What the page shows of a file; `load(id)` gives the content of one of ours. */
export function fileCard(file, load) {
  const name = file.name || (file.mimeType.startsWith("image/") ? "Picture" : "File");
  if (file.url) return elsewhere(file, name);
  const content = async () => (file.blob ? file.blob : file.data !== null ? decoded(file.data, file.mimeType) : load(file.id));
  const note = element("span", { class: "quiet", role: "status" });
  const save = element("button", { type: "button", class: "plain save", "aria-label": `Save ${name}` }, icon("down"), element("span", { dir: "auto" }, name));
  const node = element("figure", { class: "file" }, element("figcaption", {}, save, note));
  const told = (error) => {
    const problem = Problem.from(error);
    note.textContent = problem.status === 404 ? "It is no longer kept." : problem.title;
  };
  save.addEventListener("click", async () => {
    try {
      saveAs(await content(), file.name || name);
    } catch (error) {
      told(error);
    }
  });
  if (isShown(file.mimeType)) content().then((blob) => show(node, blob, file.mimeType, name), told);
  return node;
}

/** A file at another address is a link: the page asks no other origin for anything. */
function elsewhere({ url }, name) {
  const good = /^https:\/\//.test(url);
  const link = good ? element("a", { href: url, target: "_blank", rel: "noopener noreferrer", dir: "auto" }, name) : element("span", { dir: "auto" }, name);
  return element("figure", { class: "file" }, element("figcaption", {}, link));
}

async function show(node, blob, type, name) {
  if (!isShown(type, blob.size)) return;
  const src = await dataUrl(blob, type);
  const picture = element("img", { alt: name, src, decoding: "async" });
  picture.addEventListener("error", () => picture.remove()); // it only said that it was one
  node.prepend(picture);
}

/** As a `data:` address, which is a picture and no document of this origin, whatever it holds. */
export function dataUrl(blob, type) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result));
    reader.addEventListener("error", () => reject(reader.error));
    reader.readAsDataURL(new Blob([blob], { type }));
  });
}

/** Whether something of this type is shown as a picture, as far as its size is known. */
export const isShown = (type, bytes = 0) => SHOWN.has(type) && bytes <= LARGEST_SHOWN_BYTES;

function decoded(data, type) {
  const bytes = Uint8Array.from(atob(data.replace(/\s/g, "")), (letter) => letter.charCodeAt(0));
  return new Blob([bytes], { type });
}

function saveAs(blob, name) {
  const url = URL.createObjectURL(new Blob([blob], { type: "application/octet-stream" }));
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

const UNITS = ["bytes", "KB", "MB", "GB"];

/** A size for people. */
export function sizeOf(bytes) {
  const step = Math.min(Math.floor(Math.log2(Math.max(bytes, 1)) / 10), UNITS.length - 1);
  const value = bytes / 1024 ** step;
  return `${step && value < 10 ? value.toFixed(1) : Math.round(value)} ${UNITS[step]}`;
}
