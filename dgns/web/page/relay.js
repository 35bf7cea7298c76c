// The relay over which two devices pair (PROTOCOL 12.12): it believes nobody, and nobody believes it.

import { Reader, Refused } from "../cbor.js";
import { NetworkError } from "../client.js";
import { listOf, tuple, u64 } from "../fields.js";
import { ENDINGS, SIDE, decodeMessage, encodeMessage, sessionText } from "../pair.js";

const MESSAGES_MAX = 32;
const POLL_MS = 45_000;

/** Said when the other side ended a pairing; `code` is one of PROTOCOL 20. */
export class Ended extends Error {
  constructor(reason) {
    super(ENDINGS[reason]);
    this.code = ENDINGS[reason];
  }
}

/**
 * Returns one end of a pairing: `say(message, rings?)`, and `hear(numbers, signal)`, which waits for the other side's next message of
 * these numbers; `isOver()`. `key` = the key of the offline road (pair.js), or null; `side` = whose end this is.
 */
export function relayEnd(client, session, { side, key = null }) {
  const path = `/v1/pair/${sessionText(session)}`;
  const other = side === SIDE.old ? SIDE.new : SIDE.old;
  const waiting = [];
  let after = 0n;
  const poll = async (signal) => {
    const bytes = await polled(`${client.base}${path}?after=${after}`, signal);
    const reader = new Reader(bytes);
    const rows = listOf(tuple(u64, (r) => r.bstr()), 0, MESSAGES_MAX)(reader);
    reader.end();
    for (const [place, body] of rows) {
      after = place;
      const message = await opened(body);
      if (message !== null) waiting.push(message);
    }
  };
  /** Whatever does not open is not there; and online both hear what they said themselves. */
  const opened = async (body) => {
    try {
      return decodeMessage(key === null ? body : await key.open(other, body));
    } catch (error) {
      if (error instanceof Refused) return null;
      throw error;
    }
  };
  return {
    say: async (message, rings) => {
      const bytes = encodeMessage(message);
      await client.net.post(`${path}${rings === undefined ? "" : `?rings=${rings}`}`, key === null ? bytes : await key.seal(side, bytes));
    },
    /** Whether somebody ended it, as far as was heard. */
    isOver: () => waiting.some(({ number }) => number === 6),
    hear: async (numbers, signal) => {
      for (;;) {
        signal?.throwIfAborted();
        const at = waiting.findIndex(({ number }) => numbers.includes(number) || number === 6);
        if (at >= 0) {
          const [message] = waiting.splice(0, at + 1).slice(-1);
          if (message.number === 6) throw new Ended(message.reason);
          return message;
        }
        waiting.length = 0;
        await poll(signal);
      }
    },
  };
}

/** Asks the relay, which answers when there is something, or after 25 s. */
async function polled(url, signal) {
  try {
    const signals = [AbortSignal.timeout(POLL_MS), ...(signal === undefined ? [] : [signal])];
    const response = await fetch(url, { cache: "no-store", credentials: "omit", signal: AbortSignal.any(signals) });
    if (response.ok) return new Uint8Array(await response.arrayBuffer());
    throw new Error(`status ${response.status}`);
  } catch (error) {
    signal?.throwIfAborted();
    throw new NetworkError(`${url}: ${error.message}`);
  }
}

