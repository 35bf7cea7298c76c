// Finding a person by an e-mail address, and writing to them: bound at the command line, found in a browser, read in another.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { keepPicture, sees, startBrowser } from "./browser.mjs";
import { complaintsOf } from "./eyes.mjs";
import { startServerWithIssuer } from "./issuer.mjs";
import { claimName, newName } from "./journey.mjs";

let [server, browser, issuer] = [];
before(async () => {
  [[server, issuer], browser] = await Promise.all([startServerWithIssuer("[aliases]\nevaluate = true\n", 'roads = ["open", "invite", "parent", "attested"]\n'), startBrowser()]);
});
after(async () => {
  await browser?.stop();
  await server?.stop();
  await issuer?.stop();
});

/** Binds an address to who has keys in `home`, signing in with a browser of their own. */
async function bind(home, email, ...more) {
  issuer.person = { subject: `subject of ${email}`, email, verified: true };
  const profile = await browser.profile(issuer.url);
  const add = server.starts(home, "alias", "add", email, ...more);
  const url = await add.says((line) => /https?:\/\/\S+/.exec(line)?.[0]);
  await (await profile.page()).goto(url);
  assert.equal(await add.ended(), 0);
  await profile.close();
}

/** Asks the page for an address and waits until it says what was found. */
async function find(page, email, answer) {
  await page.goto("/find");
  await page.getByLabel("Their e-mail address").fill(email);
  await page.getByRole("button", { name: "Find" }).click();
  await sees(page, answer);
}

for (const [scheme, width] of [["light", 1280], ["dark", 390]]) {
  test(`who is found gets a letter that only they read: ${scheme}, ${width} wide`, async () => {
    const [writer, reader] = await Promise.all([0, 1].map(() => browser.profile(server.url, { scheme, width, height: 844 })));
    const [page, other, name] = [await writer.page(), await reader.page(), newName()];
    const email = `ada-${name}@people.example`;
    await server.dgns(name, "up", name);
    await bind(name, email);
    const sent = [];
    page.on("request", (request) => sent.push(request.url(), request.postDataBuffer()?.toString("latin1") ?? ""));
    await find(page, email.toUpperCase().replace("PEOPLE.EXAMPLE", "People.Example"), "is proved bound to an account");
    await sees(page, `${name}.${server.zone}`);
    assert.ok(!sent.some((text) => /ada-|people|example/i.test(text)), "the address never leaves the browser");
    await page.getByLabel("Your letter").fill("Meet me at the old mill.");
    await page.getByRole("button", { name: "Send it" }).click();
    await sees(page, "Sent. It waits for their one key");
    assert.deepEqual(await page.evaluate(complaintsOf), []);
    await keepPicture(page, `find-${scheme}-${width}`);
    assert.match(await server.dgns(name, "inbox"), /Meet me at the old mill|1/);
    // And one whose keys are in a browser: by name, from the command line.
    const mine = newName();
    await claimName(other, mine);
    await sees(other, "is yours, and that is proved");
    await server.dgns(name, "send", mine, "--message", "The mill burnt down.");
    await other.goto("/devices");
    await sees(other, "The mill burnt down.");
    await sees(other, `${name}.${server.zone}`);
    assert.deepEqual(await other.evaluate(complaintsOf), []);
    await keepPicture(other, `letters-${scheme}-${width}`);
    assert.deepEqual([writer.complaints, reader.complaints], [[], []]);
    await writer.close();
    await reader.close();
  });
}

test("an address that nobody has and one that is hidden look the same", async () => {
  const profile = await browser.profile(server.url);
  const [page, name] = [await profile.page(), newName()];
  await server.dgns(name, "up", name);
  await bind(name, `hidden-${name}@people.example`, "--hidden");
  const shown = [];
  for (const email of [`hidden-${name}@people.example`, `nobody-${name}@people.example`]) {
    await find(page, email, "nobody can be found by this address");
    shown.push(await page.locator("#answer section, #answer .verdict").first().innerText());
  }
  assert.equal(shown[0], shown[1]);
  assert.deepEqual(await page.evaluate(complaintsOf), []);
  await keepPicture(page, "find-nobody");
  await page.getByLabel("Their e-mail address").fill("no address");
  await page.getByRole("button", { name: "Find" }).click();
  await sees(page, "That is no e-mail address");
  assert.deepEqual(await page.evaluate(complaintsOf), []);
  assert.deepEqual(profile.complaints, []);
  await profile.close();
});
