// Classify a picture that is chosen, dropped, pasted or picked among the samples.

import { ask, complain, drawBars, headline } from "./page.js";

const SHOWN = 10; // classes before "show all"
const SMALL = 128; // pixels; below, a picture is drawn with its pixels visible

const file = document.getElementById("file");
const result = document.getElementById("result");
const drop = document.getElementById("drop");
const picture = document.getElementById("picture");
const overlay = document.getElementById("overlay");
const label = document.getElementById("label");
const bars = document.getElementById("bars");
const more = document.getElementById("more");
const samples = [...document.querySelectorAll("[data-sample]")];
const { overlay: hasOverlay, maxBytes } = document.getElementById("answer").dataset;

let shown = null; // { original, heat, probabilities } of the picture on show
let all = false;
let questions = 0; // asked so far: a sample that is still on its way must not overtake a newer one

async function classify(blob, sample = null) {
  questions += 1;
  for (const button of samples) button.setAttribute("aria-pressed", String(button === sample));
  if (blob.size > Number(maxBytes)) {
    return complain("The picture's file is too large", "Choose a smaller one.");
  }
  const body = new FormData();
  body.append("files", blob, "picture");
  const query = hasOverlay === "true" ? "?overlay=true" : "";
  await ask({ body }, (answer) => show(answer, blob), query);
}

/** On a phone the answer lies below the samples: go there, as a person has asked for it. */
function comeIntoView() {
  if (result.getBoundingClientRect().top > innerHeight / 2) result.scrollIntoView();
}

function show(answer, blob) {
  if (shown) URL.revokeObjectURL(shown.original);
  shown = {
    original: URL.createObjectURL(blob),
    heat: answer.overlay,
    probabilities: answer.probabilities,
  };
  headline(label, answer);
  all = false;
  drawPicture();
  drawClasses();
}

function drawPicture() {
  const hot = overlay?.checked && shown.heat;
  picture.src = hot ? shown.heat : shown.original;
  picture.alt = hot ? "The picture as the model saw it, bright where it looked" : "The picture";
}

function drawClasses() {
  const count = drawBars(bars, shown.probabilities, all ? Infinity : SHOWN);
  more.hidden = count <= SHOWN;
  more.textContent = all ? "Show fewer" : `Show all ${count} classes`;
}

async function trySample(button) {
  const mine = (questions += 1);
  const response = await fetch(button.dataset.sample);
  if (mine !== questions) return;
  if (!response.ok) return complain("The sample is not there", "Reload the page.");
  await classify(await response.blob(), button);
}

/** The first file of a drop or a paste; says so where there is none. */
async function take(transfer) {
  const [first] = transfer.files;
  if (first) await classify(first);
  else complain("There is no picture in it", "Copy or drag the picture itself, not its page.");
  comeIntoView();
}

file.addEventListener("change", async () => {
  const [first] = file.files;
  file.value = ""; // so that the same file can be chosen again
  if (first) await classify(first);
  comeIntoView();
});
for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault(); // or the browser leaves the page and opens the file
    drop.classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) drop.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  take(event.dataTransfer);
});
document.addEventListener("paste", (event) => take(event.clipboardData));
picture.addEventListener("load", () => {
  picture.classList.toggle("small", Math.max(picture.naturalWidth, picture.naturalHeight) < SMALL);
});
picture.addEventListener("error", () => {
  // Some formats that the service reads (TIFF) no browser shows: show what the model saw instead.
  if (shown?.heat && picture.src !== shown.heat) picture.src = shown.heat;
});
overlay?.addEventListener("change", () => shown && drawPicture());
more.addEventListener("click", () => {
  all = !all;
  drawClasses();
});
for (const button of samples) {
  button.addEventListener("click", async () => {
    await trySample(button);
    comeIntoView();
  });
}

if (samples.length) trySample(samples[0]);
