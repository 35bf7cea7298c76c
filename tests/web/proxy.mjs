// A server between the browser and dgnsd that may change what passes: an operator who lies, as far as bytes can.

import http from "node:http";

/**
 * Starts a proxy before `url`. `change(path, bytes)` returns the bytes to hand on, of answers with status 200 to requests that are not for
 * pages; it may be set anew at any time: `proxy.change = ...`. So may `isData(path)`, which paths that is about.
 */
export async function startProxy(url) {
  const proxy = { change: (_path, bytes) => bytes, isData: (path) => /^\/(?:v1|log)\//.test(path) };
  const server = http.createServer((request, response) => {
    const target = new URL(request.url, url);
    const onwards = http.request(target, { method: request.method, headers: { ...request.headers, host: target.host } }, (answer) => {
      const parts = [];
      answer.on("data", (part) => parts.push(part));
      answer.on("end", () => {
        const bytes = Buffer.concat(parts);
        const isData = proxy.isData(target.pathname) && answer.statusCode === 200 && request.method !== "OPTIONS";
        const told = isData ? Buffer.from(proxy.change(target.pathname, bytes)) : bytes;
        const { "content-length": _, "transfer-encoding": __, ...headers } = answer.headers;
        response.writeHead(answer.statusCode, { ...headers, "content-length": told.length });
        response.end(told);
      });
    });
    onwards.on("error", () => response.destroy());
    request.pipe(onwards);
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  proxy.url = `http://localhost:${server.address().port}`;
  proxy.stop = () => new Promise((done) => {
    server.close(done);
    server.closeAllConnections();
  });
  return proxy;
}
