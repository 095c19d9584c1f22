// Light or dark: as the system has it, until one chooses.
import { html, useState } from "../vendor/preact.js";

const STORED = "console-theme";
const NEXT = { system: "light", light: "dark", dark: "system" };

function apply(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

export function ThemeButton() {
  const [theme, setTheme] = useState(() => localStorage.getItem(STORED) ?? "system");
  apply(theme);
  const change = () => {
    localStorage.setItem(STORED, NEXT[theme]);
    setTheme(NEXT[theme]);
  };
  return html`<button type="button" class="button quiet" onClick=${change} aria-label=${`Colours: ${theme}; change to ${NEXT[theme]}`}>
    <span aria-hidden="true">${{ system: "◐", light: "☀", dark: "☾" }[theme]}</span></button>`;
}
