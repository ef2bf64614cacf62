// Making DOM nodes. Everything an agent or a user wrote goes in as text: no markup is ever parsed.

export const byId = (id) => document.getElementById(id);

/** A new element; properties are attributes, `on…` listeners; children are nodes or text. */
export function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  // children first: Chromium looks through all of them for each one that comes under dir="auto"
  node.append(...children.filter((child) => child !== null && child !== undefined));
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  return node;
}

const ICONS = {
  asks: "M12 4a8 8 0 1 0 0 16 8 8 0 1 0 0-16zM9.5 9.8a2.5 2.5 0 1 1 3.6 2.3c-.8.4-1.1.9-1.1 1.7M12 16.5v.01",
  check: "M5 12.5l4.5 4.5L19 7.5",
  chevron: "M9 6l6 6-6 6",
  camera: "M4 8h3l1.5-3h7L17 8h3v11H4zM12 10a3.5 3.5 0 1 0 0 7 3.5 3.5 0 1 0 0-7z",
  clip: "M19 11l-7.5 7.5a4.5 4.5 0 0 1-6.4-6.4l8-8a3 3 0 0 1 4.3 4.3l-8 8a1.5 1.5 0 0 1-2.2-2.2L14.5 7",
  close: "M6 6l12 12M18 6L6 18",
  copy: "M9 9h10v11H9zM5 15V4h10",
  cross: "M7 7l10 10M17 7L7 17",
  down: "M12 5v14M6 13l6 6 6-6",
  edit: "M4 20l1-4L16 5l3 3L8 19zM14 7l3 3",
  key: "M12 15.5a4 4 0 1 1-8 0 4 4 0 0 1 8 0zM11 12.5l9-9M15.5 8l3 3M18 5.5l2 2",
  menu: "M4 7h16M4 12h16M4 17h10",
  plus: "M12 5v14M5 12h14",
  stop: "M7 7h10v10H7z",
  theme: "M12 4a8 8 0 1 0 0 16 8 8 0 1 0 0-16zM12 4a8 8 0 0 1 0 16z",
  tool: "M14.5 6.5a4 4 0 0 1 5-2l-2.5 2.5 .5 2.5 2.5.5 2-2a4 4 0 0 1-5.5 5l-7 7a2 2 0 0 1-3-3l7-7a4 4 0 0 1 1-3.5z",
  trash: "M5 7h14M10 4h4M7 7l1 13h8l1-13M10.5 11v5M13.5 11v5",
  up: "M12 19V5M6 11l6-6 6 6",
  warning: "M12 4l9 16H3zM12 10v4M12 17v.01",
};

/** A line drawing that says nothing to a screen reader. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", `icon icon-${name}`);
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** A button that copies what `text()` gives; absent where the browser has no clipboard for us. */
export function copyButton(text, label) {
  if (!navigator.clipboard) return null;
  const button = element("button", { type: "button", class: "copy", "aria-label": label, title: label }, icon("copy"));
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text());
    } catch {
      return; // the browser said no; the text can still be selected
    }
    button.replaceChildren(icon("check"));
    setTimeout(() => button.replaceChildren(icon("copy")), 1500);
  });
  return button;
}
