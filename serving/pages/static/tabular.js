// Ask again whenever a number changes, a moment after the last change.

import { ask, complain, drawBars, headline } from "./page.js";

const PAUSE = 60; // ms

const label = document.getElementById("label");
const change = document.getElementById("change");
const bars = document.getElementById("bars");
const average = document.getElementById("average");
const choices = [average, ...document.querySelectorAll("[data-row]")];
let timer = null;
let reference = null; // the prediction for the average row

const fields = [...document.querySelectorAll(".field")].map((box) => ({
  name: box.dataset.name,
  start: box.dataset.start,
  low: Number(box.dataset.low),
  high: Number(box.dataset.high),
  decimals: Number(box.dataset.decimals),
  number: box.querySelector("[type=number]"),
  slider: box.querySelector("[type=range]"),
  outside: box.querySelector(".outside"),
}));

function predict() {
  const row = {};
  for (const field of fields) {
    const value = field.number.valueAsNumber; // NaN where it is empty or no number
    if (Number.isNaN(value)) {
      field.number.setAttribute("aria-invalid", "true");
      return complain(`${field.name} needs a number`);
    }
    field.number.removeAttribute("aria-invalid");
    row[field.name] = value;
  }
  const headers = { "Content-Type": "application/json" };
  return ask({ headers, body: JSON.stringify(row) }, show);
}

function show(answer) {
  if (answer.probabilities) {
    headline(label, answer);
    drawBars(bars, answer.probabilities);
    bars.hidden = false;
    return;
  }
  label.textContent = readable(answer.prediction);
  reference ??= answer.prediction; // the page opens with the average row
  const difference = answer.prediction - reference;
  const side = difference > 0 ? "above" : "below";
  change.textContent = difference
    ? `${readable(Math.abs(difference))} ${side} the average row's ${readable(reference)}`
    : "for the average row";
}

/** Five significant digits at most. */
function readable(value) {
  return String(Number(value.toPrecision(5)));
}

function place(field, value) {
  field.number.value = value;
  mark(field);
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
for (const button of choices) {
  button.addEventListener("click", () => {
    const row = button === average ? null : JSON.parse(button.dataset.row);
    for (const field of fields) place(field, row ? row[field.name] : field.start);
    changed(button);
  });
}

// A browser may bring back the numbers of an earlier visit: begin with the average row.
for (const field of fields) place(field, field.start);
predict();
