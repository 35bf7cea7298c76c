// The real programs, as a stranger runs them: `dgnsd` on free ports with a data directory of its own, `dgns` with a home of its own.

import { execFile, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { createServer } from "node:net";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const top = join(dirname(fileURLToPath(import.meta.url)), "../..");
const built = process.env.DGNS_BINARIES ?? join(process.env.CARGO_TARGET_DIR ?? join(top, "target"), "debug");

/** A zone in which little work is asked, windows are short and nobody is too fast. */
const LIMITS = "[limits]\ncertificates_per_hour = 0\ncertificates_per_day = 0\nsignin_starts_per_hour_and_address = 0\nevaluations_per_hour_and_address = 0\n";
const CLAIMS = (floorS) => `[claims]\nwork_bits = 8\nwindow_floor_s = ${floorS}\n`;

/** Starts a program of ours that says on a line of JSON that it is ready; returns what it said, the process, and what it logged. */
async function started(folder, program, ...args) {
  const child = spawn(join(built, program), args, { stdio: ["ignore", "pipe", "pipe"] });
  const said = [];
  child.stderr.on("data", (bytes) => said.push(bytes.toString()));
  const ready = await new Promise((done, failed) => {
    createInterface({ input: child.stdout }).on("line", (line) => line.startsWith("{") && done(JSON.parse(line)));
    child.once("exit", (code) => failed(new Error(`${program} ended with ${code}: ${said.join("")}`)));
    child.once("error", failed);
  });
  const end = async (signal) => {
    if (child.exitCode === null && child.signalCode === null) {
      const ended = new Promise((done) => child.once("exit", done));
      child.kill(signal);
      await ended;
    }
    if (signal === "SIGTERM") await rm(folder, { recursive: true, force: true });
  };
  return { ready, log: () => said.join(""), signal: (name) => child.kill(name), kill: () => end("SIGKILL"), stop: () => end("SIGTERM") };
}

/** Starts a recovery server for the log of `server`, run by `operator`, that takes passkeys of its pages, and sign-ins at each of `issuers`. Returns `{url, signal(name), kill(), stop()}`. */
export async function startRecoveryServer(server, issuers, operator) {
  const folder = await mkdtemp(join(tmpdir(), "dgns-recovery-"));
  const [config, policy] = [join(folder, "recovery.toml"), join(folder, "log.policy")];
  await writeFile(policy, `log ${server.vkey}\nquorum none\n`);
  const named = { data: join(folder, "data"), operator, domain: `${operator.toLowerCase().replaceAll(" ", "-")}.example`, passkeys: server.url, "http.listen": "127.0.0.1:0", "log.url": server.url.replace("localhost", "127.0.0.1"), "log.policy": policy };
  const lines = Object.entries(named).map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`);
  const believed = [issuers].flat().map(({ url }) => `[[issuers]]\nissuer = ${JSON.stringify(url)}\naudience = "dgns"\n`);
  await writeFile(config, [...lines, ...believed].join(""));
  const { ready, ...rest } = await started(folder, "dgnsd", "recovery", "--config", config, "--dev", "--json");
  return { url: ready.http, operator, ...rest };
}

/** Returns a port that nobody has, for who must be named before it is started: below those that a system gives to whoever asks for any. */
export async function freePort() {
  for (;;) {
    const [probe, port] = [createServer(), 20_000 + randomInt(12_000)];
    const isFree = await new Promise((done) => probe.once("error", () => done(false)).listen(port, "127.0.0.1", () => done(true)));
    if (!isFree) continue;
    await new Promise((done) => probe.close(done));
    return port;
  }
}

/**
 * Starts a server; `more` is added to its configuration, `claims` to the terms of its zone, `floorS` = the shortest window there; `of` = a server whose log and
 * homes it has as well, up to now: a second history; `zone` = its zone. Returns `{url, zone, vkey, dgns(home, ...args), stop()}`.
 */
export async function startServer(more = "", claims = "", floorS = 3600, of = undefined, zone = "dgns.test") {
  const folder = await mkdtemp(join(tmpdir(), "dgns-web-"));
  const config = join(folder, "dgnsd.toml");
  const http = more.includes("[http]") ? "" : '[http]\nlisten = "127.0.0.1:0"\n';
  await writeFile(config, `data = ${JSON.stringify(join(folder, "data"))}\nzone = ${JSON.stringify(zone)}\n${http}[dns]\nlisten = ["127.0.0.1:0"]\n${CLAIMS(floorS)}${claims}${LIMITS}${more}`);
  if (of !== undefined) {
    // As a crash at this moment would leave it.
    of.signal("SIGSTOP");
    await Promise.all([cp(of.data, join(folder, "data"), { recursive: true }), ...of.homes.map((home) => cp(of.file(home), join(folder, home), { recursive: true }))]);
    of.signal("SIGCONT");
  }
  const { ready, log, signal, kill, stop } = await started(folder, "dgnsd", "serve", "--config", config, "--json");
  // Passkeys want a name, and pages of one origin one spelling of it.
  const url = ready.http.replace("127.0.0.1", "localhost");
  const homes = new Set(of?.homes);
  let reached = ready.http;
  return {
    get homes() {
      return [...homes];
    },
    signal,
    /** Lets the programs go another way to it. */
    through: (way) => (reached = way),
    url, zone: ready.zone, vkey: ready.vkey, data: join(folder, "data"),
    /** What the server logged so far. */
    log,
    /** Runs `dgns` as somebody who keeps a home of this name; returns what it printed. */
    dgns: async (home, ...args) => (await run(join(built, "dgns"), ["--server", (homes.add(home), reached), "--home", join(folder, home), ...args])).stdout,
    /** Starts `dgns` for a command that goes on: `{says(find), lines(), pid, types(line), ended(), stop()}`; `says` waits for a line in which `find` finds something. */
    starts: (home, ...args) => {
      const child = spawn(join(built, "dgns"), ["--server", (homes.add(home), reached), "--home", join(folder, home), ...args], { stdio: ["pipe", "pipe", "pipe"] });
      const [lines, waiting] = [[], []];
      const heard = (line) => {
        lines.push(line);
        for (const wake of waiting.splice(0)) wake();
      };
      for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on("line", heard);
      const over = new Promise((done) => child.once("exit", (code) => (heard(`ended with ${code}`), done(code))));
      const says = async (find, from = 0) => {
        for (let at = from; ; at++) {
          while (at >= lines.length) await new Promise((wake) => waiting.push(wake));
          const found = find(lines[at]);
          if (found) return found;
          if (lines[at].startsWith("ended with")) throw new Error(`dgns ${args.join(" ")} said:\n${lines.join("\n")}`);
        }
      };
      return { says, lines: () => [...lines], pid: child.pid, types: (line) => child.stdin.write(`${line}\n`), ended: () => over, stop: () => child.kill("SIGKILL") };
    },
    /** A path for a file beside the homes. */
    file: (name) => join(folder, name),
    /** Runs `dgnsd notary` at the server. */
    notary: async (...args) => (await run(join(built, "dgnsd"), ["notary", ...args, "--config", config, "--server", ready.http])).stdout,
    /** Makes an invitation code. */
    invitation: async () => (await run(join(built, "dgnsd"), ["invite", "--data", join(folder, "data")])).stdout.trim(),
    kill,
    stop,
  };
}
