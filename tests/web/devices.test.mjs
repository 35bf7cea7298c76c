// A second device: let in by six digits, by a secret, by the words; turned away; suspended and contested. Two profiles, one person.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { sees, startBrowser } from "./browser.mjs";
import { askAndAnswer, readCode, twoProfiles } from "./journey.mjs";
import { startServer } from "./server.mjs";

let [server, browser] = [];
before(async () => {
  [server, browser] = await Promise.all([startServer(), startBrowser()]);
});
after(async () => {
  await browser?.stop();
  await server?.stop();
});

test("a second profile shows six digits, the first types them, and both see it proved", async () => {
  const two = await twoProfiles(browser, server);
  const digits = await askAndAnswer(two);
  await two.old.getByLabel("Six digits").fill(digits);
  await two.old.getByRole("button", { name: "Let it in" }).click();
  await sees(two.old, `It belongs to ${two.full} now, and that is proved`);
  await sees(two.fresh, `This browser is a device of ${two.full}, and that is proved`);
  await two.fresh.goto("/devices");
  await sees(two.fresh, "This device is on probation");
  assert.equal(await two.fresh.locator("tbody tr").count(), 2);
  await two.close();
});

test("three times other digits end it, and nobody is let in", async () => {
  const two = await twoProfiles(browser, server);
  const digits = await askAndAnswer(two);
  const wrong = String((Number(digits) + 1) % 1_000_000).padStart(6, "0");
  for (let i = 0; i < 3; i++) {
    await two.old.getByLabel("Six digits").fill(wrong);
    await two.old.getByRole("button", { name: "Let it in" }).click();
    if (i < 2) await two.old.getByRole("alert").filter({ hasText: "Those are others" }).waitFor();
  }
  await sees(two.old, "pair_digits");
  await sees(two.fresh, "pair_digits");
  await two.old.goto("/devices");
  await sees(two.old, "(this browser)");
  assert.equal(await two.old.locator("tbody tr").count(), 1);
  await two.close();
});

test("who says \u201cnot me\u201d turns the device away", async () => {
  const two = await twoProfiles(browser, server);
  await two.old.goto("/approve");
  await two.fresh.goto("/signin");
  await two.fresh.locator("#name").fill(two.name);
  await two.fresh.getByRole("button", { name: "Ask my other device" }).click();
  await two.old.getByRole("button", { name: "Not me" }).click();
  await sees(two.old, "Turned away");
  await sees(two.fresh, "pair_rejected");
  await two.close();
});

test("a secret of twelve words lets one device in without digits", async () => {
  const two = await twoProfiles(browser, server);
  await two.old.goto("/approve");
  await two.old.getByRole("button", { name: "Make a secret" }).click();
  await two.old.locator(".words li").first().waitFor();
  const secret = (await two.old.locator(".words li").allTextContents()).join(" ");
  await two.fresh.goto("/signin");
  await two.fresh.locator("#secret").fill("these are not the words of any secret at all no never");
  await two.fresh.getByRole("button", { name: "Go on" }).click();
  await sees(two.fresh, "bad_secret");
  await two.fresh.locator("#secret").fill(secret);
  await two.fresh.getByRole("button", { name: "Go on" }).click();
  await sees(two.fresh, `This browser is a device of ${two.full}, and that is proved`);
  await sees(two.old, `It belongs to ${two.full} now, and that is proved`);
  await two.close();
});

test("a code for the camera opens the page that lets the browser in, once it is asked", async () => {
  const two = await twoProfiles(browser, server);
  await two.old.goto("/approve");
  await two.old.getByRole("button", { name: "Make a secret" }).click();
  const address = await readCode(two.fresh, await two.old.getByRole("img", { name: "QR code of the secret" }).screenshot());
  assert.ok(address.startsWith(`${server.url}/signin#dgns:pair?o=${server.zone}/log&d=`), address);
  await two.fresh.goto(address);
  await sees(two.fresh, "The code you scanned lets this browser in");
  assert.equal(new URL(two.fresh.url()).hash, "", "the secret stands in no history");
  await two.fresh.getByRole("button", { name: "Let this browser in" }).click();
  await sees(two.fresh, `This browser is a device of ${two.full}, and that is proved`);
  await sees(two.old, `It belongs to ${two.full} now, and that is proved`);
  await two.close();
});

test("the words on paper let a browser in at once; a suspension is contested, which freezes the account; its end thaws it", async () => {
  const two = await twoProfiles(browser, server);
  await two.fresh.goto("/signin");
  await two.fresh.locator("#own-name").fill(two.name);
  await two.fresh.locator("#words").fill("abandon ".repeat(12));
  await two.fresh.getByRole("button", { name: "Let this browser in" }).click();
  await sees(two.fresh, "words_checksum");
  await two.fresh.locator("#words").fill(two.words.join(" "));
  await two.fresh.getByRole("button", { name: "Let this browser in" }).click();
  await sees(two.fresh, `This browser is a device of ${two.full}, and that is proved`);
  await two.old.goto("/devices");
  await sees(two.old, "the twelve words act at once, and so do 2 of 2 full devices together");
  await two.old.getByRole("button", { name: "Suspend" }).click();
  await two.old.getByRole("dialog").getByRole("button", { name: "Suspend it" }).click();
  await sees(two.old, "Done, and it waits");
  await two.fresh.goto("/devices");
  await sees(two.fresh, "This device is suspended");
  await two.fresh.getByRole("button", { name: "Contest it" }).click();
  await sees(two.fresh, "This account is frozen");
  await two.old.goto(`/lookup?name=${two.name}`);
  await sees(two.old, "This account is frozen");
  await two.old.goto("/devices");
  await two.old.getByRole("button", { name: "Withdraw it" }).click();
  await sees(two.old, "Done, and proved");
  assert.equal(await two.old.getByText("This account is frozen").count(), 0);
  await two.close();
});

test("the only device cannot be removed by mistake", async () => {
  const two = await twoProfiles(browser, server);
  await two.old.goto("/devices");
  await two.old.getByRole("button", { name: "Remove" }).click();
  await two.old.getByRole("dialog").getByText("It is the only one that can act.").waitFor();
  await two.old.getByRole("dialog").getByRole("button", { name: "Remove it" }).click();
  await sees(two.old, "No device would be left");
  await two.old.getByRole("button", { name: "Remove" }).waitFor();
  await two.close();
});
