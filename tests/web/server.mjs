// The real programs, as a stranger runs them: `dgnsd` on free ports with a data directory of its own, `dgns` with a home of its own.

import { execFile, spawn } from "node:child_process";
import { createServer } from "node:net";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
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
const CLAIMS = "[claims]\nwork_bits = 8\nwindow_floor_s = 3600\n";

/** Returns a port that was free a moment ago, for who must be named before it is started. */
export async function freePort() {
  const probe = createServer();
  await new Promise((done) => probe.listen(0, "127.0.0.1", done));
  const { port } = probe.address();
  await new Promise((done) => probe.close(done));
  return port;
}

/** Starts a server; `more` is added to its configuration, `claims` to the terms of its zone. Returns `{url, zone, vkey, dgns(home, ...args), stop()}`. */
export async function startServer(more = "", claims = "") {
  const folder = await mkdtemp(join(tmpdir(), "dgns-web-"));
  const config = join(folder, "dgnsd.toml");
  const http = more.includes("[http]") ? "" : '[http]\nlisten = "127.0.0.1:0"\n';
  await writeFile(config, `data = ${JSON.stringify(join(folder, "data"))}\n${http}[dns]\nlisten = ["127.0.0.1:0"]\n${CLAIMS}${claims}${LIMITS}${more}`);
  const child = spawn(join(built, "dgnsd"), ["serve", "--config", config, "--json"], { stdio: ["ignore", "pipe", "pipe"] });
  const said = [];
  child.stderr.on("data", (bytes) => said.push(bytes.toString()));
  const ready = await new Promise((done, failed) => {
    createInterface({ input: child.stdout }).on("line", (line) => line.startsWith("{") && done(JSON.parse(line)));
    child.once("exit", (code) => failed(new Error(`dgnsd ended with ${code}: ${said.join("")}`)));
    child.once("error", failed);
  });
  // Passkeys want a name, and pages of one origin one spelling of it.
  const url = ready.http.replace("127.0.0.1", "localhost");
  return {
    url, zone: ready.zone, vkey: ready.vkey, data: join(folder, "data"),
    /** What the server logged so far. */
    log: () => said.join(""),
    /** Runs `dgns` as somebody who keeps a home of this name; returns what it printed. */
    dgns: async (home, ...args) => (await run(join(built, "dgns"), ["--server", ready.http, "--home", join(folder, home), ...args])).stdout,
    /** Starts `dgns` for a command that goes on: `{says(find), types(line), ended()}`; `says` waits for a line in which `find` finds something. */
    starts: (home, ...args) => {
      const child = spawn(join(built, "dgns"), ["--server", ready.http, "--home", join(folder, home), ...args], { stdio: ["pipe", "pipe", "pipe"] });
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
      return { says, types: (line) => child.stdin.write(`${line}\n`), ended: () => over, stop: () => child.kill("SIGKILL") };
    },
    /** A path for a file beside the homes. */
    file: (name) => join(folder, name),
    /** Runs `dgnsd notary` at the server. */
    notary: async (...args) => (await run(join(built, "dgnsd"), ["notary", ...args, "--config", config, "--server", ready.http])).stdout,
    /** Makes an invitation code. */
    invitation: async () => (await run(join(built, "dgnsd"), ["invite", "--data", join(folder, "data")])).stdout.trim(),
    stop: async () => {
      const ended = new Promise((done) => child.once("exit", done));
      child.kill("SIGTERM");
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}
