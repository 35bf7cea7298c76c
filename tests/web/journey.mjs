// What people do on the pages, in the words that stand there.

import assert from "node:assert/strict";

import jsQR from "jsqr";

import { sees } from "./browser.mjs";

/** Returns a name that nobody has. */
export const newName = () => `n${crypto.randomUUID().replaceAll("-", "").slice(0, 12)}`;

/** Claims a name as somebody who has nothing yet, to the end of the form; returns the twelve words. */
export async function claimName(page, name) {
  await page.goto("/claim");
  await page.getByLabel("The name you want").fill(name);
  await page.getByRole("button", { name: "Go on", exact: true }).click();
  return passWords(page);
}

/** Reads the words that are shown, and types the two that are asked for; returns all. */
export async function passWords(page) {
  await page.locator(".words li").first().waitFor();
  const words = await page.locator(".words li").allTextContents();
  await page.getByRole("button", { name: "I have written them down" }).click();
  const fields = page.locator("main input");
  await fields.first().waitFor();
  for (let i = 0; i < (await fields.count()); i++) {
    const place = Number((await fields.nth(i).getAttribute("id")).slice("word-".length));
    await fields.nth(i).fill(words[place]);
  }
  await page.getByRole("button", { name: "Claim the name" }).click();
  return words;
}

/** Returns somebody's two profiles: the first with an account, its name and words, the second empty. */
export async function twoProfiles(browser, server) {
  const [first, second] = [await browser.profile(server.url), await browser.profile(server.url)];
  const [old, fresh, name] = [await first.page(), await second.page(), newName()];
  const words = await claimName(old, name);
  await sees(old, "is yours, and that is proved");
  const close = async () => {
    assert.deepEqual([first.complaints, second.complaints], [[], []]);
    await Promise.all([first.close(), second.close()]);
  };
  return { old, fresh, name, full: `${name}.${server.zone}`, words, close };
}

/** The second profile asks; the first sees it, and says that it is its own. Returns the digits that the second shows. */
export async function askAndAnswer({ old, fresh, name, full }) {
  await old.goto("/approve");
  await sees(old, "Nobody asks");
  await fresh.goto("/signin");
  await fresh.locator("#name").fill(name);
  await fresh.getByRole("button", { name: "Ask my other device" }).click();
  await sees(old, `A device asks to belong to ${full}`);
  await old.getByRole("button", { name: "It is mine" }).click();
  const shown = fresh.locator(".digits-shown").filter({ hasText: /[0-9]{3} [0-9]{3}/ });
  await shown.waitFor();
  return (await shown.innerText()).replaceAll(/\D/g, "");
}

/** Returns what a camera reads of a picture; a page of the browser turns it into pixels. */
export async function readCode(page, picture) {
  await page.goto("about:blank");
  const { width, height, pixels } = await page.evaluate(async (bytes) => {
    const image = await createImageBitmap(new Blob([Uint8Array.from(bytes)], { type: "image/png" }));
    const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d");
    canvas.drawImage(image, 0, 0);
    return { width: image.width, height: image.height, pixels: [...canvas.getImageData(0, 0, image.width, image.height).data] };
  }, [...picture]);
  return jsQR(Uint8ClampedArray.from(pixels), width, height)?.data;
}
