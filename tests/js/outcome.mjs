// What a vector says comes of a case: a value, or a code.

import { Refused } from "../../dgns/web/cbor.js";

/** Returns what a runner returns, or the code it refuses with. */
export async function outcome(run) {
  try {
    return await run();
  } catch (error) {
    if (error instanceof Refused) return error.code;
    throw error;
  }
}
