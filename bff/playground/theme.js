// Before the first paint: the theme that was chosen, if one was. Not a module, since those come late.
try {
  const theme = localStorage.getItem("bff.theme");
  if (theme) document.documentElement.dataset.theme = theme;
} catch {
  // storage is switched off; the system's theme is used
}
