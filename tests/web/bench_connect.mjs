// How fast a browser reaches a private server on the same machine: node tests/web/bench_connect.mjs [visitors] [megabytes]. With DGNS_BINARIES=target/release
// it is measured as people run it. Prints one JSON value: milliseconds from the click to the connection and to the first verified chunk, megabytes a second of
// verified chunks, and of a download that is kept and saved.

import { noise, alices, visitor } from "./hosting.mjs";
import { sees, startBrowser } from "./browser.mjs";
import { startServer } from "./server.mjs";

const [VISITORS = 4, MEGABYTES = 200] = process.argv.slice(2).map(Number);
/** A device may knock at a name six times a minute. */
const KNOCKS = 5;

const [server, browser] = await Promise.all([startServer(), startBrowser()]);
try {
  const alice = await alices(server);
  await alice.write("big.bin", noise(MEGABYTES * 1_000_000));
  const host = await alice.host("--allow", "certified");
  const times = [];
  let [rate, saved] = [];
  for (let who = 0; who < VISITORS; who++) {
    const { page, profile } = await visitor(browser, server.url);
    await page.goto("/connect");
    await sees(page, "Its name");
    // The host reads a file once before it serves it; that is not the way there.
    for (let knock = 0; knock < KNOCKS; knock++) times.push(await page.evaluate(arrives, { name: alice.name, path: "big.bin", warm: knock > 0 }));
    if (who === 0) [rate, saved] = [await page.evaluate(reads, { path: "big.bin", most: MEGABYTES * 16 }), await downloads(page, MEGABYTES)];
    await profile.close();
  }
  const sorted = (pick) => times.filter(({ warm }) => warm).map(pick).sort((a, b) => a - b);
  const at = (list, part) => Math.round(list[Math.min(list.length - 1, Math.floor(list.length * part))]);
  const told = (pick) => ({ p50: at(sorted(pick), 0.5), p95: at(sorted(pick), 0.95) });
  console.log(JSON.stringify({ runs: sorted(() => 0).length, connected_ms: told(({ connected }) => connected), first_chunk_ms: told(({ chunk }) => chunk), verified_mb_per_s: round(rate), saved_mb_per_s: round(saved) }));
  host.stop();
} finally {
  await browser.stop();
  await server.stop();
}

function round(number) {
  return Math.round(number * 10) / 10;
}

/** In the page: connects as its button does, and fetches one chunk. */
async function arrives({ name, path, warm }) {
  const [{ Client }, { Lobby }, { connect }, { newCertificate }, { accounts, deviceOf }, { browserStore }] = await Promise.all(
    ["/client.js", "/lobby/attach.js", "/lobby/connect.js", "/lobby/link.js", "/page/me.js", "/storage.js"].map((module) => import(module)),
  );
  const store = browserStore();
  const client = await Client.open(location.origin, store);
  const [record] = await accounts(store, client.origin);
  const who = { did: record.did, sign: deviceOf(record).sign };
  const certificate = newCertificate();
  await certificate;
  const began = performance.now();
  const lobby = new Lobby(client, who);
  const connection = await connect({ client, who, lobby, name, certificate, loopback: true });
  const connected = performance.now() - began;
  const contents = await connection.open(path);
  await connection.chunk(contents, 0);
  const chunk = performance.now() - began;
  globalThis.last?.close();
  globalThis.last = connection;
  return { connected, chunk, warm };
}

/** In the page: fetches chunks of the file over the connection that stands, each checked; returns megabytes a second. */
async function reads({ path, most }) {
  const contents = await globalThis.last.open(path);
  const wanted = Array.from({ length: Math.min(contents.count, most) }, (_, i) => i);
  let bytes = 0;
  const began = performance.now();
  await globalThis.last.chunks(contents, wanted, async (_, chunk) => (bytes += chunk.length));
  return bytes / 1000 / (performance.now() - began);
}

/** A download by the page's own button, kept in the browser and saved; returns megabytes a second. */
async function downloads(page, megabytes) {
  await page.getByLabel("Its name").fill("db.alice");
  await page.getByRole("button", { name: "Connect", exact: true }).click();
  await sees(page, "both ends are proved");
  const began = performance.now();
  const saved = page.waitForEvent("download", { timeout: 120_000 });
  await page.getByRole("button", { name: "Download big.bin" }).click();
  await saved;
  return megabytes / ((performance.now() - began) / 1000);
}
