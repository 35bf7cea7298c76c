// What the tests of recovery do again and again: an account that enrols on the pages, a blank profile that tries its PIN.

import { writeFile } from "node:fs/promises";

import { sees } from "./browser.mjs";
import { newName } from "./journey.mjs";

/** A PIN that nobody tries first, another, and one of words. */
export const [PIN, OTHER, WORDS] = ["739164", "481502", "zoo abandon able zone"];

/**
 * Makes somebody who has the name and a device at the command line, the home `name`, and a browser beside it, let in by the words; with a window of
 * `windowS`. Returns `{name, full, words, page, profile}`.
 */
export async function somebody({ server, issuer, browser }, windowS, { servers = [], ...how } = {}) {
  const name = newName();
  const said = await server.dgns(name, "--json", "up", name, "--window-s", String(windowS));
  const { words } = JSON.parse(said.trim().split("\n").at(-1));
  const profile = await browser.profile(server.url, { hosts: hostsOf(issuer, servers), ...how });
  const page = await profile.page();
  await comesInByWords(page, name, words);
  return { name, full: `${name}.${server.zone}`, words, page, profile, person: { subject: `ada-${name}`, email: `ada-${name}@people.example`, verified: true } };
}

/** Lets a browser in by the twelve words. */
export async function comesInByWords(page, name, words) {
  await page.goto("/signin");
  await page.locator("#own-name").fill(name);
  await page.locator("#words").fill(words);
  await page.getByRole("button", { name: "Let this browser in" }).click();
  await sees(page, "and that is proved");
}

/** Whom pages of recovery talk to besides their own server. */
export const hostsOf = (issuer, servers) => [issuer.host, ...servers.map((url) => new URL(url).host)];

/**
 * Enrols on the page: servers, sign-ins by `ways` (as the page calls them) of which `needed` are needed, PIN; with the words, so that it holds at once.
 */
export async function enrols({ page, words, person }, { issuer }, urls, { pin = PIN, ways = ["Local"], needed = 1 } = {}) {
  issuer.person = person;
  await page.goto("/recovery");
  await page.getByLabel("Their addresses, one a line").fill(urls.join("\n"));
  await page.getByRole("button", { name: "Look at these servers" }).click();
  await page.getByRole("button", { name: `Go on with ${ways[0]}` }).click();
  await sees(page, "Choose a PIN");
  for (const way of ways.slice(1)) {
    await page.getByRole("button", { name: `Add a sign-in with ${way}` }).click();
    await sees(page, ` and ${way}`);
  }
  if (ways.length > 1) await page.getByLabel("How many of these sign-ins a recovery needs").selectOption(String(needed));
  await page.getByLabel("A PIN", { exact: true }).fill(pin);
  await page.getByLabel("Once more").fill(pin);
  await page.getByText("I have the twelve words at hand").click();
  await page.getByLabel("Your twelve words").fill(words);
  await page.getByRole("button", { name: "Set up recovery" }).click();
  await sees(page, "Recovery is set up, and that is proved", 60_000);
}

/** A page without anything: names the account, types a PIN, signs in by `way`, as the page calls it. */
export async function tries(page, { name, person }, { issuer }, { pin = PIN, way = "Local" } = {}) {
  issuer.person = person;
  await page.goto("/recover");
  await page.getByLabel("Your name").fill(name);
  await page.getByRole("button", { name: "Go on", exact: true }).click();
  await page.getByLabel(/^[0-9]/.test(pin) ? "Your PIN" : "Your four words").fill(pin);
  await page.getByLabel(way, { exact: true }).check();
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
}

/** Somebody else seals a text to a person; returns the file. */
export async function seal(server, name, text) {
  const plain = server.file(`${name}.txt`);
  await writeFile(plain, text);
  await server.dgns("somebody", "seal", name, plain, "--out", `${plain}.sealed`);
  return `${plain}.sealed`;
}

/** From now on a proxy before a recovery server gives another server's point, still well-formed: the answer to another question. */
export function lies(proxy) {
  proxy.isData = (path) => ["/r/v1/evaluate", "/r/v1/release"].includes(path);
  proxy.change = (_, bytes) => {
    Buffer.from("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76", "hex").copy(bytes, 4);
    return bytes;
  };
}

/** Opens a sealed file on a browser's page of devices. */
export async function opens(page, file, text) {
  await page.goto("/devices");
  await page.getByText("Read what was sealed to you").click();
  await page.locator("main input[type=file]").setInputFiles(file);
  await page.getByRole("button", { name: "Open it" }).click();
  await sees(page, text);
}
