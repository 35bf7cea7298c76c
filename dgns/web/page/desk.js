// Signing in at an issuer of OpenID Connect (PROTOCOL 19.3): begun with keys made here, finished with their signature, and checked.

import { Reader, Refused, encode } from "../cbor.js";
import { evidenceHash, finishSignedBytes, nonceText, signinNonce } from "../attest.js";
import { bytesOf, oneOf, readMap, text, u64 } from "../fields.js";
import { bytesOfUrl64, equal, url64 } from "../hash.js";
import { deviceToKeep, keptDevice, newDevice } from "../keys.js";

/** What a sign-in is for. */
export const PURPOSE = { signIn: 1, recovery: 2, enrolment: 3 };
const STARTED = { 1: ["state", bytesOf(32)], 2: ["random", bytesOf(16)], 3: ["untilS", u64], 4: ["go", text] };
const FINISHED = {
  1: ["evidence", bytesOf(32)], 2: ["random", bytesOf(16)], 3: ["statement", (reader) => reader.bstr()], 4: ["issuer", text],
  5: ["branch", oneOf(1, 2, 3)], 6: ["did", bytesOf(20), true], 7: ["names", u64], 8: ["untilS", u64],
  9: ["boxes", (reader) => reader.bstr(), true], 10: ["passkey", bytesOf(64), true],
};

/** Whom a sign-in leads to. */
export const BRANCH = { new: 1, existing: 2, newSubject: 3 };

const startedKey = (state) => `signin/${state}`;
const attestedKey = (origin) => `attested/${origin}`;

function read(bytes, table) {
  const reader = new Reader(bytes);
  const fields = readMap(reader, table);
  reader.end();
  return fields;
}

/** Returns what a start answers, and what a finish does. */
export const readStarted = (bytes) => read(bytes, STARTED);
export const readFinished = (bytes) => read(bytes, FINISHED);

/** Returns the issuers that a server believes, `[{id, name, issuer}]`. */
export const issuersOf = (info) => info.signin?.issuers ?? info.issuers ?? [];

/**
 * Begins at an issuer: makes the keys, keeps them, and returns where the browser goes. Refuses with `nonce` what is for other keys. `device` = keys of this
 * browser's that sign in, and `goal` = what for, if it is not to find an account (goals.js); `blinded` = the point of a recovery.
 */
export async function begin(client, store, issuer, { device: own, goal, purpose = PURPOSE.signIn, blinded } = {}) {
  const device = own ?? (await newDevice());
  const [sign, kex] = [device.sign.key, device.kex.key];
  const body = encode(new Map([[1, purpose], [2, sign], [3, kex], [4, issuer.id], [6, blinded]]));
  const { state, random, untilS, go } = read(await client.net.post("/v1/signin/oidc/start", body), STARTED);
  const nonce = nonceText(signinNonce({ purpose, sign, kex, blinded, random }));
  if (new URL(go).searchParams.get("nonce") !== nonce) throw new Refused("nonce", "the server asks the issuer about other keys");
  await store.set(startedKey(url64(state)), { device: deviceToKeep(device), issuer, nonce, random, goal, untilMs: Number(untilS) * 1000 });
  return go;
}

/** Returns what the address bar brings back from an issuer, `{state, code}` or `{state?, error}`; null if it brings nothing. */
export function broughtBack(hash) {
  const brought = Object.fromEntries(new URLSearchParams(hash.replace(/^#/, "")));
  return brought.state === undefined && brought.error === undefined ? null : brought;
}

/**
 * Finishes a sign-in: returns `{device, branch, did?, evidence, issuer, email?, subject, nonceRandom}`, the statement checked to be about these keys. Refuses with
 * `signin_expired`, a code of the server, or what of the statement is wrong.
 */
export async function finish(client, store, { state, code, error }) {
  const begun = state === undefined ? undefined : await store.get(startedKey(state));
  if (begun === undefined) throw new Refused(error ?? "signin_expired", "this sign-in did not begin in this browser");
  await store.delete(startedKey(state));
  if (error !== undefined) throw new Refused(error, `${begun.issuer.name} or you said no`);
  const device = keptDevice(begun.device);
  const bytes = bytesOfUrl64(state);
  const signature = await device.sign.sign(finishSignedBytes(client.origin, bytes));
  const answer = await client.net.post("/v1/signin/oidc/finish", encode(new Map([[1, bytes], [2, signature], [3, code]])));
  const finished = read(answer, FINISHED);
  const claims = claimsOf(finished.statement);
  const fits = equal(evidenceHash(finished.statement, finished.random), finished.evidence) && claims.nonce === begun.nonce && claims.iss === begun.issuer.issuer;
  if (!fits) throw new Refused("nonce", "what the issuer said is not about this browser's keys");
  return { ...finished, device, issuerName: begun.issuer.name, email: claims.email, subject: claims.sub, nonceRandom: begun.random, goal: begun.goal };
}

/** What an id_token says; its signature is the server's to judge, and the notary's word stands in the log. */
function claimsOf(statement) {
  try {
    const [, payload] = new TextDecoder().decode(statement).split(".");
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(payload.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0))));
  } catch {
    return {};
  }
}

/** Keeps a sign-in that leads to nobody yet, for the claim of a name. */
export function keepAttested(store, origin, { device, evidence, issuerName, untilS, passkey }) {
  return store.set(attestedKey(origin), { device: deviceToKeep(device), evidence, issuerName, passkey, untilMs: Number(untilS) * 1000 });
}

/** Returns the sign-in that was kept, while it counts. */
export async function attestedOf(store, origin, nowMs) {
  const kept = await store.get(attestedKey(origin));
  return kept !== undefined && kept.untilMs > nowMs ? { ...kept, device: keptDevice(kept.device) } : undefined;
}

/** Forgets it: its keys have an account now. */
export const forgetAttested = (store, origin) => store.delete(attestedKey(origin));
