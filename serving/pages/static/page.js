// What both pages do: ask the service, show its answer or its complaint.

const result = document.getElementById("result");
const error = document.getElementById("error");
const answer = document.getElementById("answer");
let latest = null;

/** POST to predict and hand the first answer to `show`. A newer question cancels an older one. */
export async function ask(request, show, query = "") {
  latest?.abort();
  const mine = (latest = new AbortController());
  result.setAttribute("aria-busy", "true");
  try {
    const response = await fetch(`predict${query}`, { method: "POST", signal: mine.signal, ...request });
    const body = await response.json();
    if (mine !== latest) return;
    if (!response.ok) {
      const { what, where, remedy } = body.error;
      return complain(what.replace(`${where}: `, ""), remedy); // a page has one item: no need to say which
    };
    show(body.answers[0]);
    error.hidden = true;
    answer.hidden = false;
  } catch (problem) {
    if (mine === latest) complain("The service does not answer", "Is it still running?");
  } finally {
    if (mine === latest) result.setAttribute("aria-busy", "false");
  }
}

/** Say what is wrong where the answer would stand. */
export function complain(what, remedy = "") {
  latest?.abort();
  latest = null;
  const sentence = what[0].toUpperCase() + what.slice(1).replace(/\.$/, "");
  error.textContent = `${sentence}. ${remedy}`;
  error.hidden = false;
  answer.hidden = true;
  result.setAttribute("aria-busy", "false");
}

/** One bar a class, the likeliest first, at most `limit` of them. Returns how many there are. */
export function drawBars(list, probabilities, limit = Infinity) {
  const sorted = Object.entries(probabilities).sort((a, b) => b[1] - a[1]);
  list.replaceChildren(
    ...sorted.slice(0, limit).map(([name, share]) => {
      const row = document.createElement("li");
      const track = element("span", "track");
      const bar = document.createElement("span");
      bar.style.width = `${100 * share}%`;
      track.append(bar);
      row.append(element("span", "name", name), element("span", "share", percent(share)), track);
      return row;
    }),
  );
  return sorted.length;
}

/** The class in large, its probability beside it. */
export function headline(output, answer) {
  const share = element("span", "", ` ${percent(answer.probabilities[answer.label])}`);
  output.replaceChildren(answer.label, share);
}

/** 0.1234 -> 12.3 % */
function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}

function element(tag, name, text = "") {
  const made = document.createElement(tag);
  made.className = name;
  made.textContent = text;
  return made;
}
