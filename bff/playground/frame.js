// What is around the conversation: the drawer on a phone, the theme, the title, the drawings.

import { byId, icon } from "./element.js";

const THEME = "bff.theme";

export function furnish() {
  for (const place of document.querySelectorAll("[data-icon]")) place.prepend(icon(place.dataset.icon));
  themes();
  const closeSidebar = drawer();
  return {
    closeSidebar,
    title(text) {
      byId("title").textContent = text;
      document.title = `${text} · agentcore-bff`;
    },
  };
}

function themes() {
  const button = byId("theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const look = () => button.setAttribute("aria-label", `Use the ${isDark() ? "light" : "dark"} theme`);
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    look();
    try {
      localStorage.setItem(THEME, root.dataset.theme);
    } catch {
      // it holds until the page is left
    }
  });
  dark.addEventListener("change", look);
  look();
}

/** On a narrow page the side bar is a drawer: out of reach while closed, and Escape closes it. */
function drawer() {
  const sidebar = byId("sidebar");
  const opener = byId("open-sidebar");
  const backdrop = byId("backdrop");
  const narrow = matchMedia("(max-width: 760px)");
  let shown = false;
  const look = () => {
    sidebar.inert = narrow.matches && !shown;
    sidebar.toggleAttribute("data-shown", shown);
    backdrop.hidden = !(narrow.matches && shown);
    opener.setAttribute("aria-expanded", String(shown));
  };
  const show = (value) => {
    const had = shown;
    shown = value;
    look();
    if (!narrow.matches) return;
    if (value) byId("close-sidebar").focus();
    else if (had) opener.focus();
  };
  opener.addEventListener("click", () => show(true));
  byId("close-sidebar").addEventListener("click", () => show(false));
  backdrop.addEventListener("click", () => show(false));
  sidebar.addEventListener("click", (event) => event.target.closest("a[href^='#']") && show(false));
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !shown || event.defaultPrevented || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    show(false);
  });
  narrow.addEventListener("change", look);
  look();
  return () => shown && show(false);
}
