// HTTP for the client: bounded bodies, problems decoded, everything else a network error.

import { concat } from "./hash.js";

const BODY_BYTES_MAX = 1 << 20;
const TIMEOUT_MS = 20_000;

/** No answer, or none that is HTTP as PROTOCOL 12 has it. A repeat is safe. */
export class NetworkError extends Error {
  constructor(what) {
    super(what);
    this.code = "network";
  }
}

/** The server refused, with a code of PROTOCOL 12.2: `code`, `status`, `detail`, and what else the problem says. */
export class Problem extends Error {
  constructor(status, fields) {
    super(`${fields.code}: ${fields.detail}`);
    Object.assign(this, fields, { status });
  }
}

/** Returns the requests of a client of `base`: `get`, `post` (bytes), `text`, `json`. */
export function net(base, fetch) {
  const root = base.replace(/\/+$/, "");
  const ask = async (path, init) => {
    let response;
    let bytes;
    try {
      response = await fetch(`${root}${path}`, { cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(TIMEOUT_MS), ...init });
      bytes = await bounded(response);
    } catch (error) {
      throw new NetworkError(`${root}${path}: ${error.message}`);
    }
    if (!response.ok) throw problemOf(response, bytes, `${root}${path}`);
    return bytes;
  };
  const utf8 = (bytes) => new TextDecoder().decode(bytes);
  return {
    get: (path) => ask(path, { headers: { accept: "application/cbor" } }),
    post: (path, body, headers = {}) => ask(path, { method: "POST", body, headers: { "content-type": "application/cbor", ...headers } }),
    text: async (path) => utf8(await ask(path)),
    json: async (path) => parsed(utf8(await ask(path, { headers: { accept: "application/json" } })), `${root}${path}`),
  };
}

/** Returns the body of an answer, read no further than it may be long. */
export async function bounded(response, bytesMax = BODY_BYTES_MAX) {
  const [parts, reader] = [[], response.body.getReader()];
  for (let length = 0; ; ) {
    const { done, value } = await reader.read();
    if (done) return concat(...parts);
    parts.push(value);
    length += value.length;
    if (length > bytesMax) {
      await reader.cancel();
      throw new Error("the answer is too large");
    }
  }
}

function parsed(text, url) {
  try {
    return JSON.parse(text);
  } catch {
    throw new NetworkError(`${url}: not JSON`);
  }
}

function problemOf(response, bytes, url) {
  try {
    const fields = JSON.parse(new TextDecoder().decode(bytes));
    if (typeof fields.code === "string") return new Problem(response.status, fields);
  } catch {
    // told below
  }
  return new NetworkError(`${url}: status ${response.status}`);
}
