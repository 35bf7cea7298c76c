// A lobby that lies: it stands between a browser and dgnsd, passes on everything else, and does with frames what it likes.

import http from "node:http";
import net from "node:net";

import { decodeFrame, encodeFrame } from "../../dgns/web/lobby/frame.js";

const BINARY = 2;

/**
 * Starts one before `url`, and before `lobbyUrl` where the lobby is asked for. `lie(to, frame)` returns the frames that go on in the place of one on its way `to` the `server` or the `client`; it may be set
 * anew at any time, as may `answer(target, bytes)`, which returns what is answered of a log of a database. `liar.away = true` takes the lobby away: its sockets break, and none opens.
 */
export async function startLiar(url, lobbyUrl = url) {
  const [upstream, lobby] = [new URL(url), new URL(lobbyUrl)];
  const sockets = new Set();
  let away = false;
  const liar = {
    lie: (_to, frame) => [frame],
    answer: (_target, bytes) => bytes,
    get away() {
      return away;
    },
    set away(is) {
      away = is;
      if (is) for (const socket of sockets) socket.destroy();
    },
  };
  const server = http.createServer((request, response) => {
    const onwards = http.request({ host: upstream.hostname, port: upstream.port, path: request.url, method: request.method, headers: request.headers }, (answer) => {
      if (answer.statusCode === 200 && request.url.startsWith("/v1/logs/")) return bent(liar, request.url, answer, response);
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    onwards.on("error", () => response.destroy());
    response.on("close", () => onwards.destroy());
    request.pipe(onwards);
  });
  server.on("upgrade", (request, near) => {
    if (away) return near.destroy();
    const far = net.connect(lobby.port, lobby.hostname);
    for (const [socket, other] of [[near, far], [far, near]]) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => (sockets.delete(socket), other.destroy()));
    }
    const headers = request.rawHeaders.map((part, i) => (i % 2 === 0 ? `${part}: ` : `${part}\r\n`)).join("");
    far.write(`GET ${request.url} HTTP/1.1\r\n${headers}\r\n`);
    pass(near, far, "server", liar, false);
    pass(far, near, "client", liar, true);
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  liar.url = `http://localhost:${server.address().port}`;
  liar.stop = () => new Promise((done) => {
    server.close(done);
    server.closeAllConnections();
    for (const socket of sockets) socket.destroy();
  });
  return liar;
}

/** Passes on what is answered of a log of a database, as the liar wants it. */
async function bent(liar, target, answer, response) {
  const parts = [];
  for await (const part of answer) parts.push(part);
  const bytes = Buffer.from(liar.answer(target, Uint8Array.from(Buffer.concat(parts))));
  response.writeHead(200, { ...answer.headers, "content-length": bytes.length });
  response.end(bytes);
}

/** Passes on what one side of a WebSocket says, frame by frame; what stands before the first empty line only where `answers`. */
function pass(from, to, where, liar, answers) {
  let [waiting, greeted] = [Buffer.alloc(0), !answers];
  from.on("data", (bytes) => {
    waiting = Buffer.concat([waiting, bytes]);
    if (!greeted) {
      const end = waiting.indexOf("\r\n\r\n");
      if (end < 0) return;
      to.write(waiting.subarray(0, end + 4));
      [waiting, greeted] = [waiting.subarray(end + 4), true];
    }
    for (let message = read(waiting); message !== null; message = read(waiting)) {
      waiting = waiting.subarray(message.length);
      if (message.opcode !== BINARY) to.write(written(message.opcode, message.payload, where));
      else for (const frame of liar.lie(where, decodeFrame(message.payload))) to.write(written(BINARY, frame instanceof Uint8Array ? frame : encodeFrame(frame), where));
    }
  });
}

/** Reads one message of a WebSocket (RFC 6455, none in parts), or null if it is not whole. */
function read(bytes) {
  if (bytes.length < 2) return null;
  const [opcode, masked, short] = [bytes[0] & 15, bytes[1] >> 7, bytes[1] & 127];
  const wide = short === 126 ? 2 : short === 127 ? 8 : 0;
  const begin = 2 + wide + 4 * masked;
  if (bytes.length < begin) return null;
  const size = wide === 0 ? short : Number(wide === 2 ? bytes.readUInt16BE(2) : bytes.readBigUInt64BE(2));
  if (bytes.length < begin + size) return null;
  const payload = Uint8Array.from(bytes.subarray(begin, begin + size));
  if (masked) for (let i = 0; i < size; i++) payload[i] ^= bytes[begin - 4 + (i % 4)];
  return { opcode, payload, length: begin + size };
}

/** Writes one; what goes to a server is masked, with zeros. */
function written(opcode, payload, where) {
  const mask = where === "server" ? 128 : 0;
  const head = payload.length < 126 ? Buffer.from([128 | opcode, mask | payload.length]) : Buffer.from([128 | opcode, mask | 126, payload.length >> 8, payload.length & 255]);
  return Buffer.concat([head, Buffer.alloc(mask ? 4 : 0), payload]);
}
