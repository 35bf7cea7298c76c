// One person, a browser and the command line: each lets the other in, both read what was sealed to the person, one is taken away.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { after, before, test } from "node:test";

import { sees, startBrowser } from "./browser.mjs";
import { claimName, newName } from "./journey.mjs";
import { startServer } from "./server.mjs";

let [server, browser] = [];
before(async () => {
  [server, browser] = await Promise.all([startServer(), startBrowser()]);
});
after(async () => {
  await browser?.stop();
  await server?.stop();
});

/** Six digits alone in a line. */
const digitsOf = (line) => /^\s*([0-9]{3}) ([0-9]{3})\s*$/.exec(line)?.slice(1).join("");

/** Somebody else seals a text to a person; returns the file. */
async function seal(name, text) {
  const plain = server.file(`${name}.txt`);
  await writeFile(plain, text);
  await server.dgns("somebody", "seal", name, plain, "--out", `${plain}.sealed`);
  return `${plain}.sealed`;
}

/** Opens a sealed file on a browser's page of devices. */
async function opened(page, file, text) {
  await page.goto("/devices");
  await page.getByText("Read what was sealed to you").click();
  await page.locator("main input[type=file]").setInputFiles(file);
  await page.getByRole("button", { name: "Open it" }).click();
  await sees(page, text);
}

test("a newcomer at the command line lets a browser in, and both read what is sealed to the person", async () => {
  const profile = await browser.profile(server.url);
  const [page, name] = [await profile.page(), newName()];
  await server.dgns("first", "up", name);
  const file = await seal(name, "sealed before the browser came");
  const watch = server.starts("first", "devices", "watch", "--once");
  await watch.says((line) => line.startsWith("watching"));
  await page.goto("/signin");
  await page.locator("#name").fill(name);
  await page.getByRole("button", { name: "Ask my other device" }).click();
  await watch.says((line) => line.includes("a device asks to become yours"));
  const shown = page.locator(".digits-shown").filter({ hasText: /[0-9]{3} [0-9]{3}/ });
  await shown.waitFor();
  watch.types(await shown.innerText());
  await sees(page, `This browser is a device of ${name}.${server.zone}, and that is proved`);
  assert.equal(await watch.ended(), 0);
  assert.match(await server.dgns("first", "open", file), /sealed before the browser came/);
  await opened(page, file, "sealed before the browser came");
  // The first takes the browser away: what is sealed from then on it cannot read.
  const devices = JSON.parse(await server.dgns("first", "--json", "devices", "list")).devices;
  const kid = devices.find(({ status }) => status === "fresh").kid;
  await server.dgns("first", "devices", "revoke", kid, "--reason", "lost");
  await page.goto("/devices");
  await sees(page, "This browser is no device of the account any more");
  assert.deepEqual(profile.complaints, []);
  await profile.close();
});

test("a browser lets the command line in by the digits, and takes it away again", async () => {
  const profile = await browser.profile(server.url);
  const [page, name, home] = [await profile.page(), newName(), "second"];
  await claimName(page, name);
  await sees(page, "is yours, and that is proved");
  await page.goto("/approve");
  await sees(page, "Nobody asks");
  const join = server.starts(home, "join", name, "--label", "the laptop");
  await page.getByRole("button", { name: "It is mine" }).click();
  const digits = await join.says(digitsOf);
  await page.getByLabel("Six digits").fill(digits);
  await page.getByRole("button", { name: "Let it in" }).click();
  await sees(page, `It belongs to ${name}.${server.zone} now, and that is proved`);
  assert.equal(await join.ended(), 0);
  const file = await seal(name, "for the laptop and the browser");
  assert.match(await server.dgns(home, "open", file), /for the laptop and the browser/);
  await opened(page, file, "for the laptop and the browser");
  await page.goto("/devices");
  await page.getByRole("row", { name: /the laptop/ }).getByRole("button", { name: "Rename" }).click();
  await page.getByRole("dialog").getByLabel("What you call it").fill("the old laptop");
  await page.getByRole("dialog").getByRole("button", { name: "Call it so" }).click();
  await page.getByRole("row", { name: /the old laptop/ }).waitFor();
  assert.match(await server.dgns(home, "devices", "list"), /"the old laptop" {2}\(this device\)/);
  await page.getByRole("row", { name: /the old laptop/ }).getByRole("button", { name: "Remove" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Remove it" }).click();
  await sees(page, "Done, and proved");
  const last = await seal(name, "not for the laptop any more");
  await assert.rejects(server.dgns(home, "open", last), /unknown_signer/);
  await opened(page, last, "not for the laptop any more");
  assert.deepEqual(profile.complaints, []);
  await profile.close();
});
