// A newcomer with an account at an issuer: signs in, takes a name, and lets a second browser in after the same sign-in.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { after, before, test } from "node:test";

import { sees, startBrowser } from "./browser.mjs";
import { startServerWithIssuer } from "./issuer.mjs";
import { newName, passWords } from "./journey.mjs";

let [server, browser, issuer] = [];
before(async () => {
  [[server, issuer], browser] = await Promise.all([startServerWithIssuer("", 'roads = ["open", "invite", "parent", "attested"]\n'), startBrowser()]);
});
after(async () => {
  await browser?.stop();
  await server?.stop();
  await issuer?.stop();
});

test("from an empty profile: sign in, choose a name, see its proof; a second profile signs in and is let in by the first", async () => {
  const [first, second] = await Promise.all([0, 1].map(() => browser.profile(server.url, { hosts: [issuer.host] })));
  const [old, fresh, name] = [await first.page(), await second.page(), newName()];
  const email = `ada-${name}@people.example`;
  issuer.person = { subject: `ada-${name}`, email, verified: true };
  await old.goto("/signin");
  await old.getByRole("button", { name: "Go on with Local" }).click();
  await sees(old, "Signed in with Local");
  await sees(old, `no account knows ${email}`);
  await old.getByRole("link", { name: "Choose a name" }).click();
  await sees(old, "By your sign-in with Local");
  await old.getByLabel("The name you want").fill(name);
  await old.getByRole("button", { name: "Go on" }).click();
  await passWords(old);
  await sees(old, `${name}.${server.zone} is yours, and that is proved`);

  await old.goto("/approve");
  await sees(old, "Nobody asks");
  await fresh.goto("/signin");
  await fresh.getByRole("button", { name: "Go on with Local" }).click();
  await sees(fresh, `Now on another device of ${name}.${server.zone}`);
  await old.getByRole("button", { name: "It is mine" }).click();
  const shown = fresh.locator(".digits-shown").filter({ hasText: /[0-9]{3} [0-9]{3}/ });
  await shown.waitFor();
  await old.getByLabel("Six digits").fill(await shown.innerText());
  await old.getByRole("button", { name: "Let it in" }).click();
  await sees(fresh, `This browser is a device of ${name}.${server.zone}, and that is proved`);
  // What anybody seals to the person from now on, and had sealed before, opens on the second.
  const plain = server.file(`${name}.txt`);
  await writeFile(plain, "sealed to ada, not to a device");
  await server.dgns("somebody", "seal", name, plain, "--out", `${plain}.sealed`);
  await fresh.goto("/devices");
  await fresh.getByText("Read what was sealed to you").click();
  await fresh.locator("main input[type=file]").setInputFiles(`${plain}.sealed`);
  await fresh.getByRole("button", { name: "Open it" }).click();
  await sees(fresh, "sealed to ada, not to a device");
  assert.deepEqual([first.complaints, second.complaints], [[], []]);
  assert.ok(!server.log().includes("people.example"), "no address in the server's log");
  await first.close();
  await second.close();
});

test("a sign-in that did not begin here, or is used again, leads nowhere", async () => {
  const profile = await browser.profile(server.url, { hosts: [issuer.host] });
  const page = await profile.page();
  await page.goto(`/signin#state=${"A".repeat(43)}&code=stolen`);
  await sees(page, "This sign-in is over");
  await page.goto("/");
  issuer.person = { subject: `eve-${newName()}`, email: "eve@people.example", verified: true };
  await page.goto("/signin");
  let landed;
  page.on("framenavigated", (frame) => (landed = frame.url().includes("/signin#") ? frame.url() : landed));
  await page.getByRole("button", { name: "Go on with Local" }).click();
  await sees(page, "Signed in with Local");
  await page.goto("/");
  await page.goto(landed);
  await sees(page, "This sign-in is over");
  await profile.close();
});
