// What a page's worker reads of a push.

import assert from "node:assert/strict";
import { test } from "node:test";

import { encode } from "../../dgns/web/cbor.js";
import { readPush } from "../../dgns/web/push.js";

const of = (rows) => encode(new Map(rows));
const log = new Uint8Array(16).fill(7);

test("a push says numbers and the name of an event, and anything else is nothing", () => {
  assert.deepEqual(readPush(of([[1, log], [2, 9]])), { log, size: 9n });
  assert.deepEqual(readPush(of([[3, "device_added"], [4, 12]])), { event: "device_added", index: 12n });
  assert.deepEqual(readPush(of([[3, "due"]])), { event: "due", index: null });
  const nothing = [
    new Uint8Array(), new Uint8Array(129), of([]), of([[1, log]]), of([[1, log.subarray(1)], [2, 9]]), of([[1, log], [2, 9], [3, "due"]]), of([[1, log], [2, 9], [4, 1]]),
    of([[3, "Your money is gone: call 0123"]]), of([[3, "<b>"]]), of([[3, ""]]), of([[4, 12]]), of([[3, "due"], [5, 1]]).subarray(0, 5), of([[3, new Uint8Array(3)]]),
  ];
  for (const bytes of nothing) assert.equal(readPush(bytes), null, Buffer.from(bytes).toString("hex"));
  const whole = of([[3, "device_added"], [4, 12]]);
  for (let end = 0; end < whole.length; end++) assert.equal(readPush(whole.subarray(0, end)), null);
});
