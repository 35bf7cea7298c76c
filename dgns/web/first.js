// The first contact with a log: what its server says of itself, held against itself (PROTOCOL 14.1).

import { Refused } from "./cbor.js";
import { formatVerifierKey, parseVerifierKey } from "./note.js";
import { formatPolicy, parsePolicy } from "./policy.js";

/**
 * Returns what to believe of the log of the server at `base`, all on its own word: `{origin, vkeys, policy, firstUse, retired, confSeq}`. A
 * server that recommends no policy is believed without witnesses. Refuses what does not fit together.
 */
export async function offered(net, base) {
  const { origin, vkey } = await net.json("/v1/info");
  parseVerifierKey(vkey);
  const none = `log ${vkey} ${base}/log\nquorum none\n`;
  const policy = parsePolicy(await net.text("/v1/log/policy").catch((error) => (error.status === 404 ? none : Promise.reject(error))));
  const vkeys = policy.logs.map(({ key }) => key).filter(({ name }) => name === origin).map(formatVerifierKey);
  if (!vkeys.includes(vkey)) throw new Refused("malformed", "the policy does not name the server's log key");
  return { origin, vkeys, policy: formatPolicy(policy), firstUse: true, retired: [], confSeq: null };
}
