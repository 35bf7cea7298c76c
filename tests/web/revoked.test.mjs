// A notary that was revoked: whoever it attested is not let in by its word, and the old device says so loudly.

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

test("a device that a revoked notary attested is not let in, and one that asks by the name may be", async () => {
  const [first, second] = await Promise.all([0, 1].map(() => browser.profile(server.url, { hosts: [issuer.host] })));
  const [old, fresh, name] = [await first.page(), await second.page(), newName()];
  await claimName(old, name);
  await sees(old, "is yours, and that is proved");
  issuer.person = { subject: `ada-${name}`, email: `ada-${name}@people.example`, verified: true };
  await old.goto("/devices");
  await old.getByRole("button", { name: "Add the address of your account at Local" }).click();
  await sees(old, "is bound, and that is proved");
  await old.goto("/");
  await fresh.goto("/signin");
  await fresh.getByRole("button", { name: "Go on with Local" }).click();
  await sees(fresh, `Now on another device of ${name}.${server.zone}`);
  await server.notary("revoke", "local");
  await old.goto("/approve");
  await sees(old, "by a revoked notary");
  await sees(old, "Do not let it in by this sign-in");
  await keepPicture(old, "approve revoked");
  assert.deepEqual(await old.evaluate(complaintsOf), []);
  assert.equal(await old.getByRole("button", { name: "It is mine" }).count(), 0, "there is no way to say yes");
  await old.getByRole("button", { name: "Not me" }).click();
  await sees(fresh, "Turned away");
  await fresh.locator("#name").fill(name);
  await fresh.getByRole("button", { name: "Ask my other device" }).click();
  await sees(old, "attested by nobody");
  await old.getByRole("button", { name: "It is mine" }).click();
  await fresh.locator(".digits-shown").filter({ hasText: /[0-9]{3} [0-9]{3}/ }).waitFor();
  assert.deepEqual([first.complaints, second.complaints], [[], []]);
  await Promise.all([first.close(), second.close()]);
});
