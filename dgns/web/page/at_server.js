// The store of databases asked at its server, in the name of an account of this browser (PROTOCOL 25.8).

import { ProofFault } from "../client.js";
import { ANSWER_BYTES_MAX } from "../store/limits.js";
import { signedBytesOf } from "./signed.js";

/** Where the readers of databases (store/follow.js) get their answers from; nobody but the server is to blame for what is wrong with them. */
export class AtServer {
  /** How long an answer may wait for an entry, s. */
  waitS = 10;

  constructor(client, record) {
    Object.assign(this, { client, record });
  }

  /** Returns the bytes of the answer to a request, nothing of it verified. Throws Problem, NetworkError. */
  ask(target) {
    return signedBytesOf(this.client, this.record, target, { bytesMax: ANSWER_BYTES_MAX });
  }

  lies(code, what) {
    return new ProofFault(code, what);
  }

  unproved(code, what) {
    return new ProofFault(code, what);
  }

  caught(code, what) {
    return new ProofFault(code, what);
  }
}
