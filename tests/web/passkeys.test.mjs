// People with nothing but a browser and a passkey: the browser's own virtual authenticator, from an empty profile to a name that is proved,
// to a second browser, and to what was sealed to them.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { plugIn } from "./authenticator.mjs";
import { keepPicture, sees, startBrowser } from "./browser.mjs";
import { complaintsOf } from "./eyes.mjs";
import { claimName, newName, passWords } from "./journey.mjs";
import { freePort, startServer } from "./server.mjs";

const LETTER = "Meet me at the old mill.";

let [server, browser, folder] = [];
before(async () => {
  // Browsers have passkeys for a name alone, and an authenticator asks for the port too.
  const port = await freePort();
  const more = `[http]\nlisten = "127.0.0.1:${port}"\n`;
  [server, browser, folder] = await Promise.all([startServer(more, 'roads = ["open", "attested"]\n'), startBrowser(), mkdtemp(join(tmpdir(), "dgns-passkeys-"))]);
});
after(async () => {
  await browser?.stop();
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** What a profile complains of, but for this: only ES256 is asked for, and Chromium would like an algorithm of old TPMs too. */
const complaintsIn = ({ complaints }) => complaints.filter((one) => !one.includes("pubKeyCredParams is missing"));

/** Opens an empty profile with an authenticator in it. */
async function stranger(options, how) {
  const profile = await browser.profile(server.url, how);
  const page = await profile.page();
  return { profile, page, authenticator: await plugIn(page, options) };
}

/** Claims a name with a new passkey, to the proof; returns the name. */
async function claimWithPasskey(page) {
  const name = newName();
  await page.goto("/claim");
  await page.getByLabel("The name you want").fill(name);
  await page.getByRole("button", { name: "Make a passkey" }).click();
  await sees(page, "By your sign-in with your passkey");
  assert.equal(await page.getByLabel("The name you want").inputValue(), name, "the wish stays");
  await page.getByRole("button", { name: "Go on" }).click();
  await passWords(page);
  await sees(page, `${name}.${server.zone} is yours, and that is proved`);
  return name;
}

/** Seals a letter to the person of a name, as anybody may; returns it as the pages take it. */
async function sealed(name) {
  const [plain, out] = [join(folder, `${name}.txt`), join(folder, `${name}.sealed`)];
  await writeFile(plain, LETTER);
  await server.dgns("anybody", "seal", name, plain, "--out", out);
  return (await readFile(out)).toString("base64");
}

/** Takes a click's task to a page that shows this code. */
async function refusedWith(page, button, code) {
  await page.getByRole("button", { name: button }).click();
  await page.locator("main code").getByText(code, { exact: true }).waitFor();
}

/** Forgets all that a browser keeps of these pages, but not the authenticator beside it. */
async function forgetAll(page) {
  await page.goto("/page/icon.svg"); // nothing of it holds the database open
  await page.evaluate(() => new Promise((done, failed) => {
    const asked = indexedDB.deleteDatabase("dgns");
    [asked.onsuccess, asked.onerror, asked.onblocked] = [done, failed, failed];
  }));
}

test("a passkey alone: a name from an empty profile, a second browser let in by the first, and a letter read there", async () => {
  const first = await stranger({ hasPrf: false });
  const name = await claimWithPasskey(first.page);
  const full = `${name}.${server.zone}`;
  const [credential] = await first.authenticator.credentials();
  assert.deepEqual([credential.rpId, credential.isResidentCredential], ["localhost", true]);
  const letter = await sealed(name);

  const second = await stranger({ hasPrf: false });
  await second.authenticator.add(credential); // as a provider brings it to one's other devices
  await first.page.goto("/approve");
  await sees(first.page, "Nobody asks");
  await second.page.goto("/signin");
  await second.page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await sees(second.page, `Now on another device of ${full}`);
  await sees(first.page, `A device asks to belong to ${full}`);
  await first.page.getByRole("button", { name: "It is mine" }).click();
  const shown = second.page.locator(".digits-shown").filter({ hasText: /[0-9]{3} [0-9]{3}/ });
  await shown.waitFor();
  await first.page.getByLabel("Six digits").fill((await shown.innerText()).replaceAll(/\D/g, ""));
  await first.page.getByRole("button", { name: "Let it in" }).click();
  await sees(second.page, `This browser is a device of ${full}, and that is proved`);
  await second.page.goto("/devices");
  await second.page.getByText("Read what was sealed to you").click();
  await second.page.getByLabel("The sealed text").fill(letter);
  await second.page.getByRole("button", { name: "Open it" }).click();
  await sees(second.page, LETTER);
  await sees(second.page, "signs in only");
  assert.deepEqual([complaintsIn(first.profile), complaintsIn(second.profile)], [[], []]);
  await Promise.all([first.profile.close(), second.profile.close()]);
});

test("a passkey with a PRF opens what is sealed to its person on a blank browser, before any device lets it in, and not once it was removed", async () => {
  const { profile, page, authenticator } = await stranger();
  const name = await claimWithPasskey(page);
  await page.goto("/devices");
  await sees(page, "opens sealed letters");
  const said = await page.evaluate(() => performance.getEntriesByType("resource").map(({ name: url }) => url));
  assert.ok(said.some((url) => url.endsWith("/v1/passkeys")));
  const letter = await sealed(name);

  // A second passkey beside it, by the device; an authenticator that holds one makes no other.
  await page.getByRole("button", { name: "Add a passkey" }).click();
  await sees(page, "This device holds a passkey for this account already");
  const [credential] = await authenticator.credentials();
  await authenticator.remove(credential);
  await page.getByRole("button", { name: "Add a passkey" }).click();
  await page.getByRole("button", { name: "Remove passkey 2" }).waitFor();
  assert.equal((await authenticator.credentials()).length, 1, "the other one is elsewhere");
  await page.getByRole("button", { name: "Remove passkey 1" }).click();
  await page.getByRole("button", { name: "Remove it" }).click();
  await page.getByRole("button", { name: "Remove passkey 2" }).waitFor({ state: "detached" });
  await sees(page, "opens sealed letters");

  // The browser is blank, the authenticator is not: it opens the newest letter and the one of before.
  const newer = await sealed(name);
  await forgetAll(page);
  await page.goto("/signin");
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await sees(page, `Now on another device of ${name}.${server.zone}`);
  await page.getByText("Read what was sealed to you now, by your passkey").click();
  await page.getByLabel("The sealed text").fill(newer);
  await page.getByRole("button", { name: "Open it" }).click();
  await sees(page, LETTER);
  await page.getByLabel("The sealed text").fill(letter);
  await page.getByRole("button", { name: "Open it" }).click();
  await sees(page, "it is of an older key");
  assert.deepEqual(complaintsIn(profile), []);
  await profile.close();
});

test("who is not verified, and whose signature does not hold, gets nothing; a removed passkey is unknown", async () => {
  const nobody = await stranger({ isUserVerified: false });
  await nobody.page.goto("/claim");
  await refusedWith(nobody.page, "Make a passkey", "passkey_refused");
  assert.deepEqual([await nobody.authenticator.credentials(), complaintsIn(nobody.profile)], [[], []]);
  await nobody.profile.close();

  const { profile, page, authenticator } = await stranger();
  await claimWithPasskey(page);
  await page.goto("/signin");
  await authenticator.bogus(true);
  await refusedWith(page, "Sign in with a passkey", "assertion");
  await authenticator.bogus(false);
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await sees(page, "this browser is a device of");

  await page.goto("/devices");
  const [credential] = await authenticator.credentials();
  await page.getByRole("button", { name: "Remove passkey 1" }).click();
  await page.getByRole("button", { name: "Remove it" }).click();
  await sees(page, "There is none yet.");
  if ((await authenticator.credentials()).length === 0) await authenticator.add(credential); // the browser was told, and dropped it
  await page.goto("/signin");
  await refusedWith(page, "Sign in with a passkey", "unknown_passkey");
  await authenticator.add(credential).catch(() => {}); // again dropped, or still there
  await authenticator.verified(false);
  await refusedWith(page, "Sign in with a passkey", "passkey_refused");
  assert.deepEqual(complaintsIn(profile), []);
  await profile.close();
});

test("an authenticator that keeps no passkeys makes none, and a page without one says so", async () => {
  const { profile, page } = await stranger({ hasResidentKey: false, hasPrf: false });
  await page.goto("/claim");
  await page.getByRole("button", { name: "Make a passkey" }).click();
  await sees(page, /No passkey was used|This device cannot do that/);
  await page.goto("/signin");
  await refusedWith(page, "Sign in with a passkey", "passkey_refused");
  assert.deepEqual(complaintsIn(profile), []);
  await profile.close();
});

test("an account that was made by work gets a passkey later, from its device", async () => {
  const { profile, page } = await stranger();
  await claimName(page, newName());
  await sees(page, "is yours, and that is proved");
  await page.goto("/devices");
  await sees(page, "There is none yet.");
  await page.getByRole("button", { name: "Add a passkey" }).click();
  await sees(page, "opens sealed letters");
  await page.goto("/signin");
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await sees(page, "There is nothing left to do.");
  assert.deepEqual(complaintsIn(profile), []);
  await profile.close();
});

for (const [scheme, width] of [["light", 1280], ["dark", 1280], ["light", 390], ["dark", 390]]) {
  test(`the pages with passkeys can be read, named and reached: ${scheme}, ${width} wide`, async () => {
    const { profile, page } = await stranger({}, { scheme, width, height: 844 });
    const look = async (name) => {
      assert.deepEqual(await page.evaluate(complaintsOf), [], name);
      await keepPicture(page, `passkey-${name}-${scheme}-${width}`);
    };
    await page.goto("/signin");
    await sees(page, "With a passkey");
    await look("signin");
    await page.goto("/claim");
    await sees(page, "Or with a passkey");
    await look("claim");
    const name = await claimWithPasskey(page);
    await look("claimed");
    await page.goto("/devices");
    await sees(page, "opens sealed letters");
    await look("devices");
    await page.getByRole("button", { name: "Remove passkey 1" }).click();
    await look("remove");
    await page.getByRole("button", { name: "Leave it" }).click();
    await forgetAll(page);
    await page.goto("/signin");
    await page.getByRole("button", { name: "Sign in with a passkey" }).click();
    await sees(page, `Now on another device of ${name}`);
    await page.getByText("Read what was sealed to you now, by your passkey").click();
    await look("found");
    assert.deepEqual(complaintsIn(profile), []);
    await profile.close();
  });
}
