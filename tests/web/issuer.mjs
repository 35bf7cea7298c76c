// An issuer of OpenID Connect of other people's making, on loopback: oidc-provider, with somebody at the keyboard who always says yes.

import http from "node:http";

import { Provider } from "oidc-provider";

/** Starts an issuer that knows one public client, `dgns`. `person` = who is at the keyboard; it may be set anew. */
export async function startIssuer(redirect) {
  const server = http.createServer();
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const url = `http://localhost:${server.address().port}`;
  const issuer = { url, person: "ada", host: new URL(url).host };
  const provider = new Provider(url, {
    clients: [{ client_id: "dgns", token_endpoint_auth_method: "none", redirect_uris: [redirect], grant_types: ["authorization_code"], response_types: ["code"] }],
    claims: { openid: ["sub"], email: ["email", "email_verified"] },
    conformIdTokenClaims: false,
    cookies: { keys: ["a key of a test"] },
    features: { devInteractions: { enabled: false } },
    findAccount: (_, id) => ({ accountId: id, claims: async () => ({ sub: id, email: `${id}@people.example`, email_verified: true }) }),
    interactions: { url: (_, { uid }) => `/interaction/${uid}` },
    pkce: { required: () => true },
    ttl: { Interaction: 600, Session: 600, Grant: 600, IdToken: 600, AccessToken: 600, AuthorizationCode: 60 },
  });
  const answer = provider.callback();
  server.on("request", async (request, response) => {
    if (!request.url.startsWith("/interaction/")) return answer(request, response);
    const { prompt, params, session } = await provider.interactionDetails(request, response);
    if (prompt.name === "login") return provider.interactionFinished(request, response, { login: { accountId: issuer.person } });
    const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
    grant.addOIDCScope("openid email");
    await provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } }, { mergeWithLastSubmission: true });
  });
  issuer.stop = () => new Promise((done) => {
    server.close(done);
    server.closeAllConnections();
  });
  return issuer;
}
