// Passkeys (PROTOCOL 19.6, 19.7): made, signed in with, and asked for what they open. What an authenticator's PRF says stays in this page.

import { Reader, Refused, encode } from "../cbor.js";
import { assertionBytes, evidenceHash, finishSignedBytes, nonceText, passkeySalt, passkeySecret, signinNonce } from "../attest.js";
import { bigEndian, bytesOfUrl64, concat, equal, hex, sha256, url64 } from "../hash.js";
import { bytesOf, listOf, nullOr, tuple, u64 } from "../fields.js";
import { kexOf, newDevice } from "../keys.js";
import { PURPOSE, readFinished, readStarted } from "./desk.js";
import { askSigned, signedBytesOf } from "./signed.js";

const PASSKEYS_MAX = 1000;
const NAMED = "your passkey";

/**
 * Makes a passkey that is called `name` where it lies. With a `record` it is for that account, asked for by its device; without, for a newcomer with
 * new keys. Returns what a sign-in returns, and `passkey`: `{id, recipient?}`, by its id at the server and the key that it makes.
 */
export async function makePasskey(client, name, record, own) {
  const device = own ?? (await newDevice());
  const post = record === undefined ? (path, body) => client.net.post(path, body)
    : (path, body) => signedBytesOf(client, record, path, { method: "POST", body, headers: { "content-type": "application/cbor" } });
  const { state, asked } = await begin(post, "/v1/passkeys/start", { purpose: PURPOSE.enrolment }, device);
  const { rp } = asked;
  const made = await atAuthenticator(() => navigator.credentials.create({ publicKey: optionsOf(client, asked, name) }));
  const [attestationObject, clientDataJSON] = [made.response.attestationObject, made.response.clientDataJSON].map((part) => new Uint8Array(part));
  const response = { attestationObject: url64(attestationObject), clientDataJSON: url64(clientDataJSON) };
  const statement = concat(...[attestationObject, clientDataJSON].flatMap((part) => [bigEndian(part.length, 2), part]));
  const finished = await finish(client, "/v1/passkeys/finish", { state, device, credential: made, response, statement });
  const { enabled = false, results } = made.getClientExtensionResults().prf ?? {};
  const output = results?.first ?? (enabled ? await outputOf(client, rp.id, made.rawId) : undefined);
  return { ...finished, passkey: { id: sha256(new Uint8Array(made.rawId)), recipient: output && (await recipientOf(output)).key } };
}

/** Returns what an authenticator is asked to make, of the server's JSON; `name` is what the passkey is called. */
export function optionsOf(client, { rp, user, challenge, pubKeyCredParams, timeout, authenticatorSelection, excludeCredentials = [] }, name) {
  const known = excludeCredentials.map(({ id }) => ({ type: "public-key", id: bytesOfUrl64(id) }));
  return {
    rp, pubKeyCredParams, timeout, authenticatorSelection, attestation: "none", challenge: bytesOfUrl64(challenge), excludeCredentials: known,
    user: { id: bytesOfUrl64(user.id), name, displayName: name }, extensions: { prf: prfOver(client) },
  };
}

/** Signs in with a passkey, whoever's it is. Returns what a sign-in returns, and `opener`: the key pair that it makes, if it makes one. */
export async function signInWithPasskey(client, own) {
  const { used, ...finished } = await asserted(client, own ?? (await newDevice()), { purpose: PURPOSE.signIn, extensions: { prf: prfOver(client) } });
  const output = used.getClientExtensionResults().prf?.results?.first;
  return { ...finished, opener: output && (await recipientOf(output)) };
}

/**
 * Signs in with a passkey for a recovery (PROTOCOL 24.4): to be listed for one, or for an attempt with the point `blinded`. Returns what a sign-in
 * returns, with the statement and the subject that recovery servers are shown: the key that is listed stands before its assertion.
 */
export async function signInToRecover(client, device, { purpose, blinded }) {
  const { used, passkey, ...finished } = await asserted(client, device, { purpose, blinded });
  if (purpose !== PURPOSE.enrolment) return { ...finished, subject: used.id };
  if (passkey === undefined) throw new Refused("unknown_passkey", "the server does not say by which key this passkey signs");
  return { ...finished, statement: concat(passkey, finished.statement), subject: url64(passkey) };
}

/** Has a passkey sign in, and the server judge it: what a sign-in returns, and `used`, the credential. */
async function asserted(client, device, { purpose, blinded, extensions }) {
  const { state, random, asked } = await begin((path, body) => client.net.post(path, body), "/v1/signin/passkey/start", { purpose, blinded }, device);
  const { challenge, rpId, timeout, userVerification } = asked;
  const used = await atAuthenticator(() => navigator.credentials.get({
    publicKey: { rpId, timeout, userVerification, challenge: bytesOfUrl64(challenge), allowCredentials: [], extensions },
  }));
  const parts = Object.fromEntries(["authenticatorData", "clientDataJSON", "signature"].map((part) => [part, new Uint8Array(used.response[part])]));
  const { userHandle } = used.response;
  const response = Object.fromEntries(Object.entries({ ...parts, ...(userHandle && { userHandle: new Uint8Array(userHandle) }) }).map(([part, bytes]) => [part, url64(bytes)]));
  const statement = assertionBytes({ ...parts, clientData: parts.clientDataJSON });
  try {
    const finished = await finish(client, "/v1/signin/passkey/finish", { state, device, credential: used, response, statement });
    return { ...finished, used, nonceRandom: random };
  } catch (error) {
    if (error.code === "unknown_passkey") forgetAtAuthenticator(rpId, used.rawId);
    throw error;
  }
}

/** Returns the passkeys of the account of a record: `[{id, credential, recipient, madeMs, usedMs, backedUp}, ...]`. */
export async function passkeysOf(client, record) {
  const reader = new Reader(await signedBytesOf(client, record, "/v1/passkeys"));
  const rows = listOf(tuple(bytesOf(32), (r) => r.bstr(), nullOr(bytesOf(32)), u64, u64, (r) => r.bool()), 0, PASSKEYS_MAX)(reader);
  reader.end();
  return rows.map(([id, credential, recipient, made, used, backedUp]) => ({ id, credential, recipient, madeMs: Number(made) * 1000, usedMs: Number(used) * 1000, backedUp }));
}

/** Tells the server which recipient of the user key a passkey makes, so that it goes when the passkey goes. */
export const noteRecipient = (client, record, id, recipient) => askSigned(client, record, `/v1/passkeys/${hex(id)}`, { method: "POST", body: encode([recipient]) });

/** Removes a passkey at the server, and asks the browser to drop it where it lies. */
export async function removePasskey(client, record, { id, credential }) {
  await askSigned(client, record, `/v1/passkeys/${hex(id)}`, { method: "DELETE" });
  forgetAtAuthenticator(location.hostname, credential);
}

/** Begins: returns the state, the random and what the authenticator is asked, checked to be about these keys (`nonce`). */
async function begin(post, path, { purpose, blinded }, device) {
  const [sign, kex] = [device.sign.key, device.kex.key];
  const { state, random, go } = readStarted(await post(path, encode(new Map([[1, purpose], [2, sign], [3, kex], [4, ""], [6, blinded]]))));
  const asked = JSON.parse(go);
  if (asked.challenge !== nonceText(signinNonce({ purpose, sign, kex, blinded, random }))) throw new Refused("nonce", "the server asks the passkey about other keys");
  return { state, random, asked };
}

/** Finishes: hands over what the authenticator said, but for its extensions; holds that the evidence is of exactly that. */
async function finish(client, path, { state, device, credential, response, statement }) {
  const { id } = credential;
  const answer = JSON.stringify({ id, rawId: id, type: "public-key", response });
  const signature = await device.sign.sign(finishSignedBytes(client.origin, state));
  const finished = readFinished(await client.net.post(path, encode(new Map([[1, state], [2, signature], [3, answer]]))));
  const fits = equal(finished.statement, statement) && equal(evidenceHash(statement, finished.random), finished.evidence) && finished.issuer === `passkey:${client.zone}`;
  if (!fits) throw new Refused("nonce", "what was attested is not what the passkey said");
  return { ...finished, device, issuerName: NAMED };
}

/** Asks the authenticator; what it or the person refuses has a code of ours. */
export async function atAuthenticator(ask) {
  try {
    return await ask();
  } catch (error) {
    const code = { InvalidStateError: "passkey_known", NotAllowedError: "passkey_refused", AbortError: "passkey_refused" }[error.name] ?? "passkey_unsupported";
    throw new Refused(code, error.message);
  }
}

const prfOver = (client) => ({ eval: { first: passkeySalt(client.origin) } });

/** Asks a passkey that was made just now for its PRF, which some authenticators tell only when they sign in. Nothing of it is sent. */
async function outputOf(client, rpId, id) {
  try {
    const challenge = crypto.getRandomValues(new Uint8Array(32));
    const asked = { rpId, challenge, userVerification: "required", allowCredentials: [{ type: "public-key", id }], extensions: { prf: prfOver(client) } };
    return (await navigator.credentials.get({ publicKey: asked })).getClientExtensionResults().prf?.results?.first;
  } catch {
    return undefined; // it signs in all the same, and opens nothing
  }
}

const recipientOf = async (output) => kexOf(await passkeySecret(new Uint8Array(output)));

/** Says to the browser that a passkey leads nowhere any more, where browsers listen. */
function forgetAtAuthenticator(rpId, credential) {
  globalThis.PublicKeyCredential.signalUnknownCredential?.({ rpId, credentialId: url64(new Uint8Array(credential)) })?.catch(() => {});
}
