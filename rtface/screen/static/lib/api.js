// Requests to the screen's server.

/** An answer that says what failed. */
export class Refused extends Error {
  /** @param {string} text @param {string} kind @param {string} code */
  constructor(text, kind, code) {
    super(text);
    this.text = text;
    this.kind = kind;
    this.code = code;
  }
}

/** @param {string} path @returns {Promise<any>} */
export function get(path) {
  return request(path, { method: "GET" });
}

/** @param {string} path @param {any} [body] @returns {Promise<any>} */
export function post(path, body = {}) {
  return request(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
}

/** @param {string} path @param {RequestInit} options @returns {Promise<any>} */
async function request(path, options) {
  let response;
  try {
    response = await fetch(path, { ...options, credentials: "same-origin" });
  } catch {
    throw new Refused("The screen's program does not answer. Is it running?", "Unreachable", "");
  }
  const kind = response.headers.get("content-type") ?? "";
  const said = kind.includes("json") ? await response.json() : null;
  if (response.ok) return said;
  const error = said?.error ?? { text: `${response.status} ${response.statusText}`, kind: "HTTP" };
  throw new Refused(error.text, error.kind, error.code ?? "");
}
