"use strict";
// Text from data only ever goes through `textContent` and attributes set one by one here.

const shared = JSON.parse(document.getElementById("shared").textContent);

function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") node.className = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.filter((c) => c !== null && c !== undefined));
  return node;
}

function blockData(block) {
  return JSON.parse(block.querySelector("script.data").textContent);
}

// Languages --------------------------------------------------------------------------------

function languageOf(code) {
  return shared.languages[code] || { tag: "und", name: code, dir: "auto" };
}

function inLanguage(text, code) {
  const language = languageOf(code);
  return el("bdi", { lang: language.tag, dir: language.dir }, String(text));
}

// Numbers ----------------------------------------------------------------------------------

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

function percent(value, unit = "\u00a0%") {
  return (100 * value).toFixed(1).replace("-", "\u2212") + unit;
}

function number(value, digits = 3) {
  if (typeof value === "string") return value;
  const size = Math.abs(value);
  const text = size >= 1000 || (Number.isInteger(value) && digits === 3) ? whole.format(value) : value.toFixed(size >= 10 ? 1 : digits);
  return text.replace("-", "\u2212");
}

const FORMATS = {
  share: (v) => percent(v),
  number: (v) => number(v),
  int: (v) => (typeof v === "number" ? whole.format(v).replace("-", "\u2212") : v),
  tokens: (v) => (typeof v === "number" ? short.format(v) : v),
};

function isNumeric(format) {
  return format in FORMATS || format.startsWith("interval");
}

// Light and dark ---------------------------------------------------------------------------

const dark = window.matchMedia("(prefers-color-scheme: dark)");
const themed = [];

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : dark.matches;
}

function applyTheme() {
  const config = isDark() ? shared.dark : shared.light;
  config.range.category.forEach((colour, i) => document.documentElement.style.setProperty(`--s${i}`, colour));
  const button = document.getElementById("theme");
  button.textContent = isDark() ? "Light" : "Dark";
  button.setAttribute("aria-label", isDark() ? "Switch to the light theme" : "Switch to the dark theme");
  themed.forEach((redraw) => redraw());
}
