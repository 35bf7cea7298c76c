// Whose devices sign: looked up once a reading, and proved by the log of names.

import { Refused } from "../cbor.js";
import { equal, hex } from "../hash.js";
import { didText } from "../name.js";
import { decodeDidState } from "../state.js";
import { verifyStoreHead } from "./head.js";

const SERVER = 3;

/** The devices met so far. `source` as follow.js takes it. */
export class People {
  /** By DID, in hexadecimal: `{name, devices}`, the keys of its devices, and the first of its names. */
  authors = new Map();
  server = null;

  constructor(source) {
    this.source = source;
  }

  /** Refuses an entry whose device is none that its author ever had: the server took what it had to refuse (`unknown_device`). */
  async check({ author, device }) {
    const has = (known) => known?.devices.some((key) => equal(key, device));
    if (has(this.authors.get(hex(author)))) return;
    const { did, names } = await this.of(author, {});
    this.authors.set(hex(author), { name: names[0], devices: did });
    if (has(this.authors.get(hex(author)))) return;
    // Revoked since, perhaps: the chain tells.
    const ever = await this.of(author, { whole: true });
    this.authors.set(hex(author), { name: names[0], devices: [...did, ...ever.chain] });
    if (!has(this.authors.get(hex(author)))) throw this.source.caught("unknown_device", `an entry by a device that ${didText(author)} never had`);
  }

  async of(author, how) {
    const { did, chain } = await this.source.client.lookup({ did: author }, how);
    const state = did && decodeDidState(did.bytes);
    const added = chain.map(({ certificate }) => certificate.payload.body.device?.sign).filter((key) => key !== undefined);
    return { did: state?.devices.map(({ sign }) => sign) ?? [], names: state?.names ?? [], chain: added };
  }

  /** Returns what somebody is called: by the first of their names, else by their DID. */
  nameOf(author) {
    return this.authors.get(hex(author))?.name ?? didText(author);
  }

  /** Refuses a head that the server of this log did not sign: whoever shows it made it up (`store_head`). */
  async checkHead(head) {
    const isKnown = this.server !== null && equal(this.server.did, head.store);
    if (isKnown && (await this.hasSigned(head))) return;
    // Its key was turned since, perhaps: the log of names tells.
    const { did } = await this.source.client.lookup({ did: head.store });
    const state = did && decodeDidState(did.bytes);
    if (state?.kind !== SERVER || state.uid !== 0n) throw this.source.lies("store_head", "a head by another server");
    this.server = { did: state.did, keys: state.devices.map(({ sign }) => sign) };
    if (!(await this.hasSigned(head))) throw this.source.lies("store_head", "a head of a log that its server did not sign");
  }

  async hasSigned(head) {
    try {
      await verifyStoreHead(head, this.source.client.origin, this.server.keys);
      return true;
    } catch (error) {
      if (error instanceof Refused) return false;
      throw error;
    }
  }
}
