// Recovery servers as a page meets them: what each says of itself, what is asked of it, who runs it (PROTOCOL 24.5). Nothing one says is believed for
// its own sake: an evaluation proves itself under the key in the log, and a share of the backup is tried against it.

import { Problem, ProofFault, Refused } from "../client.js";
import { encode } from "../cbor.js";
import { equal, hex, unhex } from "../hash.js";
import { NetworkError, net } from "../net.js";
import { decodeBundle, mustBeOf } from "../recovery.js";
import { decodeEvaluated, openInfo, sealAsk } from "../recovery_message.js";

const WITHIN_MS = 6_000;

/** How long servers are listened to once enough have answered: so that a liar is named, and a dead one holds nobody up. */
const GRACE_MS = 250;

/** What a server says that has not read as much of the log as this browser: it is asked again, for so long, with such a pause at least. */
const BEHIND = ["not_open", "bad_attempt", "no_recovery", "not_ready", "log_unavailable", "busy"];
const [BEHIND_MS, PAUSE_MS] = [8_000, 150];

/** What a server did that it should not: `lied` = its answer was false, not only missing. */
const faultOf = (url, error) => ({ url, code: error.code ?? "network", why: error.detail ?? error.message, lied: error instanceof ProofFault });

/** Meets the server at `url`, by its key if that is known: returns `{point, url, info, ask(target, bytes), get(target)}`. */
export async function meet(origin, { url, key }, point) {
  const [base, pinned] = url.split("#");
  const asked = net(base, (...given) => fetch(...given));
  const server = base.replace(/\/+$/, "");
  let info;
  try {
    info = await openInfo(await within(asked.get("/r/v1/info"), server), origin);
  } catch (error) {
    throw error instanceof Refused ? new ProofFault("server_info", error.message) : error;
  }
  const wanted = pinned === undefined ? key : keyOf(pinned);
  if (wanted !== undefined && !equal(wanted, info.key)) throw new ProofFault("server_key", "it has another key than the one named");
  return { point, url: server, info, get: (target) => within(asked.get(target), server), ask: (target, body) => asLogged(() => within(asked.post(target, body), server)) };
}

/** Asks, and again where the server is behind the log: the witnessed head that it believes comes a moment later. */
async function asLogged(ask) {
  const untilMs = performance.now() + BEHIND_MS;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      const pauseMs = Math.min(Math.max(error.retry_ms ?? 0, PAUSE_MS), BEHIND_MS / 4);
      if (!(error instanceof Problem) || !BEHIND.includes(error.code) || performance.now() + pauseMs > untilMs) throw error;
      await new Promise((done) => setTimeout(done, pauseMs));
    }
  }
}

function keyOf(text) {
  if (!/^[0-9a-f]{64}$/i.test(text)) throw new Refused("bad_key", "a server's key has 64 digits");
  return unhex(text.toLowerCase());
}

/** Meets servers, `[{url, key?}, ...]`, all at once: returns `{peers, missed}`, both in their order. */
export async function meetAll(origin, servers) {
  const met = await Promise.all(servers.map((server, i) => meet(origin, server, i + 1).catch((error) => faultOf(server.url, error))));
  return { peers: met.filter(({ info }) => info !== undefined), missed: met.filter(({ code }) => code !== undefined) };
}

/** Asks a server to evaluate; refuses an answer that is none. */
export async function evaluatedBy(peer, ask, target, request) {
  const answer = await peer.ask(target, await sealAsk(ask, peer.info, request));
  try {
    return decodeEvaluated(answer);
  } catch (error) {
    throw new ProofFault("bad_answer", error.message);
  }
}

/** Takes the bundle of an enrolment, by its hash, from whoever has it first. */
export async function bundleFrom(peers, hash, scope) {
  const take = async (peer) => {
    const bundle = decodeBundle(await peer.get(`/r/v1/bundles/${hex(hash)}`));
    if (!equal(bundle.hash, hash)) throw new ProofFault("bundle", "another bundle than the log names");
    mustBeOf(bundle, scope);
    return bundle;
  };
  return Promise.any(peers.map(take)).catch((all) => Promise.reject(all.errors?.[0] ?? new NetworkError("no recovery server answers")));
}

/**
 * Asks every server of an enrolment for something at once, until enough have answered well: `task(server, point)` = a promise of what one
 * gives. Returns `{good: [...], faults: [...]}`: a dead server holds nobody up, and a liar is named.
 */
export async function askEach(servers, needed, task) {
  const [good, faults] = [[], []];
  let enough;
  const plenty = new Promise((done) => (enough = done));
  const all = servers.map((server, i) => task(server, i + 1).then((given) => {
    good.push(given);
    if (good.length === needed) setTimeout(enough, GRACE_MS);
  }, (error) => void faults.push(faultOf(server.url, error))));
  await Promise.race([Promise.all(all), plenty]);
  return { good: [...good], faults: [...faults] };
}

/** Returns servers that are run by the same people, as far as they say so, `[{whose, count}, ...]`; `zone` is that of the names. */
export function together(peers, zone) {
  const counts = new Map();
  const add = (whose) => counts.set(whose, (counts.get(whose) ?? 0) + 1);
  for (const { info } of peers) {
    add(`the operator ${info.operator}`);
    add(`the domain ${groupOf(info)}`);
  }
  const own = peers.filter(({ info }) => groupOf(info) === zone || info.domain === zone).length;
  const same = [...counts].filter(([, count]) => count > 1).map(([whose, count]) => ({ whose, count }));
  return own > 0 ? [...same, { whose: `whoever runs the names of ${zone}`, count: own }] : same;
}

/** The domain under which an operator's servers count as one: the last two labels. */
const groupOf = ({ domain }) => domain.replace(/\.+$/, "").split(".").slice(-2).join(".").toLowerCase();

/** Has servers look at the log and erase what is over; one that is gone does it by itself, within a day of its return. */
export function eraseAt(origin, servers, did) {
  const body = encode(new Map([[1, did]]));
  return Promise.allSettled(servers.map(async (server, i) => (await meet(origin, server, i + 1)).ask("/r/v1/erase", body)));
}

function within(asked, url) {
  let timer;
  const late = new Promise((_, failed) => (timer = setTimeout(() => failed(new NetworkError(`${url} did not answer within ${WITHIN_MS / 1000} s`)), WITHIN_MS)));
  return Promise.race([asked, late]).finally(() => clearTimeout(timer));
}

