// What people do on the pages, in the words that stand there.

/** Returns a name that nobody has. */
export const newName = () => `n${crypto.randomUUID().replaceAll("-", "").slice(0, 12)}`;

/** Claims a name as somebody who has nothing yet, to the end of the form; returns the twelve words. */
export async function claimName(page, name) {
  await page.goto("/claim");
  await page.getByLabel("The name you want").fill(name);
  await page.getByRole("button", { name: "Go on" }).click();
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
