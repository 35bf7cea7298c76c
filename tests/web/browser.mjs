// Debian's Chromium, driven by playwright-core, with an eye on everything a page must never do.

import { mkdir } from "node:fs/promises";
import { join } from "node:path";

import { chromium } from "playwright-core";

/** Flags that keep the browser from talking to anybody but the pages' server. */
const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
];

const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** Longer than anything here takes, on a machine that does other things too; whoever waits so long has failed. */
const PATIENCE_MS = 120_000;

/** What a profile is opened with. */
const optionsOf = (url, { scheme = "light", width = 1280, height = 860 }) => ({ baseURL: url, colorScheme: scheme, viewport: { width, height }, acceptDownloads: true });

/**
 * Watches a profile: `{page(), context, complaints, close()}`. `complaints` are errors in the console or of scripts, violations of the page's own
 * policy, and requests that went anywhere but to `url` and `hosts`.
 */
async function watched(context, url, { hosts = [] }) {
  context.setDefaultTimeout(PATIENCE_MS);
  const complaints = [];
  const own = [new URL(url).host, ...hosts];
  context.on("request", (request) => {
    const to = new URL(request.url());
    if (to.protocol.startsWith("http") && !own.includes(to.host)) complaints.push(`foreign request: ${request.url()}`);
  });
  context.on("console", (message) => {
    // A refusal of the server is an answer; the browser's own line about its status is none of ours.
    const status = message.text().startsWith("Failed to load resource");
    if (["error", "warning"].includes(message.type()) && !status) complaints.push(`console: ${message.text()}`);
  });
  context.on("weberror", (thrown) => complaints.push(`error: ${thrown.error().message}`));
  await context.addInitScript(() => addEventListener("securitypolicyviolation", (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`)));
  return { context, complaints, page: () => context.newPage(), close: () => context.close() };
}

/** Starts the browser, with more flags if need be; each profile that is opened in it is empty, and gone when it is closed. */
export async function startBrowser(more = []) {
  const browser = await chromium.launch({ executablePath, timeout: PATIENCE_MS, args: [...FLAGS, ...more] });
  return {
    profile: async (url, how = {}) => watched(await browser.newContext(optionsOf(url, how)), url, how),
    stop: () => browser.close(),
  };
}

/** Starts a browser whose one profile lies in `folder`, and is there again when it is started again. */
export async function startBrowserIn(folder, url, how = {}) {
  return watched(await chromium.launchPersistentContext(folder, { executablePath, timeout: PATIENCE_MS, args: FLAGS, ...optionsOf(url, how) }), url, how);
}

/** Waits for a text in the page's main part; the error says what stood there instead. */
export async function sees(page, text) {
  const place = page.locator("main").getByText(text).first();
  try {
    await place.waitFor();
  } catch {
    throw new Error(`${page.url()} does not say ${text}, but:\n${await page.locator("main").innerText()}`);
  }
  return place;
}

/** Keeps a picture of the page where DGNS_PICTURES names a folder. */
export async function keepPicture(page, name) {
  const folder = process.env.DGNS_PICTURES;
  if (folder === undefined) return;
  await mkdir(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name.replaceAll(/[^a-z0-9]+/g, "_")}.png`), fullPage: true });
}
