// Elements, numbers and requests: what every part of the console needs.

export const byId = (id) => document.getElementById(id);

/** Make an element; children are elements or text, never markup. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Set a text only if it is another one: what does not change is not laid out again. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function count(number) {
  if (number < 10000) return String(Math.round(number));
  for (const [size, letter] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (number >= size) return `${(number / size).toPrecision(3)}${letter}`;
  }
  return String(number);
}

export function bytes(number) {
  for (const [size, letters] of [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]]) {
    if (number >= size) return `${(number / size).toPrecision(3)} ${letters}`;
  }
  return `${Math.round(number)} B`;
}

export function span(seconds) {
  if (seconds < 0.0995) return `${(seconds * 1000).toPrecision(2)} ms`;
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

let noticeTimer = 0;
export function notice(text) {
  const element = byId("notice");
  element.textContent = text;
  element.hidden = false;
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => { element.hidden = true; }, 6000);
}

// ---- the token ------------------------------------------------------------------------

export const token = {
  get value() { return sessionStorage.getItem("odp-trio token") ?? ""; },
  set value(text) { text ? sessionStorage.setItem("odp-trio token", text) : sessionStorage.removeItem("odp-trio token"); },
};

/** Ask for the token; resolves to whether there is one now. */
export function askToken(why) {
  const dialog = byId("token-dialog");
  if (dialog.open) return Promise.resolve(false);
  if (why) say(byId("token-why"), why);
  byId("token-value").value = token.value;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      if (dialog.returnValue === "use") token.value = byId("token-value").value.trim();
      if (dialog.returnValue === "forget") token.value = "";
      document.dispatchEvent(new Event("token"));
      resolve(dialog.returnValue === "use" && token.value !== "");
    }, { once: true });
  });
}

/** Ask the proxy; throws an Error with what it says. */
export async function ask(path, body) {
  const headers = token.value ? { authorization: `Bearer ${token.value}` } : {};
  const options = body === undefined ? { headers }
    : { method: "POST", headers: { ...headers, "content-type": "application/json" }, body: JSON.stringify(body) };
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("the proxy does not answer");
  }
  const answer = await response.json();
  if (!response.ok) throw Object.assign(new Error(answer.error), { status: response.status });
  return answer;
}

/** Change something: with the token, which is asked for if need be; answers whether it was done. */
export async function change(path, body) {
  if (!token.value && !(await askToken("Changes need the proxy's http_token. It is kept in this tab only."))) return false;
  try {
    notice((await ask(path, body)).done);
    return true;
  } catch (error) {
    notice(error.message);
    if (error.status === 401) token.value = "";
    return false;
  }
}
