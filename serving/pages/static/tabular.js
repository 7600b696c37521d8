// Ask again whenever a value changes, a moment after the last change.

import { ask, complain, drawBars, headline } from "./page.js";

const PAUSE = 60; // ms

const label = document.getElementById("label");
const change = document.getElementById("change");
const bars = document.getElementById("bars");
const average = document.getElementById("average");
const choices = [...document.querySelectorAll("#average, [data-row]")];
const first = average ? "the average row" : "the first example";
let timer = null;
let reference = null; // the prediction for it

const fields = [...document.querySelectorAll(".field")].map((box) => ({
  name: box.dataset.name,
  nullable: "nullable" in box.dataset,
  start: box.dataset.start,
  low: Number(box.dataset.low),
  high: Number(box.dataset.high),
  decimals: Number(box.dataset.decimals),
  number: box.querySelector("[type=number]"),
  slider: box.querySelector("[type=range]"),
  outside: box.querySelector(".outside"),
  words: box.querySelector("select, [type=text]"), // of a category or a text
}));

function predict() {
  const row = {};
  for (const field of fields) {
    const value = field.number ? number(field) : field.words.value || null; // empty is missing
    const control = field.number ?? field.words;
    if (Number.isNaN(value) || (value === null && !field.nullable)) {
      control.setAttribute("aria-invalid", "true");
      return complain(`${field.name} needs a ${field.number ? "number" : "text"}`);
    }
    control.removeAttribute("aria-invalid");
    row[field.name] = value;
  }
  const headers = { "Content-Type": "application/json" };
  return ask({ headers, body: JSON.stringify(row) }, show);
}

/** Null where it is empty and may be, NaN where it is no number. */
function number(field) {
  const empty = field.number.value === "" && !field.number.validity.badInput;
  return empty && field.nullable ? null : field.number.valueAsNumber;
}

function show(answer) {
  if (answer.probabilities) {
    headline(label, answer);
    drawBars(bars, answer.probabilities);
    bars.hidden = false;
    return;
  }
  label.textContent = readable(answer.prediction);
  reference ??= answer.prediction; // of the row that the page opens with
  const difference = answer.prediction - reference;
  const side = difference > 0 ? "above" : "below";
  change.textContent = difference
    ? `${readable(Math.abs(difference))} ${side} ${first}'s ${readable(reference)}`
    : `for ${first}`;
}

/** Five significant digits at most. */
function readable(value) {
  return String(Number(value.toPrecision(5)));
}

function place(field, value) {
  const control = field.number ?? field.words;
  control.value = value ?? "";
  if (field.number) mark(field);
  else if (control.value !== (value ?? "")) offer(control, value);
}

/** A level that training has not seen, as one more choice. */
function offer(select, level) {
  select.add(new Option(level));
  select.value = level;
}

/** The slider and the note beside a number that has changed. */
function mark(field) {
  const value = field.number.valueAsNumber;
  if (!Number.isNaN(value)) field.slider.value = value;
  const within = Number.isNaN(value) || (value >= field.low && value <= field.high);
  field.outside.textContent = within ? "" : "outside the training data";
}

function changed(choice = null) {
  for (const button of choices) button.setAttribute("aria-pressed", String(button === choice));
  clearTimeout(timer);
  timer = setTimeout(predict, PAUSE);
}

for (const field of fields) {
  if (field.words) {
    field.words.addEventListener("input", () => changed());
    continue;
  }
  field.slider.addEventListener("input", () => {
    const rounded = Number(field.slider.valueAsNumber.toFixed(field.decimals));
    field.number.value = Math.min(field.high, Math.max(field.low, rounded));
    mark(field);
    changed();
  });
  field.number.addEventListener("input", () => {
    mark(field);
    changed();
  });
}
document.getElementById("row").addEventListener("submit", (event) => event.preventDefault());

function choose(button) {
  const row = button === average ? null : JSON.parse(button.dataset.row);
  for (const field of fields) place(field, row ? row[field.name] : field.start);
}

for (const button of choices) {
  button.addEventListener("click", () => {
    choose(button);
    changed(button);
  });
}

// A browser may bring back the values of an earlier visit: begin with the first choice.
choose(choices[0]);
choices[0].setAttribute("aria-pressed", "true");
predict();
