// The scripts that run beside a page: with trusted types these addresses alone may become code, nothing else.

const PATHS = { work: "/page/worker.js", push: "/page/push_worker.js" };
const urls = globalThis.trustedTypes?.createPolicy("dgns-worker", { createScriptURL: (which) => PATHS[which] });

/** Returns the address of a script: `work`, `push`. */
export const workerUrl = (which) => urls?.createScriptURL(which) ?? PATHS[which];
