// What only an account's own devices may ask: requests that a device signs (PROTOCOL 12.9), and the events it is told (12.11).

import { NetworkError, Problem } from "../client.js";
import { bounded } from "../net.js";
import { didText } from "../name.js";
import { authorize } from "../request.js";
import { deviceOf } from "./me.js";

const EMPTY = new Uint8Array(0);

/** Asks as the device of a record; returns the response of fetch. Throws Problem, NetworkError. */
export async function askSigned(client, record, target, { method = "GET", body = EMPTY, headers = {}, signal } = {}) {
  const { sign } = deviceOf(record);
  const request = { origin: client.origin, did: record.did, method, target, body };
  const authorization = await authorize(request, sign.key, sign.sign, Math.floor(client.now() / 1000));
  const init = { method, signal, cache: "no-store", credentials: "omit", headers: { authorization, "dgns-did": didText(record.did), ...headers } };
  if (method !== "GET") init.body = body;
  let response;
  try {
    response = await fetch(`${client.base}${target}`, init);
  } catch (error) {
    signal?.throwIfAborted();
    throw new NetworkError(`${target}: ${error.message}`);
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw typeof problem.code === "string" ? new Problem(response.status, problem) : new NetworkError(`${target}: status ${response.status}`);
}

/** Asks as the device of a record; returns the bytes of the answer, read no further than `bytesMax`. Throws Problem, NetworkError. */
export async function signedBytesOf(client, record, target, { bytesMax = Infinity, ...how } = {}) {
  const response = await askSigned(client, record, target, how);
  try {
    return await bounded(response, bytesMax);
  } catch (error) {
    how.signal?.throwIfAborted();
    throw new NetworkError(`${target}: ${error.message}`);
  }
}

/** Yields the events of a record's account, `{kind, id, data}`, from behind event `after` on, or from now on if that is null, as long as the stream stands. */
export async function* eventsOf(client, record, after, signal) {
  const response = await askSigned(client, record, "/v1/events", { headers: after === null ? {} : { "last-event-id": String(after) }, signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const frames = (text + value).split("\n\n");
    text = frames.pop();
    for (const frame of frames) {
      const fields = Object.fromEntries(frame.split("\n").map((line) => line.split(/: (.*)/s)).filter(([name, rest]) => name && rest !== undefined));
      if (fields.event !== undefined && fields.event !== "now") yield { kind: fields.event, id: Number(fields.id), data: JSON.parse(fields.data) };
    }
  }
}
