// What a person calls the devices: kept at the server, sealed to the user key, so that every device of the person reads it (PROTOCOL 12.13).

import { Reader, encode } from "../cbor.js";
import { bytesOf, listOf, tuple } from "../fields.js";
import { equal, hex } from "../hash.js";
import { kidOf } from "../name.js";
import { sealFile } from "../user_key.js";
import { askSigned, signedBytesOf } from "./signed.js";
import { openSealed } from "./user_keys.js";

const PATH = "/v1/labels";
const LABELS_MAX = 1024;
const NONE = new Uint8Array(0);

/** Returns what the person of a record calls the devices, by kid in hexadecimal; what cannot be opened is left out. */
export async function labelsOf(client, record, found) {
  const reader = new Reader(await signedBytesOf(client, record, PATH));
  const rows = listOf(tuple(bytesOf(8), (r) => r.bstr()), 0, LABELS_MAX)(reader);
  reader.end();
  const opened = await Promise.all(rows.map(async ([kid, sealed]) => {
    const text = await openSealed(client, record, found, sealed).then((bytes) => new TextDecoder().decode(bytes), () => null);
    return [hex(kid), text?.replaceAll(/\p{Cc}/gu, "")];
  }));
  return new Map(opened.filter(([, text]) => text));
}

/** Calls a device something; an empty text takes its name away. */
export async function putLabel(client, record, { did }, kid, text) {
  const { userKey } = did;
  const sealed = text === "" ? NONE : await sealFile(did.did, userKey.generation, userKey.key, new TextEncoder().encode(text));
  await askSigned(client, record, PATH, { method: "POST", body: encode([kid, sealed]) });
}

/** Tells the person's other devices what this browser is called, where the account has a user key to seal it to. */
export async function shareOwn(client, record, found) {
  const own = found.did.devices.find(({ sign }) => equal(sign, record.device.sign.key));
  if (own !== undefined && found.did.userKey !== undefined) await putLabel(client, record, found, kidOf(own.sign), record.label.text);
}
