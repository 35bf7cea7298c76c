// The store of databases asked through a host: the same requests and the same checks as over HTTP, over a channel (PROTOCOL 23.18). The host is not believed:
// what it hands on was signed by the store, or is named by its hash. It can refuse, and hold back.

import { Refused } from "../cbor.js";
import { ProofFault } from "../client.js";
import { concat } from "../hash.js";
import { GONE } from "../store/follow.js";
import { PeerFault } from "./connect.js";
import { ASKED_BYTES_MAX } from "./share.js";

/** Where the readers of databases (store/follow.js) get their answers from, and who is to blame for what is wrong with them. */
export class AtHost {
  /** How long an answer may wait for an entry, s: others are asked for over the same connection. */
  waitS = 1;

  constructor(connection) {
    Object.assign(this, { connection, client: connection.client });
  }

  /** Returns the bytes of the answer to a request, nothing of it verified. Refuses with the store's code or the host's; with `withheld` what the store is said to lack. */
  async ask(target) {
    const { connection } = this;
    const [parts, place] = [[], { length: 0 }];
    const hear = (said, done) => {
      if (said.t !== "piece") return;
      const goesOn = said.offset === BigInt(place.length) && (said.last || said.bytes.length > 0) && BigInt(place.length + said.bytes.length) <= ASKED_BYTES_MAX;
      if (!goesOn) throw connection.nonsense();
      parts.push(said.bytes);
      place.length += said.bytes.length;
      if (said.last) done();
    };
    await connection.asks({ t: "ask", target }, hear).catch((error) => {
      throw [...GONE, "moved"].includes(error.code) ? new Refused("withheld", `the host says that the store does not have what was asked for (${error.code})`) : error;
    });
    return concat(...parts);
  }

  /** The fault of the host: it hands on what the store never said, or not now. */
  lies(code, what) {
    return new PeerFault(code, what);
  }

  /** The fault of a host that shows what may be what the store said long ago. */
  unproved(_code, what) {
    return new PeerFault("bad_host", `the host shows what the store does not say now: ${what}`);
  }

  /** The fault of the store, by what it signed. */
  caught(code, what) {
    return new ProofFault(code, what);
  }
}
