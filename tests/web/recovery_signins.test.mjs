// What a recovery begins with besides the PIN: a passkey that came along to a blank browser, and accounts at two issuers, of which the enrolment names
// one, either or both.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { plugIn } from "./authenticator.mjs";
import { keepPicture, sees, startBrowser } from "./browser.mjs";
import { complaintsOf } from "./eyes.mjs";
import { startServerWithIssuers } from "./issuer.mjs";
import { PIN, enrols, hostsOf, opens, seal, somebody, tries } from "./recovery.mjs";
import { startRecoveryServer } from "./server.mjs";

/** A window that is over soon, and one that nobody waits for. */
const [SOON_S, LATE_S] = [8, 1800];

let all = {};
let servers = [];
let urls = [];
before(async () => {
  const [[server, issuer, other], browser] = await Promise.all([startServerWithIssuers(["Local", "Other"], "", "", 1), startBrowser()]);
  servers = await Promise.all(["Anna", "Berta", "Clara"].map((operator) => startRecoveryServer(server, [issuer, other], operator)));
  urls = servers.map(({ url }) => url);
  all = { server, issuer, other, browser };
});
after(async () => {
  await all.browser?.stop();
  await Promise.all(servers.map((server) => server.stop()));
  await all.server?.stop();
  await Promise.all([all.issuer, all.other].map((issuer) => issuer?.stop()));
});

const hosts = () => [...hostsOf(all.issuer, urls), all.other.host];
const ada = (windowS, how = {}) => somebody(all, windowS, { hosts: hosts(), ...how });
const blank = (how = {}) => all.browser.profile(all.server.url, { hosts: hosts(), ...how });
const guesses = async (name) => JSON.parse((await all.server.dgns("reader", "--json", "resolve", name)).trim().split("\n").at(-1)).recovery.guesses;

/** What a profile complains of, but for this: only ES256 is asked for, and Chromium would like an algorithm of old TPMs too. */
const complaintsIn = ({ complaints }) => complaints.filter((one) => !one.includes("pubKeyCredParams is missing"));

test("a passkey that came along and the PIN bring a blank profile back, without any issuer", async () => {
  const how = { scheme: "dark", width: 390, height: 844 };
  const seen = async (page, name) => {
    assert.deepEqual(await page.evaluate(complaintsOf), [], name);
    await keepPicture(page, `recovery-passkey-${name}`);
  };
  const own = await ada(SOON_S, how);
  const authenticator = await plugIn(own.page, { hasPrf: false });
  await own.page.goto("/devices");
  await own.page.getByRole("button", { name: "Add a passkey" }).click();
  await sees(own.page, "Passkey 1");
  await enrols(own, all, urls, { ways: ["your passkey"] });
  const file = await seal(all.server, own.name, "the key lies under the third stone");
  const [passkey] = await authenticator.credentials();

  const profile = await blank(how);
  const page = await profile.page();
  const carried = await plugIn(page, { hasPrf: false });
  // None here yet: nothing is spent, and the PIN is not asked for again.
  await tries(page, own, all, { way: "Your passkey" });
  await sees(page, "No passkey was used");
  await seen(page, "none");
  assert.equal(await guesses(own.name), 0);
  await carried.add(passkey);
  await page.getByRole("button", { name: "Go on with your passkey" }).click();
  await sees(page, `The PIN is right; ${own.full} is yours in`);
  await seen(page, "window");
  await own.page.goto("/devices");
  await sees(own.page, "signed in with a passkey");
  await sees(page, "Nobody objected");
  await page.getByRole("button", { name: "Take my account back" }).click();
  await sees(page, `${own.full} is yours again, and that is proved`);
  await opens(page, file, "the key lies under the third stone");
  assert.deepEqual([complaintsIn(own.profile), complaintsIn(profile)], [[], []]);
  await Promise.all([own.profile.close(), profile.close()]);
});

test("an enrolment with one issuer: who signs in at the other has the account, but not the recovery", async () => {
  const own = await ada(LATE_S);
  await enrols(own, all, urls);
  all.other.person = { ...own.person, subject: `${own.person.subject}-elsewhere` };
  const profile = await blank();
  const page = await profile.page();
  // That account leads to nobody here, so the notary says nothing: no guess is spent.
  await tries(page, own, all, { way: "Other" });
  await sees(page, "That sign-in does not lead to this account");
  assert.equal(await guesses(own.name), 0);
  // It leads to her now; but her recovery servers were never told of it.
  await own.page.goto("/devices");
  await own.page.getByRole("button", { name: "Let Other lead here" }).click();
  await sees(own.page, "Your account at Other leads here now");
  await profile.context.clearCookies();
  await tries(page, own, all, { way: "Other" });
  await sees(page, "You enrolled with another sign-in");
  assert.equal(await guesses(own.name), 1, "it is in the log, so it counts");
  const counts = await Promise.all(urls.map(async (url) => (await (await fetch(`${url}/r/v1/stats`)).json())));
  assert.ok(counts.every(({ refused }) => refused.unknown_signin > 0), JSON.stringify(counts));
  assert.deepEqual([own.profile.complaints, profile.complaints], [[], []]);
  await Promise.all([own.profile.close(), profile.close()]);
});

test("an enrolment with two issuers: either does, or both are needed, as it says", async () => {
  for (const needed of [1, 2]) {
    const own = await ada(LATE_S);
    all.other.person = { ...own.person, subject: `${own.person.subject}-elsewhere` };
    await enrols(own, all, urls, { ways: ["Local", "Other"], needed });
    const profile = await blank();
    const page = await profile.page();
    await tries(page, own, all, { way: "Other" });
    if (needed === 2) {
      await sees(page, "One more sign-in");
      await keepPicture(page, "recovery-one-more");
      assert.equal(await guesses(own.name), 0);
      await page.getByRole("button", { name: "Go on with Local" }).click();
    }
    await sees(page, `The PIN is right; ${own.full} is yours in`);
    assert.equal(await guesses(own.name), 1);
    assert.deepEqual([own.profile.complaints, profile.complaints], [[], []]);
    await Promise.all([own.profile.close(), profile.close()]);
  }
});
