// What both pages do: ask the service, show its answer or its complaint.

const result = document.getElementById("result");
const error = document.getElementById("error");
const answer = document.getElementById("answer");
const keyForm = document.getElementById("key");
const keyField = document.getElementById("key-field");
const KEY = "labs-api-key"; // where the tab remembers it
let key = remembered();
let again = null; // the question that was refused for want of a key
let latest = null;

/** POST to predict and hand the first answer to `show`. A newer question cancels an older one. */
export async function ask(request, show, query = "") {
  latest?.abort();
  const mine = (latest = new AbortController());
  result.setAttribute("aria-busy", "true");
  const headers = key ? { ...request.headers, "X-API-Key": key } : request.headers;
  try {
    const asked = { method: "POST", signal: mine.signal, ...request, headers };
    const response = await fetch(`predict${query}`, asked);
    const body = await response.json();
    if (mine !== latest) return;
    if (response.status === 401) {
      again = () => ask(request, show, query);
      keyForm.hidden = false;
      return complain(body.error.what, "Enter yours.");
    }
    if (!response.ok) {
      const { what, where, remedy } = body.error;
      return complain(what.replace(`${where}: `, ""), remedy); // a page has one item: no need to say which
    }
    keyForm.hidden = true;
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

keyForm.addEventListener("submit", (event) => {
  event.preventDefault();
  key = keyField.value;
  try {
    sessionStorage.setItem(KEY, key);
  } catch {
    // The browser may keep nothing: then this page alone knows it.
  }
  again();
});

function remembered() {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
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
