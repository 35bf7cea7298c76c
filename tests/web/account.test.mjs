// What an account's own devices do about its sign-ins and its e-mail addresses, and what an old device says of who attested a new one.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { keepPicture, sees, startBrowser } from "./browser.mjs";
import { complaintsOf } from "./eyes.mjs";
import { startServerWithIssuer } from "./issuer.mjs";
import { claimName, newName } from "./journey.mjs";

let [server, browser, issuer] = [];
before(async () => {
  [[server, issuer], browser] = await Promise.all([startServerWithIssuer("[aliases]\nevaluate = true\n", 'roads = ["open", "attested"]\n'), startBrowser()]);
});
after(async () => {
  await browser?.stop();
  await server?.stop();
  await issuer?.stop();
});

const card = (page, title) => page.locator(".card").filter({ has: page.getByRole("heading", { name: title, exact: true }) });

/** Opens an empty profile with a name of its own; whoever signs in from now on is `email`. */
async function somebody(how) {
  const profile = await browser.profile(server.url, { hosts: [issuer.host], ...how });
  const [page, name] = [await profile.page(), newName()];
  const email = `ada-${name}@people.example`;
  await claimName(page, name);
  await sees(page, "is yours, and that is proved");
  issuer.person = { subject: `ada-${name}`, email, verified: true };
  await page.goto("/devices");
  await sees(page, "There is none yet.");
  return { profile, page, name, email, close: () => (assert.deepEqual(profile.complaints, []), profile.close()) };
}

/** What a stranger finds by an address, as the program says it. */
const finds = (email) => server.dgns("stranger", "--json", "find", email).then(JSON.parse, ({ stdout }) => JSON.parse(stdout));

for (const [scheme, width] of [["light", 1280], ["dark", 390]]) {
  test(`an address is bound, hidden, shown and given up on the pages: ${scheme}, ${width} wide`, async () => {
    const { page, name, email, close } = await somebody({ scheme, width, height: 844 });
    assert.equal((await finds(email)).status, "absent");
    await page.getByRole("button", { name: "Add the address of your account at Local" }).click();
    await sees(page, `${email} is bound, and that is proved`);
    await keepPicture(page, `address bound ${scheme} ${width}`);
    assert.equal((await finds(email)).names[0], `${name}.${server.zone}`);
    await page.getByRole("link", { name: "My devices" }).last().click();
    await sees(page, "others find you by it");
    await keepPicture(page, `account ${scheme} ${width}`);
    assert.deepEqual(await page.evaluate(complaintsOf), []);
    assert.match(await card(page, "Sign-ins").innerText(), /Local[^]*an address is bound by it/);

    // Hidden: bound anew, and what it was before waits to be given up, for there is one device alone.
    await page.getByRole("button", { name: `Hide ${email}` }).click();
    await keepPicture(page, `hide ${scheme} ${width}`);
    assert.deepEqual(await page.evaluate(complaintsOf), []);
    await page.getByRole("dialog").getByRole("button", { name: "Sign in with Local" }).click();
    await sees(page, `${email} is bound and hidden, and that is proved`);
    await sees(page, "How it was bound before still holds");
    await page.getByRole("link", { name: "My devices" }).last().click();
    await sees(page, "to be given up");
    await keepPicture(page, `account hidden ${scheme} ${width}`);
    const rows = card(page, "E-mail addresses").locator("tbody tr");
    assert.equal(await rows.count(), 2);
    assert.match((await rows.allInnerTexts()).join("\n"), /hidden/);

    // Given up: asked once more, then signed and proved.
    await page.getByRole("button", { name: "Withdraw it" }).click();
    await sees(page, "Done, and proved");
    await rows.filter({ hasText: "hidden" }).getByRole("button", { name: `Give up ${email}` }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Keep it" }).click();
    await rows.filter({ hasText: "hidden" }).getByRole("button", { name: `Give up ${email}` }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Give it up" }).click();
    await sees(page, "Done, and it waits");
    assert.ok(!server.log().includes("people.example"), "no address in the server's log");
    await close();
  });
}

test("another address than the one that is meant, and one that is somebody else's, is not bound", async () => {
  const ada = await somebody();
  await ada.page.getByRole("button", { name: "Add the address of your account at Local" }).click();
  await sees(ada.page, `${ada.email} is bound, and that is proved`);
  await ada.page.goto("/devices");
  await ada.page.getByRole("button", { name: `Hide ${ada.email}` }).click();
  issuer.person = { subject: "eve", email: "eve@people.example", verified: true };
  await ada.profile.context.clearCookies();
  await ada.page.getByRole("dialog").getByRole("button", { name: "Sign in with Local" }).click();
  await sees(ada.page, "That is another address");
  assert.equal((await finds("eve@people.example")).status, "absent");
  const bob = await somebody();
  issuer.person = { subject: `ada-${ada.name}`, email: ada.email, verified: true };
  await bob.page.getByRole("button", { name: "Add the address of your account at Local" }).click();
  await sees(bob.page, "account_bound");
  await ada.close();
  await bob.close();
});

test("a sign-in is linked to a name of before and taken away, but not while an address is bound by it", async () => {
  const { page, name, email, close } = await somebody();
  await page.getByRole("button", { name: "Let Local lead here" }).click();
  await sees(page, "Your account at Local leads here now");
  await keepPicture(page, "linked");
  const elsewhere = async (sees_) => {
    const other = await browser.profile(server.url, { hosts: [issuer.host] });
    const fresh = await other.page();
    await fresh.goto("/signin");
    await fresh.getByRole("button", { name: "Go on with Local" }).click();
    await sees(fresh, sees_);
    await other.close();
  };
  await elsewhere(`Now on another device of ${name}.${server.zone}`);
  await page.goto("/devices");
  await page.getByRole("button", { name: "Let another account at Local lead here" }).click();
  await sees(page, "It leads here already");
  await page.goto("/devices");
  await page.getByRole("button", { name: "Add the address of your account at Local" }).click();
  await sees(page, `${email} is bound, and that is proved`);
  const takeAway = async () => {
    await page.goto("/devices");
    await page.getByRole("button", { name: "Take away the sign-in at Local" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Take it away" }).click();
  };
  await takeAway();
  await sees(page, "An address of it is bound");
  await close();

  const bob = await somebody();
  await bob.page.getByRole("button", { name: "Let Local lead here" }).click();
  await sees(bob.page, "Your account at Local leads here now");
  await bob.page.goto("/devices");
  await bob.page.getByRole("button", { name: "Take away the sign-in at Local" }).click();
  await bob.page.getByRole("dialog").getByRole("button", { name: "Take it away" }).click();
  await sees(bob.page, "None leads here yet.");
  await elsewhere("You are new here");
  await bob.close();
});

test("the old device says who attested the new one: nobody, the server alone, the log with proof", async () => {
  const { page: old, name, email, close } = await somebody();
  const asks = async (signIn) => {
    const other = await browser.profile(server.url, { hosts: [issuer.host] });
    const fresh = await other.page();
    await old.goto("/approve");
    await sees(old, "Nobody asks");
    await fresh.goto("/signin");
    if (signIn) await fresh.getByRole("button", { name: "Go on with Local" }).click();
    else {
      await fresh.locator("#name").fill(name);
      await fresh.getByRole("button", { name: "Ask my other device" }).click();
    }
    return { turnedAway: async () => {
      await old.getByRole("button", { name: "Not me" }).click();
      await sees(fresh, "Turned away");
      await other.close();
    } };
  };
  const first = await asks(false);
  await sees(old, "attested by nobody");
  await first.turnedAway();
  await old.goto("/devices");
  await old.getByRole("button", { name: "Let Local lead here" }).click();
  await sees(old, "Your account at Local leads here now");
  const second = await asks(true);
  await sees(old, "so the server says");
  await keepPicture(old, "approve told");
  await second.turnedAway();
  await old.goto("/devices");
  await old.getByRole("button", { name: "Add the address of your account at Local" }).click();
  await sees(old, `${email} is bound, and that is proved`);
  const third = await asks(true);
  await sees(old, "attested, and proved");
  await sees(old, `at ${issuer.url} as ${email}.`);
  await keepPicture(old, "approve attested");
  assert.deepEqual(await old.evaluate(complaintsOf), []);
  const entry = await old.getByRole("link", { name: /^entry \d+ of the log$/ }).getAttribute("href");
  await third.turnedAway();
  await old.goto(entry);
  await sees(old, "Somebody signed in with an e-mail address");
  await close();
});
