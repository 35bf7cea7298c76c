// A program on this computer wants to know whose its keys are (PROTOCOL 19.8): it cannot ask a passkey itself, this page can. The challenge is made
// here, of the keys that the program names, so that nothing else can be had signed by way of a link.

import { nonceText, signinNonce } from "../attest.js";
import { bytesOfUrl64, hex, url64 } from "../hash.js";
import { kidOf } from "../name.js";
import { atAuthenticator, optionsOf } from "./passkey.js";
import { el, facts, fill, goTo, verdict, whileBusy } from "./dom.js";
import { showTrouble } from "./trouble.js";

const PURPOSE = { use: 1, recover: 2, make: 3 };
const PREFIX = "#program=";

/** Returns what the address bar asks for a program: `{port, state, sign, kex, random, purpose, blinded?, options?}`; null if it is none of that form. */
export function askedByProgram(hash) {
  const [port, ...texts] = hash.slice(PREFIX.length).split(".");
  const [state, sign, kex, random, behind, more] = texts.map(bytesOfUrl64);
  const [purpose, blinded, options] = usedFor(behind);
  const lengths = [state, sign, kex, random].map((bytes) => bytes?.length).join();
  const isPort = /^[1-9][0-9]{0,4}$/.test(port) && Number(port) <= 65_535;
  if (!isPort || lengths !== "32,32,32,16" || behind === null || more !== undefined) return null;
  return { port, state, sign, kex, random, purpose, blinded, options };
}

/** Returns what a passkey is asked for: to sign in, to recover with a blinded PIN, to be listed for that, or to be made. */
function usedFor(behind) {
  if (behind?.length === 33 && behind[0] === PURPOSE.recover) return [PURPOSE.recover, behind.slice(1)];
  if (behind?.length === 1 && behind[0] === PURPOSE.make) return [PURPOSE.make];
  return behind === undefined ? [PURPOSE.use] : [PURPOSE.make, undefined, behind];
}

const WORDS = {
  [PURPOSE.use]: ["A program on this computer wants to sign in", "It is told which account your passkey leads to. That gives it no power over the account: a device of yours still has to let it in."],
  [PURPOSE.recover]: ["A program on this computer wants to recover your account", "With the PIN that was typed there it tries, in public, to take the account over; every device of the account is told, and can say no."],
  [PURPOSE.make]: ["A program on this computer enrols for a recovery", "With this passkey and a PIN the account can be taken over after its window, should every device be lost."],
};

/** Shows what a program wants, and signs in for it if the person says so. */
export function forProgram(client, place, asked) {
  if (asked === null) return void fill(place, verdict("bad", "This address is damaged", el("p", {}, "Copy it once more as ", el("code", {}, "dgns"), " shows it, to its end.")));
  const failed = el("div", { hidden: true });
  const back = (more) => `http://127.0.0.1:${asked.port}/?state=${url64(asked.state)}&${more}`;
  const lead = (more) => {
    fill(place, verdict("plain", "Back to the program", el("p", {}, "It goes on by itself. If this page stays and the program runs on another machine, paste the address of the page that does not open there.")));
    location.replace(back(more));
  };
  const button = (text, kind, task) => {
    const one = el("button", { type: "button", class: kind, onclick: () => {
      failed.hidden = true;
      return whileBusy(one, () => task().catch((error) => showTrouble(failed, error)));
    } }, text);
    return one;
  };
  const makes = asked.options !== undefined;
  const name = el("input", { id: "passkey-name", type: "text", maxlength: 64, value: client.zone, autocomplete: "off", spellcheck: "false" });
  const [title, what] = makes ? ["Make a passkey for the program", "It will find your account on any browser, by your finger, face or PIN."] : WORDS[asked.purpose];
  const use = () => useFor(client, asked).then((answer) => lead(`code=${answer}`));
  const make = () => makeFor(client, asked, name.value.trim() || client.zone).then((answer) => lead(`code=${answer}`));
  const stop = () => Promise.resolve(lead("error=signin_refused"));
  const card = el("section", { class: "card" }, el("h2", {}, title), el("p", {}, what),
    facts([["Its key", el("code", { class: "key" }, hex(kidOf(asked.sign)))]]),
    el("p", {}, "Go on only if you have just started ", el("code", {}, "dgns"), " yourself and it shows this very key. Who sent you a link to this page wants to sign in as you."),
    makes && el("div", { class: "field" }, el("label", { for: "passkey-name" }, "What the passkey is called"), name), failed,
    el("div", { class: "actions" }, makes ? button("Make a passkey", null, make) : button("Sign in with a passkey", null, use),
      asked.purpose === PURPOSE.use && button("I have none yet", "quiet", () => Promise.resolve(lead("make=1"))), button("I did not start it", "danger", stop)));
  fill(place, card);
  goTo(card.querySelector("h2"));
}

/** Returns the challenge of a purpose, for the keys that the program named. */
const challengeFor = ({ sign, kex, random, blinded }, purpose) => nonceText(signinNonce({ purpose, sign, kex, random, blinded }));

async function useFor(client, asked) {
  const challenge = bytesOfUrl64(challengeFor(asked, asked.purpose));
  const used = await atAuthenticator(() => navigator.credentials.get({
    publicKey: { rpId: location.hostname, challenge, timeout: 300_000, userVerification: "required", allowCredentials: [] },
  }));
  return answerOf(used, ["authenticatorData", "clientDataJSON", "signature", "userHandle"]);
}

async function makeFor(client, asked, name) {
  const options = JSON.parse(new TextDecoder().decode(asked.options));
  if (options.challenge !== challengeFor(asked, PURPOSE.make)) throw Object.assign(new Error("other keys"), { code: "nonce" });
  const made = await atAuthenticator(() => navigator.credentials.create({ publicKey: optionsOf(client, options, name) }));
  return answerOf(made, ["attestationObject", "clientDataJSON"]);
}

/** Returns an answer of an authenticator as text for an address. What its PRF says is not among it. */
function answerOf({ id, response }, parts) {
  const given = parts.filter((part) => response[part]).map((part) => [part, url64(new Uint8Array(response[part]))]);
  return url64(new TextEncoder().encode(JSON.stringify({ id, rawId: id, type: "public-key", response: Object.fromEntries(given) })));
}
