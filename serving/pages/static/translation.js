// Translate what is written, a moment after the last key, and show which words were looked at.

import { ask, complain } from "./page.js";

const PAUSE = 300; // ms
const SHOWN = 0.05; // shares below are not written into their cells
const QUERY = "?alternatives=true&alignment=true";

const text = document.getElementById("text");
const translation = document.getElementById("translation");
const score = document.getElementById("score");
const others = document.getElementById("others");
const alternatives = document.getElementById("alternatives");
const looks = document.getElementById("looks");
const alignment = document.getElementById("alignment");
const samples = [...document.querySelectorAll("[data-text]")];
let timer = null;

function translate() {
  if (!text.value.trim()) return complain("there is no text", "Write a sentence.");
  const headers = { "Content-Type": "application/json" };
  return ask({ headers, body: JSON.stringify({ text: text.value }) }, show, QUERY);
}

function show(answer) {
  translation.textContent = answer.translation || "(nothing)";
  score.textContent = readable(answer.score);
  const rest = answer.alternatives.slice(1);
  others.hidden = rest.length === 0;
  alternatives.replaceChildren(
    ...rest.map((each) => {
      const row = document.createElement("li");
      row.append(element("span", each.translation || "(nothing)"));
      row.append(element("span", readable(each.score), "share"));
      return row;
    }),
  );
  looks.hidden = answer.alignment.target.length === 0;
  drawAlignment(answer.alignment);
}

/** A column for each source word, a row for each word of the translation, darker where it looked. */
function drawAlignment({ source, target, weights }) {
  const head = document.createElement("tr");
  head.append(element("td", ""), ...source.map((word) => heading(word, "col")));
  const rows = target.map((word, n) => {
    const row = document.createElement("tr");
    row.append(heading(word, "row"), ...weights[n].map(cell));
    return row;
  });
  alignment.replaceChildren(head, ...rows);
}

function heading(word, scope) {
  const made = element("th", "");
  made.scope = scope;
  made.lang = scope === "col" ? alignment.dataset.source : alignment.dataset.target;
  made.append(element("span", word));
  return made;
}

function cell(share) {
  const made = element("td", share >= SHOWN ? String(Math.round(100 * share)) : "");
  // Half of the accent at most: its ground must let the number be read, in light and dark.
  made.style.setProperty("--share", `${Math.round(50 * share)}%`);
  return made;
}

/** The row and the column of a cell light up under the pointer. */
function point(event) {
  const at = event.target.closest("td, th");
  for (const marked of alignment.querySelectorAll(".at")) marked.classList.remove("at");
  if (event.type === "pointerleave" || !at) return;
  at.parentElement.firstElementChild.classList.add("at");
  alignment.rows[0].cells[at.cellIndex].classList.add("at");
}

function readable(value) {
  return value.toFixed(2).replace("-", "−");
}

function element(tag, content, name = "") {
  const made = document.createElement(tag);
  made.className = name;
  made.textContent = content;
  return made;
}

function pressed(sample = null) {
  for (const button of samples) button.setAttribute("aria-pressed", String(button === sample));
}

text.addEventListener("input", () => {
  pressed();
  clearTimeout(timer);
  timer = setTimeout(translate, PAUSE);
});
for (const button of samples) {
  button.addEventListener("click", () => {
    text.value = button.dataset.text;
    pressed(button);
    clearTimeout(timer);
    translate();
  });
}
alignment.addEventListener("pointerover", point);
alignment.addEventListener("pointerleave", point);

const names = new Intl.DisplayNames(["en"], { type: "language", fallback: "code" });
for (const each of document.querySelectorAll("[data-language]")) {
  try {
    each.textContent = names.of(each.dataset.language);
  } catch {
    // No code of a language: it stays as the model calls it.
  }
}

// A browser may bring back the text of an earlier visit: begin with the first example.
if (samples.length) samples[0].click();
